"""What the customer's timeline knows from metering: usage, as it was received."""

from __future__ import annotations

from collections.abc import Iterator

from customers.admin.display import credits_shown, units_text
from customers.admin.records import record_url
from customers.admin.timeline import Before, Happening, TimelineSource, timeline_register
from customers.models import Customer
from metering.models import UsageEvent
from metering.selectors.usage_events import events_before


def _usage(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    found = events_before(customer_id=customer.id, at=before.at, event_id=before.id, limit=limit)
    for event in found:
        yield Happening(
            at=event.received_at,
            id=event.id,
            title=f"{units_text(event.units)} × {event.metric.key}",
            url=record_url(UsageEvent, event.public_id),
            note=event.idempotency_key,
            amount=credits_shown(-event.cost_mc, signed=True) if event.cost_mc else "",
            actor=event.actor,
        )


timeline_register(
    TimelineSource(
        kind="usage",
        label="Usage",
        order=20,
        permission="metering.view_usageevent",
        load=_usage,
        icon="bolt",
    )
)
