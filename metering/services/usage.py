"""Record usage: price it from memory, then debit it and store it in one call of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import transaction
from msgspec.structs import replace

from billing.errors import InsufficientCredits
from billing.services.catch_up import answer_caught_up
from customers.errors import CustomerNotFound, DomainError, FieldError, IdempotencyKeyReused, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import typeid, uuid7
from customers.kernel.instants import instant_text
from customers.kernel.json import json_bytes
from customers.kernel.memory import ConfigMoved
from metering.errors import UsageSuspended
from metering.services.quotes import (
    MOVED,
    GuessKey,
    Number,
    Quote,
    Standing,
    guess_key,
    quote_make,
    standing_after,
    standing_guess,
    standing_remember,
    standing_told,
)

#: How far ahead of the clock an event's own timestamp may be.
_AHEAD: Final = timedelta(minutes=5)
#: How often one call is priced anew because the customer, plan or counter was another than expected.
_ATTEMPTS: Final = 6


class UsageInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as asked for. `key` is its identity for ever; `by` says what `reference` is: `id` or `external`."""

    by: str
    reference: str
    metric_key: str
    units: Number
    key: str
    timestamp: datetime | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    #: Events, as opposed to usage, need no metering rule and never make a customer.
    needs_rule: bool = True
    may_create: bool = True


class UsageRecorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The event that the key stands for, and whether an earlier call made it."""

    event_id: UUID
    cost_mc: int
    duplicate: bool


class UsageWish(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event and who asks for it."""

    caller: Caller
    usage: UsageInput


#: What became of a wish: the event, or why there is none.
Outcome = UsageRecorded | Exception


