"""Reading webhook events, deliveries and how endpoints fare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from customers.models import EndpointStatus, OutboxEvent, WebhookDelivery, WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookHealth:
    """An environment's webhooks in four numbers."""

    endpoints: int
    failing: int
    disabled: int
    dead: int


def events_after(*, environment_id: UUID, after: OutboxEvent | None) -> QuerySet[OutboxEvent]:
    """The events handed out after one, or all of them, oldest first. Positions come in order, so none is skipped."""
    position = (after.position or _LAST) if after else 0
    rows = OutboxEvent.objects.filter(environment_id=environment_id, position__gt=position)
    return rows.order_by("position")


#: One that has no position yet, such as a test, has nothing after it.
_LAST: Final = 2**62


def webhook_health(*, environment_id: UUID) -> WebhookHealth:
    """For the home page; `dead` stops being counted at 1,000."""
    rows = WebhookEndpoint.objects.filter(environment_id=environment_id, deleted_at__isnull=True)
    endpoints = list(rows.values_list("status", "failures"))
    dead = WebhookDelivery.objects.filter(environment_id=environment_id, state="dead")[:1000].count()
    return WebhookHealth(
        endpoints=len(endpoints),
        failing=sum(failures > 0 and status == EndpointStatus.ACTIVE for status, failures in endpoints),
        disabled=sum(status == EndpointStatus.DISABLED for status, _ in endpoints),
        dead=dead,
    )
