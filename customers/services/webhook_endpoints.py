"""Webhook endpoints: whom to tell of what, with which secret."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from customers.engine.webhook_addresses import literal_refusal, url_refusal
from customers.engine.webhook_signing import secret_check, secret_derive
from customers.errors import Conflict, FieldError, NotFound, ValidationFailed
from customers.events import CATALOGUE
from customers.gateways.doorbell import endpoint_ring
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import call_one
from customers.kernel.ids import typeid, uuid7, uuid7_floor
from customers.models import (
    DeliveryState,
    EndpointStatus,
    Environment,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLane,
)
from customers.services.audit import audit_record
from customers.services.outbox import event_emit

#: After a rotation both secrets sign for so long.
ROTATION: Final = timedelta(hours=24)
#: So many endpoints of one environment at most: each event is matched with all of them.
ENDPOINTS_MAX: Final = 100
TEST_EVENT: Final = "webhook.test"
CONSUMPTION_EVENT: Final = "credit.consumed"
_FILTERS_MAX: Final = 100
_REQUEUE: Final = "SELECT customers_webhook_requeue_v1($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """An endpoint and its secret, which is shown in this answer and never again."""

    endpoint: WebhookEndpoint
    secret: str


@transaction.atomic
def endpoint_create(
    *,
    caller: Caller,
    url: str,
    events: Sequence[str] = ("*",),
    description: str = "",
    status: str = EndpointStatus.ACTIVE,
    now: datetime,
) -> EndpointSecret:
    """Tell this URL of these events from now on."""
    _check({"url": url, "events": events, "description": description, "status": status})
    if endpoints_of(caller.environment_id).count() >= ENDPOINTS_MAX:
        raise Conflict(f"There are {ENDPOINTS_MAX} webhook endpoints already.")
    salt, wall = randomness.token_hex(16), system_now()
    secret = _secret(salt)
    endpoint = WebhookEndpoint.objects.create(
        id=uuid7(),
        environment_id=caller.environment_id,
        url=url,
        events=sorted(set(events)),
        description=description,
        status=status,
        secret_salt=salt,
        secret_check=secret_check(secret),
        created_at=wall,
        updated_at=wall,
    )
    _consumption_note(caller.environment_id)
    _audit(caller, endpoint, "created", {"url": [None, url], "events": [None, endpoint.events]}, now=now)
    return EndpointSecret(endpoint, secret)


@transaction.atomic
def endpoint_update(
    *, caller: Caller, endpoint_id: UUID, attributes: Mapping[str, Any], reason: str = "", now: datetime
) -> WebhookEndpoint:
    """Change `url`, `events`, `description` or `status`; what is not named stays."""
    _check(attributes)
    endpoint = endpoint_locked(environment_id=caller.environment_id, endpoint_id=endpoint_id)
    wanted = dict(attributes)
    if "events" in wanted:
        wanted["events"] = sorted(set(wanted["events"]))
    changes = {
        name: [getattr(endpoint, name), value]
        for name, value in wanted.items()
        if getattr(endpoint, name) != value
    }
    if changes:
        _apply(endpoint, {name: after for name, (_, after) in changes.items()})
        _consumption_note(caller.environment_id)
        _audit(caller, endpoint, "updated", changes, reason=reason, now=now)
    return endpoint


@transaction.atomic
def endpoint_delete(*, caller: Caller, endpoint_id: UUID, now: datetime) -> None:
    """Tell it of nothing more. Its deliveries stay readable. A second time is no error."""
    known = WebhookEndpoint.objects.filter(id=endpoint_id, environment_id=caller.environment_id)
    if known.filter(deleted_at__isnull=False).exists():
        return
    endpoint = endpoint_locked(environment_id=caller.environment_id, endpoint_id=endpoint_id)
    endpoint.deleted_at = system_now()
    endpoint.save(update_fields=["deleted_at"])
    waiting_skip(endpoint)
    _consumption_note(caller.environment_id)
    _audit(caller, endpoint, "deleted", {}, now=now)


@transaction.atomic
def endpoint_rotate_secret(
    *, caller: Caller, endpoint_id: UUID, reason: str = "", now: datetime
) -> EndpointSecret:
    """A new secret. The old one signs too for 24 hours, so that the receiver can change over without a gap."""
    endpoint = endpoint_locked(environment_id=caller.environment_id, endpoint_id=endpoint_id)
    salt, wall = randomness.token_hex(16), system_now()
    secret = _secret(salt)
    endpoint.previous_salt, endpoint.previous_until = endpoint.secret_salt, wall + ROTATION
    endpoint.secret_salt, endpoint.secret_check = salt, secret_check(secret)
    endpoint.updated_at = wall
    endpoint.save(
        update_fields=["previous_salt", "previous_until", "secret_salt", "secret_check", "updated_at"]
    )
    _audit(caller, endpoint, "secret_rotated", {}, reason=reason, now=now)
    return EndpointSecret(endpoint, secret)


@transaction.atomic
def endpoint_resume(
    *,
    caller: Caller,
    endpoint_id: UUID,
    redeliver_from: datetime | None = None,
    reason: str = "",
    now: datetime,
) -> int:
    """Active again, with a closed circuit; what waits is tried at once.

    With `redeliver_from` (wall clock) the events since then that it never got are queued again, in order. Returns how
    many those are.
    """
    endpoint = endpoint_locked(environment_id=caller.environment_id, endpoint_id=endpoint_id)
    before, wall = endpoint.status, system_now()
    _apply(endpoint, {"status": EndpointStatus.ACTIVE})
    WebhookLane.objects.filter(endpoint_id=endpoint.id).update(next_at=wall)
    queued = 0
    if redeliver_from is not None:
        arguments = [caller.environment_id, endpoint.id, uuid7_floor(redeliver_from), wall]
        row = call_one(_REQUEUE, arguments)
        queued = int(row[0]) if row else 0
    _audit(
        caller,
        endpoint,
        "resumed",
        {"status": [before, "active"], "queued": [0, queued]},
        reason=reason,
        now=now,
    )
    transaction.on_commit(partial(endpoint_ring, caller.environment_id, endpoint.id))
    return queued


@transaction.atomic
def endpoint_test(*, caller: Caller, endpoint_id: UUID, now: datetime) -> WebhookDelivery:
    """Send this endpoint, and no other, an event that means nothing, whatever its filters are."""
    endpoint = endpoint_locked(environment_id=caller.environment_id, endpoint_id=endpoint_id)
    if endpoint.status != EndpointStatus.ACTIVE:
        raise Conflict(f"The endpoint is {endpoint.status}; resume it first.")
    data = {"webhook_endpoint_id": endpoint.public_id}
    event_id = event_emit(caller=caller, event=TEST_EVENT, data=data, now=now)
    wall = system_now()
    # Handed out already, so that nobody else is told.
    OutboxEvent.objects.filter(id=event_id).update(dispatched_at=wall)
    delivery_id = uuid7()
    delivery = WebhookDelivery.objects.create(
        id=delivery_id,
        environment_id=caller.environment_id,
        endpoint=endpoint,
        event_id=event_id,
        lane=delivery_id,
        sequence=0,
        next_attempt_at=wall,
        created_at=wall,
    )
    WebhookLane.objects.create(
        endpoint=endpoint, lane=delivery_id, environment_id=caller.environment_id, next_at=wall
    )
    transaction.on_commit(partial(endpoint_ring, caller.environment_id, endpoint.id))
    return delivery


def endpoints_of(environment_id: UUID) -> Any:
    """All but the deleted ones."""
    return WebhookEndpoint.objects.filter(environment_id=environment_id, deleted_at__isnull=True)


def endpoint_locked(*, environment_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
    """The endpoint, locked until the end of the transaction."""
    found: WebhookEndpoint | None = (
        endpoints_of(environment_id).select_for_update(no_key=True).filter(id=endpoint_id).first()
    )
    if found is None:
        raise NotFound(f"There is no webhook endpoint {typeid('whe', endpoint_id)}.")
    return found


def endpoint_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> list[str]:
    """What signs at the moment, the new secret first; empty when the installation's signing key was changed."""
    secret = _secret(endpoint.secret_salt)
    if secret_check(secret) != endpoint.secret_check:
        return []
    has_previous = endpoint.previous_until is not None and endpoint.previous_until > now
    return [secret, _secret(endpoint.previous_salt)] if has_previous else [secret]


