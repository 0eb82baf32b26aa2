"""Sending again by hand: out of the order, so that it neither waits for others nor is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction

from customers.errors import Conflict, NotFound
from customers.gateways.doorbell import endpoint_ring
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import call_all
from customers.kernel.ids import typeid, uuid7
from customers.models import (
    DeliveryState,
    EndpointStatus,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLane,
)
from customers.services.audit import audit_record
from customers.services.webhook_endpoints import endpoint_locked

#: So many deliveries at most are retried by one call.
RETRIES_MAX: Final = 500
_WANTING: Final = (
    "SELECT id FROM customers_webhook_endpoint WHERE environment_id = $1 AND deleted_at IS NULL "
    "AND status = 'active' AND customers_webhook_wants(events, $2) ORDER BY id"
)


@transaction.atomic
def event_redeliver(
    *, caller: Caller, event_id: UUID, endpoint_id: UUID | None = None, now: datetime
) -> list[WebhookDelivery]:
    """Send an event again, to one endpoint or to all active ones that want it; under the same `webhook-id`."""
    event = OutboxEvent.objects.filter(environment_id=caller.environment_id, id=event_id).first()
    if event is None:
        raise NotFound(f"There is no webhook event {typeid('msg', event_id)}.")
    wanted = [endpoint_id] if endpoint_id else _wanting(event)
    if not wanted:
        raise Conflict("No active webhook endpoint wants this event.")
    deliveries = [_queued_again(_endpoint_active(caller.environment_id, each), event) for each in wanted]
    _audit(caller, "webhook_event.redelivered", "webhook_event", typeid("msg", event_id), now=now)
    return deliveries


@transaction.atomic
def deliveries_retry(
    *, caller: Caller, delivery_ids: Sequence[UUID], reason: str = "", now: datetime
) -> list[WebhookDelivery]:
    """Send these again; one that waits for its next attempt is attempted now."""
    if len(delivery_ids) > RETRIES_MAX:
        raise Conflict(f"At most {RETRIES_MAX} deliveries are retried at once.")
    rows = WebhookDelivery.objects.filter(environment_id=caller.environment_id, id__in=delivery_ids)
    found = list(rows.select_related("event").order_by("endpoint_id", "id"))
    missing = set(delivery_ids) - {row.id for row in found}
    if missing:
        raise NotFound(f"There is no delivery {typeid('dlv', min(missing))}.")
    endpoints = {
        key: _endpoint_active(caller.environment_id, key)
        for key in sorted({row.endpoint_id for row in found})
    }
    deliveries = [_queued_again(endpoints[row.endpoint_id], row.event) for row in found]
    for row in deliveries:
        _audit(caller, "webhook_delivery.retried", "webhook_delivery", row.public_id, reason=reason, now=now)
    return deliveries


def _wanting(event: OutboxEvent) -> list[UUID]:
    return [row[0] for row in call_all(_WANTING, [event.environment_id, event.event])]


def _endpoint_active(environment_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
    endpoint = endpoint_locked(environment_id=environment_id, endpoint_id=endpoint_id)
    if endpoint.status != EndpointStatus.ACTIVE:
        raise Conflict(f"The endpoint {endpoint.public_id} is {endpoint.status}; resume it first.")
    transaction.on_commit(partial(endpoint_ring, environment_id, endpoint_id))
    return endpoint


def _queued_again(endpoint: WebhookEndpoint, event: OutboxEvent) -> WebhookDelivery:
    wall = system_now()
    delivery = (
        WebhookDelivery.objects.select_for_update(no_key=True).filter(endpoint=endpoint, event=event).first()
    )
    if delivery is not None and delivery.state == DeliveryState.PENDING:
        lanes = WebhookLane.objects.filter(endpoint=endpoint, lane=delivery.lane, claim_id__isnull=True)
        lanes.update(next_at=wall)
        return delivery
    if delivery is None:
        delivery = _delivery(endpoint, event, wall)
    delivery.state, delivery.tries, delivery.finished_at = DeliveryState.PENDING, 0, None
    delivery.lane, delivery.next_attempt_at = delivery.id, wall
    delivery.save()
    lane = WebhookLane(endpoint=endpoint, lane=delivery.id, environment_id=event.environment_id, next_at=wall)
    WebhookLane.objects.bulk_create([lane], ignore_conflicts=True)
    return delivery


def _delivery(endpoint: WebhookEndpoint, event: OutboxEvent, wall: datetime) -> WebhookDelivery:
    return WebhookDelivery(
        id=uuid7(),
        environment_id=event.environment_id,
        endpoint=endpoint,
        event=event,
        customer_id=event.customer_id,
        sequence=event.sequence or 0,
        created_at=wall,
    )


def _audit(
    caller: Caller, action: str, kind: str, object_id: str, *, reason: str = "", now: datetime
) -> None:
    audit_record(caller=caller, action=action, object_type=kind, object_id=object_id, reason=reason, now=now)
