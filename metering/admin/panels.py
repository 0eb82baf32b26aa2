"""What metering shows on a customer's page: the latest usage events."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.template.loader import render_to_string

from customers.admin.customer_panels import CustomerPanel, panel_register
from customers.admin.display import code, credits_shown, instant_shown, units_shown
from customers.admin.records import list_url, record_url
from customers.models import Customer
from metering.models import UsageEvent
from metering.selectors.usage_events import latest_events_of

_ROWS: Final = 10


def _events_panel(_request: HttpRequest, customer: Customer) -> str:
    events = latest_events_of(customer_id=customer.id, limit=_ROWS + 1)
    rows = [
        {
            "url": record_url(UsageEvent, event.public_id),
            "at": instant_shown(event.received_at),
            "metric": code(event.metric.key),
            "units": units_shown(event.units),
            "cost": credits_shown(event.cost_mc),
            "key": event.idempotency_key,
        }
        for event in events[:_ROWS]
    ]
    more = list_url(UsageEvent, q=customer.public_id) if len(events) > _ROWS else ""
    return render_to_string("admin/purser/panel_events.html", {"rows": rows, "more": more})


panel_register(
    CustomerPanel(
        key="events",
        title="Usage events",
        order=30,
        permission="metering.view_usageevent",
        render=_events_panel,
    )
)
