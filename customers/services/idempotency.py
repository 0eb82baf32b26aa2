"""Idempotency-Keys: claimed in the transaction of the work, answered from the record afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg
from django.conf import settings

from customers.errors import IdempotencyKeyInFlight, IdempotencyKeyReused
from customers.kernel.database import call_one
from customers.kernel.ids import uuid7
from customers.models import IdempotencyRecord

_CLAIM: Final = "SELECT * FROM customers_idempotency_claim_v1($1, $2, $3, $4, $5, $6, $7)"
_PURGE: Final = "SELECT customers_answers_purge_v1($1, $2)"
_PURGE_BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is known of a key: it is ours now (`claimed`), was answered, or its answer is gone but its effect stands."""

    record_id: UUID
    claimed: bool
    effect_id: UUID | None
    status: int | None
    body: bytes | None


def key_claim(*, environment_id: UUID, family: str, key: str, fingerprint: bytes, now: datetime) -> Claim:
    """Claim the key until the end of the present transaction, or find what it was used for. `now` is the wall clock.

    A holder in flight is waited for; one that dies frees the key, because the claim is a row of its transaction.
    """
    wait_ms = settings.IDEMPOTENCY_WAIT_SECONDS * 1000
    try:
        row = call_one(_CLAIM, [environment_id, family, key, fingerprint, uuid7(), now, wait_ms])
    except psycopg.errors.LockNotAvailable:
        raise IdempotencyKeyInFlight(retry_after_seconds=settings.IDEMPOTENCY_WAIT_SECONDS) from None
    assert row is not None  # noqa: S101 - a function returns one row
    record_id, claimed, known_fingerprint, effect_id, status, body = row
    if bytes(known_fingerprint) != fingerprint:
        raise IdempotencyKeyReused
    return Claim(
        record_id=record_id,
        claimed=claimed,
        effect_id=effect_id,
        status=status,
        body=None if body is None else bytes(body),
    )


def answer_keep(*, record_id: UUID, status: int | None, body: bytes | None, effect_id: UUID | None) -> None:
    """Store the answer, byte for byte, to be sent again; or only what it made."""
    IdempotencyRecord.objects.filter(id=record_id).update(status=status, body=body, effect_id=effect_id)


def answers_purge(*, now: datetime) -> int:
    """Forget answers older than the retention, in batches; returns how many."""
    before = now - timedelta(seconds=settings.IDEMPOTENCY_RETENTION_SECONDS)
    purged = 0
    while True:
        row = call_one(_PURGE, [before, _PURGE_BATCH])
        batch = int(row[0]) if row else 0
        purged += batch
        if batch < _PURGE_BATCH:
            return purged
