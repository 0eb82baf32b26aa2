"""What the customer's timeline knows from subscriptions: each step of their lives."""

from __future__ import annotations

from collections.abc import Iterator

from customers.admin.records import record_url
from customers.admin.timeline import Before, Happening, TimelineSource, timeline_register
from customers.models import Customer
from subscriptions.admin.subscription_text import change_badge, change_notes, variants_named
from subscriptions.models import Subscription, SubscriptionChange


def _changes(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    mine = SubscriptionChange.objects.filter(subscription__customer_id=customer.id)
    rows = before.of(mine, instant="occurred_at").select_related("subscription")
    found = list(rows.order_by("-occurred_at", "-id")[:limit])
    variants = variants_named(found)
    for change in found:
        yield Happening(
            at=change.occurred_at,
            id=change.id,
            title=change_badge(change),
            url=record_url(Subscription, change.subscription.public_id),
            note="; ".join([change.reason, *change_notes(change, variants)]).removeprefix("; "),
            actor=change.actor,
        )


timeline_register(
    TimelineSource(
        kind="subscriptions",
        label="Subscriptions",
        order=40,
        permission="subscriptions.view_subscription",
        load=_changes,
        icon="event_repeat",
    )
)
