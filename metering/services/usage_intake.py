"""Usage that comes from a queue or a stream: batches delivered at least once, recorded exactly once.

What is delivered again is found by its keys, so whoever delivers may acknowledge after the commit and deliver again
whenever in doubt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from customers.errors import DomainError, FieldError, MalformedRequest, Unavailable, ValidationFailed
from customers.kernel.amounts import units_refusal
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_parse
from customers.kernel.memory import ConfigMoved, forget_environment
from customers.services.checks import key_refusal, metadata_refusal
from metering.services.usage import Outcome, UsageInput, UsageRecorded, UsageWish
from metering.services.usage_batch import usages_record

_log = logging.getLogger(__name__)

#: Events recorded in one transaction; more of a delivery are recorded in further ones.
_STEP: Final = 500
_TURNS: Final = 3


class QueuedEvent(msgspec.Struct, forbid_unknown_fields=True):
    """The members of an event of `/v1/usage`, or, with `metric_key` and `value`, of `/v1/events`."""

    idempotency_key: str
    billable_metric_key: str | None = None
    units: int | Decimal | None = None
    metric_key: str | None = None
    value: int | Decimal = 1
    customer_id: str | None = None
    external_customer_id: str | None = None
    timestamp: str | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What became of a delivery."""

    accepted: int
    duplicates: int
    rejected: int


class TryAgain(Exception):
    """Something passing stood in the way of some of the events: deliver them again."""


_raws: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_event: Final = msgspec.json.Decoder(QueuedEvent, float_hook=Decimal).decode


def usage_intake(*, environment_id: UUID, events: str, actor: str, now: datetime) -> Intake:
    """Record a JSON list of events, in its order. Refused ones are logged and not tried again; see docs/ingestion.md.

    JSON text, because numbers must not pass through floats on their way. Raises TryAgain when some could not be decided
    now: those recorded stay recorded, and are duplicates the next time.
    """
    caller = Caller(environment_id=environment_id, actor=actor)
    try:
        raws = _raws(events)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedRequest(f"This is no list of events: {error}.") from None
    outcomes: list[Outcome] = []
    for start in range(0, len(raws), _STEP):
        outcomes += _recorded(caller, [_read(bytes(raw)) for raw in raws[start : start + _STEP]], now)
    return _counted(environment_id, outcomes)


def _recorded(caller: Caller, inputs: Sequence[UsageInput | DomainError], now: datetime) -> list[Outcome]:
    wishes = [UsageWish(caller=caller, usage=each) for each in inputs if isinstance(each, UsageInput)]
    for _ in range(_TURNS):
        try:
            outcomes = iter(usages_record(environment_id=caller.environment_id, wishes=wishes, now=now))
            return [each if isinstance(each, DomainError) else next(outcomes) for each in inputs]
        except ConfigMoved:
            forget_environment(caller.environment_id)
    raise TryAgain("the configuration keeps changing")


def _counted(environment_id: UUID, outcomes: Sequence[Outcome]) -> Intake:
    refused = [each for each in outcomes if not isinstance(each, UsageRecorded)]
    recorded = [each for each in outcomes if isinstance(each, UsageRecorded)]
    for refusal in refused:
        code = refusal.code if isinstance(refusal, DomainError) else type(refusal).__name__
        _log.warning(
            "a queued event was refused", extra={"code": code, "environment_id": str(environment_id)}
        )
    if any(isinstance(each, Unavailable) or getattr(each, "status", 0) >= 500 for each in refused):
        raise TryAgain("some events could not be decided now")
    duplicates = sum(each.duplicate for each in recorded)
    return Intake(accepted=len(recorded) - duplicates, duplicates=duplicates, rejected=len(refused))


def _read(raw: bytes) -> UsageInput | DomainError:
    try:
        return _input(_event(raw))
    except DomainError as refusal:
        return refusal
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, psycopg.DataError) as error:
        return ValidationFailed(f"This is no event: {error}.")


def _input(event: QueuedEvent) -> UsageInput:
    is_usage = event.billable_metric_key is not None
    metric_key = event.billable_metric_key if is_usage else event.metric_key
    units = event.units if is_usage else event.value
    if metric_key is None or units is None or (is_usage and event.metric_key is not None):
        raise _invalid("billable_metric_key", "Send billable_metric_key and units, or metric_key and value.")
    by, reference = _customer(event)
    return UsageInput(
        by=by,
        reference=reference,
        metric_key=metric_key,
        units=_units("units" if is_usage else "value", units, above_zero=is_usage),
        key=_key(event.idempotency_key),
        timestamp=_timestamp(event.timestamp),
        properties=_object("properties", event.properties),
        metadata=_object("metadata", event.metadata),
        needs_rule=is_usage,
        may_create=is_usage,
    )


def _customer(event: QueuedEvent) -> tuple[str, str]:
    named = [
        (by, name)
        for by, name in (("id", event.customer_id), ("external", event.external_customer_id))
        if name is not None
    ]
    if len(named) != 1 or not 0 < len(named[0][1]) <= 255:
        raise _invalid("customer_id", "Name the customer by exactly one id of 1 to 255 characters.")
    return named[0]


def _units(field: str, units: int | Decimal, *, above_zero: bool) -> int | Decimal:
    refusal = units_refusal(Decimal(units))
    if refusal is None and above_zero and units <= 0:
        refusal = "Must be above 0."
    if refusal is not None:
        raise _invalid(field, refusal)
    return units


def _key(key: str) -> str:
    refusal = key_refusal(key)
    if refusal is not None:
        raise _invalid("idempotency_key", refusal)
    return key


def _timestamp(text: str | None) -> datetime | None:
    instant = instant_parse(text) if text is not None else None
    if text is not None and instant is None:
        raise _invalid("timestamp", "Must be an instant such as 2026-04-03T09:01:00Z.")
    return instant


def _object(field: str, value: dict[str, Any] | None) -> dict[str, Any] | None:
    refusal = metadata_refusal(value) if value else None
    if refusal is not None:
        raise _invalid(field, refusal)
    return value


def _invalid(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "invalid", message)])
