"""Events on their way out: outbox → deliveries → attempts. Tasks call this, twice or at once if they like.

Nothing here holds a transaction while it waits for a receiver. A worker that dies between sending and recording leaves
a claim that lapses: the same events are sent again, under the same `webhook-id`. Times are the wall clock's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from psycopg.types.json import Jsonb

from customers.engine.webhook_schedule import next_try, retry_after_parse
from customers.engine.webhook_signing import signatures
from customers.gateways.alerts import operators_alert
from customers.gateways.webhook_http import Reply, webhook_post
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import call_all, call_function, call_one, environment_scope
from customers.kernel.ids import typeid, uuid7
from customers.kernel.instants import instant_text
from customers.kernel.json import json_text
from customers.models import DeliveryState, EndpointStatus, WebhookEndpoint
from customers.services.webhook_endpoints import endpoint_locked, endpoint_secrets, waiting_skip

#: An attempt ends, answered or not, after so long in total.
TIMEOUT_SECONDS: Final = 5.0
#: So many failures in a row open an endpoint's circuit.
FAILURES_MAX: Final = 10
#: So many deliveries are claimed, sent and recorded together.
BATCH: Final = 100
_EVENTS: Final = 1000
# A worker is with one endpoint for so long, then it is others' turn.
_TURN_SECONDS: Final = 5.0
_CLAIM: Final = timedelta(seconds=60)
_HAND_OUT: Final = "SELECT customers_webhook_hand_out_v1($1, $2, $3)"
_DUE: Final = "SELECT environment_id, endpoint_id FROM customers_webhooks_due_v1($1)"
_CLAIMED: Final = "SELECT * FROM customers_webhook_claim_v1($1, $2, $3, $4, $5, $6, $7)"
_USER_AGENT: Final = "Purser-Webhooks/1"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to be sent now."""

    delivery_id: UUID
    event_id: UUID
    lane: UUID
    attempts: int
    tries: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was sent and what came of it."""

    claimed: Claimed
    started_at: datetime
    latency_ms: int
    headers: dict[str, str]
    reply: Reply

    @property
    def is_delivered(self) -> bool:
        return self.reply.status is not None and 200 <= self.reply.status < 300

    @property
    def is_gone(self) -> bool:
        return self.reply.status == 410


def webhooks_due() -> list[tuple[UUID, UUID | None]]:
    """(environment, endpoint) with something to send; (environment, None) with events to hand out."""
    return [(row[0], row[1]) for row in call_all(_DUE, [system_now()])]


def events_hand_out(*, environment_id: UUID) -> int:
    """Queue all events that wait, for the endpoints that want them; returns how many."""
    handed = 0
    while True:
        row = call_one(_HAND_OUT, [environment_id, _EVENTS, system_now()])
        count = int(row[0]) if row else 0
        handed += max(count, 0)
        if count < _EVENTS:
            return handed


def endpoint_deliver(*, environment_id: UUID, endpoint_id: UUID) -> int:
    """Send what is due to one endpoint, for a few seconds at most; returns how many attempts were made."""
    claim_id, now = uuid7(), system_now()
    parallel = settings.WEBHOOKS_ENDPOINT_CONCURRENCY
    arguments = [environment_id, endpoint_id, claim_id, BATCH, parallel, now, now + _CLAIM]
    claimed = [Claimed(*row) for row in call_all(_CLAIMED, arguments)]
    if not claimed:
        return 0
    attempts: list[Attempt] = []
    try:
        with environment_scope(environment_id):
            endpoint = WebhookEndpoint.objects.get(id=endpoint_id)
        attempts.extend(_sent(endpoint, claimed))
    finally:
        _record(environment_id, endpoint_id, claim_id, attempts)
    return len(attempts)


def _sent(endpoint: WebhookEndpoint, claimed: list[Claimed]) -> Iterator[Attempt]:
    """One after another; a lane in which one failed waits, the others go on."""
    began, failed_lanes, failed = elapsed_seconds(), set(), 0
    secrets = endpoint_secrets(endpoint, now=system_now())
    for each in claimed:
        if elapsed_seconds() - began > _TURN_SECONDS or failed >= FAILURES_MAX:
            return
        if each.lane in failed_lanes:
            continue
        attempt = _attempt(endpoint, each, secrets)
        yield attempt
        if attempt.is_gone:
            return
        failed = 0 if attempt.is_delivered else failed + 1
        if not attempt.is_delivered:
            failed_lanes.add(each.lane)


def _attempt(endpoint: WebhookEndpoint, claimed: Claimed, secrets: list[str]) -> Attempt:
    started_at, began, body = system_now(), elapsed_seconds(), claimed.body.encode()
    message_id, timestamp = typeid("msg", claimed.event_id), int(started_at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(
            secrets=secrets, message_id=message_id, timestamp=timestamp, body=body
        ),
    }
    if secrets:
        reply = webhook_post(
            endpoint_id=endpoint.id,
            url=endpoint.url,
            body=body,
            headers=headers,
            seconds=TIMEOUT_SECONDS,
            allow_private=settings.WEBHOOKS_ALLOW_PRIVATE,
        )
    else:
        reply = Reply(status=None, error="this installation's signing key was changed: rotate the secret")
    latency_ms = round((elapsed_seconds() - began) * 1000)
    return Attempt(
        claimed=claimed, started_at=started_at, latency_ms=latency_ms, headers=headers, reply=reply
    )


def _record(environment_id: UUID, endpoint_id: UUID, claim_id: UUID, attempts: list[Attempt]) -> None:
    """Store what happened; without attempts it only lets go of the claim."""
    now = system_now()
    with environment_scope(environment_id), transaction.atomic():
        endpoint = WebhookEndpoint.objects.get(id=endpoint_id)
        good = [index for index, attempt in enumerate(attempts) if attempt.is_delivered]
        health = call_function(
            "customers_webhook_record_v1",
            environment=environment_id,
            endpoint=endpoint_id,
            claim=claim_id,
            results=Jsonb([_result(endpoint, attempt, now) for attempt in attempts], dumps=json_text),
            succeeded=bool(good),
            failed=len(attempts) - 1 - good[-1] if good else len(attempts),
            latency=sum(each.latency_ms for each in attempts) // len(attempts) if attempts else None,
            threshold=FAILURES_MAX,
            now=now,
        )
        is_gone = any(attempt.is_gone for attempt in attempts)
        is_given_up = health.failing_since is not None and now - health.failing_since > timedelta(
            hours=settings.WEBHOOKS_DISABLE_AFTER_HOURS
        )
        if is_gone or is_given_up:
            _disable(endpoint, "gone" if is_gone else "failing")
    last = attempts[-1].reply if attempts else None
    if last and health.failures_before < FAILURES_MAX <= health.failures_now:
        _alert(endpoint, "is failing; it is tried less often until it is well", last)
    if last and (is_gone or is_given_up):
        _alert(endpoint, "was disabled", last)


def _result(endpoint: WebhookEndpoint, attempt: Attempt, now: datetime) -> dict[str, Any]:
    claimed, reply = attempt.claimed, attempt.reply
    state, next_at = _fate(attempt, now)
    return {
        "id": str(uuid7()),
        "delivery": str(claimed.delivery_id),
        "lane": str(claimed.lane),
        "number": claimed.attempts + 1,
        "started_at": instant_text(attempt.started_at),
        "url": endpoint.url,
        "headers": attempt.headers,
        "body_sha256": hashlib.sha256(claimed.body.encode()).hexdigest(),
        "status": reply.status,
        "head": reply.head,
        "latency_ms": attempt.latency_ms,
        "error": reply.error,
        "state": state,
        "next_at": instant_text(next_at) if next_at else None,
    }


def _fate(attempt: Attempt, now: datetime) -> tuple[str, datetime | None]:
    """What becomes of the delivery, and when it is tried again."""
    if attempt.is_delivered:
        return DeliveryState.DELIVERED, None
    next_at = next_try(
        tries=attempt.claimed.tries + 1,
        asked=retry_after_parse(attempt.reply.retry_after, now),
        luck=random.random(),  # noqa: S311 - spreads retries, guards nothing
        now=now,
    )
    if attempt.is_gone or next_at is None:
        return DeliveryState.DEAD, None
    return DeliveryState.PENDING, next_at


def _disable(endpoint: WebhookEndpoint, reason: str) -> None:
    locked = endpoint_locked(environment_id=endpoint.environment_id, endpoint_id=endpoint.id)
    locked.status, locked.status_reason = EndpointStatus.DISABLED, reason
    locked.save(update_fields=["status", "status_reason"])
    waiting_skip(locked)


def _alert(endpoint: WebhookEndpoint, what: str, reply: Reply) -> None:
    answer = reply.error or f"HTTP {reply.status}"
    operators_alert(
        subject=f"Webhook endpoint {endpoint.public_id} {what}",
        text=f"{endpoint.url}\nLast answer: {answer}\n{settings.PURSER_URL}/admin/customers/webhookendpoint/"
        f"{endpoint.public_id}/change/",
    )
