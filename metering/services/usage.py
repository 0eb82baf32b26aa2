"""Record usage: price it from memory, then debit it and store it in one call of the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.errors import InsufficientCredits
from billing.services.catch_up import caught_up
from customers.errors import CustomerNotFound, DomainError, FieldError, IdempotencyKeyReused, ValidationFailed
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import typeid, uuid7
from customers.kernel.instants import instant_text
from customers.kernel.json import json_bytes
from customers.kernel.memory import ConfigMoved
from metering.engine.pricing import Rate, cost
from metering.errors import NoRateForProperty, UsageSuspended
from metering.selectors.config import EnvironmentConfig, MetricConfig, config_ask
from metering.selectors.rule_versions import RuleConfig

#: How far ahead of the clock an event's own timestamp may be.
_AHEAD: Final = timedelta(minutes=5)
#: How often one call is priced anew because the customer, plan or counter was another than expected.
_ATTEMPTS: Final = 6

Number = int | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageInput:
    """One event as asked for. `key` is its identity for ever; `by` says what `reference` is: `id` or `external`."""

    by: str
    reference: str
    metric_key: str
    units: Number
    key: str
    timestamp: datetime | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecorded:
    """The event that the key stands for, and whether an earlier call made it."""

    event_id: UUID
    cost_mc: int
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """Who the customer was taken to be, and where they were taken to stand in the cycle, when the price was made."""

    customer_id: UUID | None = None
    plan_variant_id: UUID | None = None
    cycle_units: Number = 0
    cycle_charged_mc: int = 0


_NOBODY: Final = _Standing()
#: Where customers stood when this process last priced for them: a guess that the database confirms or corrects, so it
#: can be old, or gone, without harm.
_guesses: Final[dict[tuple[UUID, str, str, str], _Standing]] = {}
_GUESSES_MAX: Final = 20_000
#: The answers that say: priced for another customer, plan or counter than there is.
_MOVED: Final = ("reprice", "stale-counter")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    metric: MetricConfig
    config_version: int
    rule: RuleConfig
    rate: Rate
    dimension: str
    value: str
    cost_mc: int


def usage_record(*, caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    """Debit the event's cost and store the event, exactly once for its key. Durable when this returns.

    Raises InsufficientCredits, UsageSuspended, CustomerNotFound, IdempotencyKeyReused, MetricUnknown,
    MetricInactive, NoActiveMeteringRule, NoRateForProperty; ConfigMoved when this process's catalogue is old.
    """
    _check_timestamp(usage.timestamp, now)
    try:
        return _record(caller, usage, now)
    except DomainError:
        # The metric may be inactive, or without a price, by now: what its key recorded before still stands.
        recorded = _recorded_before(caller, usage)
        if recorded is None:
            raise
        return recorded


def _record(caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    guess = (caller.environment_id, usage.by, usage.reference, usage.metric_key)
    standing = _guesses.get(guess, _NOBODY)
    for _ in range(2):
        price = _price(caller.environment_id, usage, standing, now)
        answer = _call(caller, usage, standing, price, now)
        if answer.status not in _MOVED:
            _remember(guess, price, answer, usage)
            return _recorded(answer)
        standing = _standing_from(answer)
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


def _record_under_lock(
    caller: Caller, usage: UsageInput, standing: _Standing, now: datetime
) -> UsageRecorded:
    """Two prices in a row were out of date: lock the account, read where it stands, price, record."""
    with transaction.atomic():
        for _ in range(_ATTEMPTS):
            price = _price(caller.environment_id, usage, standing, now)
            counter = call_function(
                "metering_counter_lock_v1",
                environment=caller.environment_id,
                customer=standing.customer_id,
                metric=price.metric.id,
                rule=price.rule.id,
                dimension=price.dimension,
                value=price.value,
                now=now,
            )
            standing = replace(standing, cycle_units=counter.units, cycle_charged_mc=counter.charged)
            price = _price(caller.environment_id, usage, standing, now)
            answer = _call(caller, usage, standing, price, now)
            if answer.status not in _MOVED:
                return _recorded(answer)
            standing = _standing_from(answer)
    raise RuntimeError("a locked account moved")


def _price(environment_id: UUID, usage: UsageInput, standing: _Standing, now: datetime) -> _Price:
    return config_ask(environment_id, lambda config: _price_in(config, usage, standing, now))


def _price_in(config: EnvironmentConfig, usage: UsageInput, standing: _Standing, now: datetime) -> _Price:
    metric = config.metric_for_usage(usage.metric_key)
    rule = config.rule_for_usage(
        metric, customer_id=standing.customer_id, plan_variant_id=standing.plan_variant_id, now=now
    )
    found = rule.pricing.rate_of(usage.properties)
    if found is None:
        raise NoRateForProperty
    rate, value = found
    cost_mc = cost(
        rate, units=usage.units, cycle_units=standing.cycle_units, charged_mc=standing.cycle_charged_mc
    )
    if cost_mc > AMOUNT_MAX:
        raise ValidationFailed(
            errors=[FieldError("units", "cost-too-large", "This costs more than any account can hold.")]
        )
    dimension = getattr(rule.pricing, "dimension", "")
    return _Price(
        metric=metric,
        config_version=config.version,
        rule=rule,
        rate=rate,
        dimension=dimension,
        value=value,
        cost_mc=cost_mc,
    )


def _call(caller: Caller, usage: UsageInput, standing: _Standing, price: _Price, now: datetime) -> Any:
    def attempt() -> Any:
        counted = price.rate.depends_on_cycle
        return call_function(
            "metering_usage_record_v1",
            environment=caller.environment_id,
            config_version=price.config_version,
            by=usage.by,
            reference=usage.reference,
            new_customer=uuid7(),
            event=uuid7(),
            metric=price.metric.id,
            metric_key=price.metric.key,
            rule=price.rule.id,
            scoped=price.metric.is_scoped,
            priced_customer=standing.customer_id,
            priced_variant=standing.plan_variant_id,
            dimension=price.dimension,
            value=price.value,
            cycle_units=Decimal(standing.cycle_units) if counted else None,
            cycle_charged=standing.cycle_charged_mc if counted else None,
            units=Decimal(usage.units),
            cost=price.cost_mc,
            key=usage.key,
            fingerprint=usage_fingerprint(usage),
            timestamp=usage.timestamp,
            properties=usage.properties,
            metadata=usage.metadata,
            actor=caller.actor,
            request=caller.request_id,
            now=now,
        )

    answer = attempt()
    if answer.status == "catch-up-due":
        answer = caught_up(
            attempt, environment_id=caller.environment_id, customer_id=answer.customer_id, now=now
        )
    if answer.status == "stale-config":
        raise ConfigMoved
    return answer


def _standing_from(answer: Any) -> _Standing:
    return _Standing(
        customer_id=answer.customer_id,
        plan_variant_id=answer.plan_variant_id,
        cycle_units=answer.cycle_units or 0,
        cycle_charged_mc=answer.cycle_charged or 0,
    )


def _remember(guess: tuple[UUID, str, str, str], price: _Price, answer: Any, usage: UsageInput) -> None:
    if not (price.metric.is_scoped or price.rate.depends_on_cycle):
        return
    if len(_guesses) >= _GUESSES_MAX:
        _guesses.clear()
    standing = _standing_from(answer)
    if answer.status == "accepted":
        standing = replace(
            standing,
            cycle_units=standing.cycle_units + usage.units,
            cycle_charged_mc=standing.cycle_charged_mc + answer.cost,
        )
    _guesses[guess] = standing


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
    units = Decimal(usage.units).normalize()
    asked = [
        usage.metric_key,
        f"{units:f}",
        instant_text(usage.timestamp) if usage.timestamp else None,
        usage.properties,
    ]
    return blake2b(json_bytes(asked), digest_size=16).digest()


def _check_timestamp(timestamp: datetime | None, now: datetime) -> None:
    if timestamp is not None and timestamp > now + _AHEAD:
        raise ValidationFailed(
            errors=[FieldError("timestamp", "in-the-future", "Must not be more than 5 minutes ahead.")]
        )