def waiting_skip(endpoint: WebhookEndpoint) -> None:
    """Nothing that waits will be sent; the endpoint is locked."""
    pending = WebhookDelivery.objects.filter(endpoint_id=endpoint.id, state=DeliveryState.PENDING)
    WebhookLane.objects.filter(endpoint_id=endpoint.id).delete()
    pending.update(state=DeliveryState.SKIPPED, next_attempt_at=None, finished_at=system_now())


def _apply(endpoint: WebhookEndpoint, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(endpoint, name, value)
    endpoint.updated_at = system_now()
    fields = [*attributes, "updated_at"]
    if "status" in attributes or "url" in attributes:
        # Whoever changes either wants it tried.
        endpoint.failures, endpoint.failing_since, endpoint.open_until = 0, None, None
        fields += ["failures", "failing_since", "open_until"]
    if "status" in attributes:
        endpoint.status_reason = ""
        fields.append("status_reason")
    endpoint.save(update_fields=fields)
    if endpoint.status == EndpointStatus.DISABLED:
        waiting_skip(endpoint)


def _consumption_note(environment_id: UUID) -> None:
    """Debits emit `credit.consumed` from now on, or no more: whether an endpoint names it."""
    named = endpoints_of(environment_id).filter(events__contains=[CONSUMPTION_EVENT]).exists()
    environment = Environment.objects.filter(id=environment_id)
    environment.exclude(tells_consumption=named).update(tells_consumption=named)


def _secret(salt: str) -> str:
    return secret_derive(signing_key=settings.WEBHOOKS_SIGNING_KEY, salt=salt)


def _audit(
    caller: Caller,
    endpoint: WebhookEndpoint,
    deed: str,
    changes: Mapping[str, Any],
    *,
    reason: str = "",
    now: datetime,
) -> None:
    audit_record(
        caller=caller,
        action=f"webhook_endpoint.{deed}",
        object_type="webhook_endpoint",
        object_id=endpoint.public_id,
        reason=reason,
        changes=changes,
        now=now,
    )


def _check(attributes: Mapping[str, Any]) -> None:
    errors = [
        FieldError(name, "invalid", refusal)
        for name, value in attributes.items()
        if (refusal := _REFUSALS[name](value)) is not None
    ]
    if errors:
        raise ValidationFailed(errors=errors)


def _url_refusal(url: str) -> str | None:
    return url_refusal(url) or literal_refusal(url, allow_private=settings.WEBHOOKS_ALLOW_PRIVATE)


def _events_refusal(events: Sequence[str]) -> str | None:
    if not 1 <= len(events) <= _FILTERS_MAX:
        return f"Name 1 to {_FILTERS_MAX} events, or * for all."
    unknown = [name for name in events if not _is_filter(name)]
    return f"There is no event {unknown[0][:60]}; see /docs/webhooks." if unknown else None


def _is_filter(name: str) -> bool:
    if name == "*" or name in CATALOGUE:
        return True
    return name.endswith(".*") and any(known.startswith(name[:-1]) for known in CATALOGUE)


def _description_refusal(text: str) -> str | None:
    return None if len(text) <= 500 and "\x00" not in text else "Must be at most 500 characters."


def _status_refusal(status: str) -> str | None:
    return None if status in EndpointStatus.values else f"Must be one of {', '.join(EndpointStatus.values)}."


_REFUSALS: Final[dict[str, Any]] = {
    "url": _url_refusal,
    "events": _events_refusal,
    "description": _description_refusal,
    "status": _status_refusal,
}
