"""Events on their way out: outbox → deliveries → attempts. Tasks call this, twice or at once if they like.

Nothing here holds a transaction while it waits for a receiver. A worker that dies between sending and recording leaves
a claim that lapses: the same events are sent again, under the same `webhook-id`. Times are the wall clock's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction

from customers.engine.webhook_schedule import next_try, retry_after_parse
from customers.engine.webhook_signing import signatures, signing_key
from customers.gateways.alerts import operators_alert
from customers.gateways.webhook_http import Reply, webhook_post
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import call_all, call_one, environment_scope
from customers.kernel.ids import typeid, uuid7
from customers.models import DeliveryState, EndpointStatus, WebhookEndpoint
from customers.services.webhook_endpoints import endpoint_locked, endpoint_secrets, waiting_skip

#: An attempt ends, answered or not, after so long in total.
TIMEOUT_SECONDS: Final = 5.0
#: So many failures in a row open an endpoint's circuit.
FAILURES_MAX: Final = 10
#: So many deliveries are claimed, sent and recorded together.
BATCH: Final = 100
#: So many events are handed out together, with what else their customers have waiting.
EVENTS: Final = 1000
# A worker is with one endpoint for so long, then it is others' turn.
_TURN_SECONDS: Final = 5.0
_CLAIM: Final = timedelta(seconds=60)
_HAND_OUT: Final = "SELECT customers_webhook_hand_out_v1($1, $2, $3)"
_DUE: Final = "SELECT environment_id, endpoint_id FROM customers_webhooks_due_v1($1)"
_CLAIMED: Final = "SELECT * FROM customers_webhook_claim_v1($1, $2, $3, $4, $5, $6, $7)"
_RECORDED: Final = (
    "SELECT * FROM customers_webhook_record_v1($1, $2, $3, $4::uuid[], $5::jsonb, $6, $7, $8, $9, $10)"
)
_USER_AGENT: Final = "Purser-Webhooks/1"
_RESULTS: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to be sent now."""

    delivery_id: UUID
    event_id: UUID
    lane: UUID
    attempts: int
    tries: int
    body: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Lanes that are ours for a while, and what is to be sent out of them."""

    id: UUID
    endpoint: WebhookEndpoint
    lanes: list[UUID]
    deliveries: list[Claimed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was sent and what came of it."""

    claimed: Claimed
    started_at: datetime
    latency_ms: int
    headers: dict[str, str]
    body_sha256: str
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
    return sum(events_handed_out(environment_id=environment_id))


def events_handed_out(*, environment_id: UUID) -> Iterator[int]:
    """The same in batches, each of which can be sent while the next is queued; says how many are in each."""
    count = EVENTS
    while count >= EVENTS:
        row = call_one(_HAND_OUT, [environment_id, EVENTS, system_now()])
        count = int(row[0]) if row else 0
        if count > 0:
            yield count


def endpoint_deliver(*, environment_id: UUID, endpoint_id: UUID) -> int:
    """Send what is due to one endpoint, for a few seconds at most; returns how many attempts were made."""
    claim = _claim(environment_id, endpoint_id)
    if claim is None:
        return 0
    attempts: list[Attempt] = []
    try:
        attempts.extend(_sent(claim))
    finally:
        _record(environment_id, endpoint_id, claim, attempts)
    return len(attempts)


def _claim(environment_id: UUID, endpoint_id: UUID) -> Claim | None:
    claim_id, now = uuid7(), system_now()
    parallel = settings.WEBHOOKS_ENDPOINT_CONCURRENCY
    arguments = [environment_id, endpoint_id, claim_id, BATCH, parallel, now, now + _CLAIM]
    rows = call_all(_CLAIMED, arguments)
    if not rows:
        return None
    with environment_scope(environment_id):
        endpoint = WebhookEndpoint.objects.get(id=endpoint_id)
    # In some lanes nothing waits any more.
    deliveries = [Claimed(*row) for row in rows if row[0] is not None]
    return Claim(claim_id, endpoint, list({row[2] for row in rows}), deliveries)