def usage_record(*, caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    """Debit the event's cost and store the event, exactly once for its key. Durable when this returns.

    Raises InsufficientCredits, UsageSuspended, CustomerNotFound, IdempotencyKeyReused, MetricUnknown,
    MetricInactive, NoActiveMeteringRule, NoRateForProperty; ConfigMoved when this process's catalogue is old.
    """
    timestamp_check(usage.timestamp, now)
    try:
        return _record(caller, usage, now)
    except DomainError:
        # The metric may be inactive, or without a price, by now: what its key recorded before still stands.
        recorded = _recorded_before(caller, usage)
        if recorded is None:
            raise
        return recorded


def _record(caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    guess = guess_key(caller.environment_id, usage)
    standing = standing_guess(guess)
    for _ in range(2):
        quote = _quote(caller.environment_id, usage, standing, now)
        answer = _call(caller, usage, standing, quote, now)
        if answer.status not in MOVED:
            _remember(guess, quote, answer, usage)
            return _recorded(answer)
        standing = standing_told(answer)
    return _record_under_lock(caller, usage, standing, now)


def _recorded_before(caller: Caller, usage: UsageInput) -> UsageRecorded | None:
    answer = call_function(
        "metering_usage_find_v1",
        environment=caller.environment_id,
        by=usage.by,
        reference=usage.reference,
        key=usage.key,
        fingerprint=usage_fingerprint(usage),
    )
    return _recorded(answer) if answer.status == "duplicate" else None


def _record_under_lock(caller: Caller, usage: UsageInput, standing: Standing, now: datetime) -> UsageRecorded:
    """Two prices in a row were out of date: lock the account, read where it stands, price, record."""
    with transaction.atomic():
        for _ in range(_ATTEMPTS):
            quote = _quote(caller.environment_id, usage, standing, now)
            counter = call_function(
                "metering_counter_lock_v1",
                environment=caller.environment_id,
                customer=standing.customer_id,
                metric=quote.metric.id,
                rule=quote.rule.id,
                dimension=quote.dimension,
                value=quote.value,
                now=now,
            )
            standing = replace(standing, cycle_units=counter.units, cycle_charged_mc=counter.charged)
            quote = _quote(caller.environment_id, usage, standing, now)
            answer = _call(caller, usage, standing, quote, now)
            if answer.status not in MOVED:
                return _recorded(answer)
            standing = standing_told(answer)
    raise RuntimeError("a locked account moved")


def _quote(environment_id: UUID, usage: UsageInput, standing: Standing, now: datetime) -> Quote:
    return quote_make(
        environment_id=environment_id,
        metric_key=usage.metric_key,
        units=usage.units,
        properties=usage.properties,
        standing=standing,
        now=now,
    )


def _call(caller: Caller, usage: UsageInput, standing: Standing, quote: Quote, now: datetime) -> Any:
    def attempt() -> Any:
        counted = quote.rate.depends_on_cycle
        steady_from, steady_to = quote.steady or (None, None)
        return call_function(
            "metering_usage_record_v1",
            environment=caller.environment_id,
            config_version=caller.knows(quote.config_version),
            by=usage.by,
            reference=usage.reference,
            new_customer=uuid7(),
            event=uuid7(),
            metric=quote.metric.id,
            metric_key=quote.metric.key,
            rule=quote.rule.id,
            scoped=quote.metric.is_scoped,
            priced_customer=standing.customer_id,
            priced_variant=standing.plan_variant_id,
            dimension=quote.dimension,
            value=quote.value,
            cycle_units=Decimal(standing.cycle_units) if counted else None,
            cycle_charged=standing.cycle_charged_mc if counted else None,
            steady_from=steady_from,
            steady_to=steady_to,
            units=Decimal(usage.units),
            cost=quote.cost_mc,
            key=usage.key,
            fingerprint=usage_fingerprint(usage),
            timestamp=usage.timestamp,
            properties=usage.properties,
            metadata=usage.metadata,
            actor=caller.actor,
            request=caller.request_id,
            now=now,
        )

    answer = answer_caught_up(attempt, environment_id=caller.environment_id, now=now)
    if answer.status == "stale-config":
        raise ConfigMoved
    return answer


def _remember(guess: GuessKey, quote: Quote, answer: Any, usage: UsageInput) -> None:
    if not (quote.metric.is_scoped or quote.rate.depends_on_cycle):
        return
    standing = standing_told(answer)
    if answer.status == "accepted":
        standing = standing_after(standing, units=usage.units, cost_mc=answer.cost)
    standing_remember(guess, standing)


def _recorded(answer: Any) -> UsageRecorded:
    refusal = _REFUSALS.get(answer.status)
    if refusal is not None:
        raise refusal(answer)
    return UsageRecorded(
        event_id=answer.event_id, cost_mc=answer.cost, duplicate=answer.status == "duplicate"
    )


_REFUSALS: Final[dict[str, Callable[[Any], DomainError]]] = {
    "insufficient": lambda answer: InsufficientCredits(extra={"effective_balance": answer.effective}),
    "suspended": lambda _: UsageSuspended(),
    "customer-not-found": lambda _: CustomerNotFound(),
    "key-reused": lambda answer: IdempotencyKeyReused(extra={"event_id": typeid("evt", answer.event_id)}),
}


def usage_fingerprint(usage: UsageInput) -> bytes:
    """What was asked for, but for the customer, who is compared as the row it resolves to."""
    return event_fingerprint(usage.metric_key, usage.units, usage.timestamp, usage.properties)


def event_fingerprint(
    metric_key: str, units: Number, timestamp: datetime | None, properties: dict[str, Any] | None
) -> bytes:
    """The same, of an event's parts."""
    spelled = f"{Decimal(units).normalize():f}"
    asked = [metric_key, spelled, instant_text(timestamp) if timestamp else None, properties]
    return blake2b(json_bytes(asked), digest_size=16).digest()


def timestamp_check(timestamp: datetime | None, now: datetime) -> None:
    """Refuse an event that says it happened later than clocks can differ."""
    if timestamp is not None and timestamp > now + _AHEAD:
        raise ValidationFailed(
            errors=[FieldError("timestamp", "in-the-future", "Must not be more than 5 minutes ahead.")]
        )