def _sent(claim: Claim) -> Iterator[Attempt]:
    """One after another; a lane in which one failed waits, the others go on."""
    began, failed_lanes, failed = elapsed_seconds(), set(), 0
    keys = [signing_key(secret) for secret in endpoint_secrets(claim.endpoint, now=system_now())]
    for each in claim.deliveries:
        if elapsed_seconds() - began > _TURN_SECONDS or failed >= FAILURES_MAX:
            return
        if each.lane in failed_lanes:
            continue
        attempt = _attempt(claim.endpoint, each, keys)
        yield attempt
        if attempt.is_gone:
            return
        failed = 0 if attempt.is_delivered else failed + 1
        if not attempt.is_delivered:
            failed_lanes.add(each.lane)


def _attempt(endpoint: WebhookEndpoint, claimed: Claimed, keys: list[bytes]) -> Attempt:
    started_at, began, body = system_now(), elapsed_seconds(), claimed.body.encode()
    message_id, timestamp = typeid("msg", claimed.event_id), int(started_at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(keys=keys, message_id=message_id, timestamp=timestamp, body=body),
    }
    if keys:
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
    return Attempt(
        claimed=claimed,
        started_at=started_at,
        latency_ms=round((elapsed_seconds() - began) * 1000),
        headers=headers,
        body_sha256=hashlib.sha256(body).hexdigest(),
        reply=reply,
    )


def _record(environment_id: UUID, endpoint_id: UUID, claim: Claim, attempts: list[Attempt]) -> None:
    """Store what happened; without attempts it only lets go of the claim."""
    now = system_now()
    good = [index for index, attempt in enumerate(attempts) if attempt.is_delivered]
    failed = len(attempts) - 1 - good[-1] if good else len(attempts)
    arguments = [environment_id, endpoint_id, claim.id, claim.lanes, _results(claim, attempts, now)]
    arguments += [bool(good), failed, _latency(attempts), FAILURES_MAX, now]
    is_gone = any(attempt.is_gone for attempt in attempts)
    with _disabling(environment_id) if failed else nullcontext():
        row = call_one(_RECORDED, arguments)
        assert row is not None  # noqa: S101 - a function returns one row
        failures_before, failures_now, failing_since = row
        is_given_up = failing_since is not None and now - failing_since > timedelta(
            hours=settings.WEBHOOKS_DISABLE_AFTER_HOURS
        )
        if failed and (is_gone or is_given_up):
            _disable(claim.endpoint, "gone" if is_gone else "failing")
    if failed and failures_before < FAILURES_MAX <= failures_now:
        what = "is failing; it is tried less often until it is well"
        _alert(claim.endpoint, what, attempts[-1].reply)
    if failed and (is_gone or is_given_up):
        _alert(claim.endpoint, "was disabled", attempts[-1].reply)


@contextmanager
def _disabling(environment_id: UUID) -> Iterator[None]:
    """Where an endpoint may have to be disabled, in the transaction that says why."""
    with environment_scope(environment_id), transaction.atomic():
        yield


def _latency(attempts: list[Attempt]) -> int | None:
    return sum(each.latency_ms for each in attempts) // len(attempts) if attempts else None


def _results(claim: Claim, attempts: list[Attempt], now: datetime) -> str:
    """The attempts as JSON, for customers_webhook_record_v1."""
    return _RESULTS.encode([_result(claim.endpoint.url, attempt, now) for attempt in attempts]).decode()


def _result(url: str, attempt: Attempt, now: datetime) -> dict[str, object]:
    claimed, reply = attempt.claimed, attempt.reply
    state, next_at = _fate(attempt, now)
    return {
        "id": uuid7(),
        "delivery": claimed.delivery_id,
        "lane": claimed.lane,
        "number": claimed.attempts + 1,
        "started_at": attempt.started_at,
        "url": url,
        "headers": attempt.headers,
        "body_sha256": attempt.body_sha256,
        "status": reply.status,
        "head": reply.head,
        "latency_ms": attempt.latency_ms,
        "error": reply.error,
        "state": state,
        "next_at": next_at,
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
