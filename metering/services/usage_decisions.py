"""What becomes of each event of a batch, decided in order on accounts that are locked: the twin of what
metering_usage_record does for a single event, so that a batch means what its events mean one by one.

A refusal changes what follows; so does an earlier event of the same key, customer or counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from billing.errors import CatchUpFailed, InsufficientCredits
from customers.errors import CustomerNotFound, DomainError, FieldError, IdempotencyKeyReused, ValidationFailed
from customers.kernel.amounts import BALANCE_MAX
from customers.kernel.ids import typeid, uuid_parse
from metering.engine.pricing import Rate
from metering.errors import NoRateForProperty, UsageSuspended
from metering.selectors.config import EnvironmentConfig, MetricConfig
from metering.selectors.rule_versions import RuleConfig
from metering.services.quotes import NOBODY, Number, Standing, cost_at
from metering.services.usage import UsageInput, UsageRecorded, UsageWish, timestamp_check, usage_fingerprint

#: How a caller names a customer: `id` or `external`, and the name.
Reference = tuple[str, str]
#: Aggregations for which a value below zero means something.
_ANY_VALUE: Final = frozenset({"max", "min", "last", "percentile"})


class CounterKey(NamedTuple):
    customer_id: UUID
    metric_id: UUID
    dimension: str
    value: str


class Earlier(NamedTuple):
    """What a key recorded before, in this batch or long ago."""

    event_id: UUID
    cost_mc: int
    customer_id: UUID | None
    fingerprint: bytes


@dataclass(slots=True)
class Counter:
    """Where a customer stands in the cycle of a metric, and whether this batch moves it."""

    rule_id: UUID
    units: Number = 0
    charged_mc: int = 0
    has_moved: bool = False

    def read(self, units: Any, charged_mc: int) -> None:
        self.units = units if type(units) is int else Decimal(units)
        self.charged_mc = charged_mc

    def move(self, units: Number, cost_mc: int) -> None:
        self.units += units
        self.charged_mc += cost_mc
        self.has_moved = True


@dataclass(slots=True, kw_only=True)
class Account:
    """A customer's account under its lock, as it is after the events decided so far.

    Without an id: nobody of that name exists. Not born: made for this batch, and only there from the first event on
    that makes it.
    """

    customer_id: UUID | None = None
    is_born: bool = False
    plan_variant_id: UUID | None = None
    effective_mc: int = 0
    policy: str = "block"
    overage_limit_mc: int | None = None
    suspended: str | None = None
    is_due: bool = False
    #: Free credits in burn order, [mc, metric keys], where it matters which metric they are for.
    burnable: list[list[Any]] | None = None

    def affords(self, cost_mc: int, metric_key: str) -> bool:
        """As billing_debit_allowed says."""
        if self.policy != "block":
            limit_mc = BALANCE_MAX if self.overage_limit_mc is None else self.overage_limit_mc
            return self.effective_mc - cost_mc >= -limit_mc
        return self.effective_mc >= cost_mc and (
            self.burnable is None or cost_mc <= sum(block[0] for block in self._for_metric(metric_key))
        )

    def take(self, cost_mc: int, metric_key: str) -> None:
        self.effective_mc -= cost_mc
        if self.burnable is None:
            return
        for block in self._for_metric(metric_key):
            taken_mc = min(block[0], cost_mc)
            block[0] -= taken_mc
            cost_mc -= taken_mc

    def _for_metric(self, metric_key: str) -> Iterator[list[Any]]:
        return (block for block in self.burnable or () if block[1] is None or metric_key in block[1])


class EventQuote(NamedTuple):
    """By which terms an event is priced."""

    metric: MetricConfig
    #: None: only metered, and free.
    rule: RuleConfig | None
    rate: Rate | None
    dimension: str
    value: str
    counter: CounterKey | None


class _Row(msgspec.Struct):
    """An accepted event, as metering_usage_store reads it."""

    n: int
    id: UUID
    customer: UUID | None
    metric: UUID
    metric_key: str
    rule: UUID | None
    units: Number
    cost: int
    key: str
    fingerprint: bytes
    timestamp: datetime | None
    properties: dict[str, Any] | None
    metadata: dict[str, Any] | None
    entry: UUID | None
    actor: str
    request: str
    cycle_units: Number | None
    cycle_charged: int | None


@dataclass(slots=True, kw_only=True)
class Decisions:
    """A batch while it is decided."""

    config: EnvironmentConfig
    accounts: Mapping[Reference, Account]
    recorded: dict[str, Earlier]
    #: Customers whose due work failed.
    given_up: frozenset[UUID]
    now: datetime
    counters: dict[CounterKey, Counter] = field(default_factory=dict)
    rows: list[_Row] = field(default_factory=list)
    #: Customers that an accepted event would make.
    to_make: set[Reference] = field(default_factory=set)
    _quotes: dict[int, EventQuote | DomainError] = field(default_factory=dict)

    def due(self) -> Iterator[Account]:
        """Accounts on which other work is due first."""
        return (account for account in self.accounts.values() if account.is_due)

    def quote(self, usages: Iterable[UsageInput]) -> None:
        """Find each event's rate, and which counters those need."""
        for usage in usages:
            account = self.accounts[usage.by, usage.reference]
            quote: EventQuote | DomainError
            try:
                quote = event_quote(self.config, usage, account, self.now)
            except DomainError as refusal:
                quote = refusal
            self._quotes[id(usage)] = quote
            if isinstance(quote, EventQuote) and quote.counter is not None and quote.rule is not None:
                self.counters.setdefault(quote.counter, Counter(quote.rule.id))

    def decide(self, wish: UsageWish, event_id: UUID) -> UsageRecorded | DomainError:
        """Accept the event, find it recorded, or say why it is refused."""
        try:
            return self._decide(wish, event_id)
        except DomainError as refusal:
            return refusal

    def _decide(self, wish: UsageWish, event_id: UUID) -> UsageRecorded:
        usage = wish.usage
        timestamp_check(usage.timestamp, self.now)
        account = self.accounts[usage.by, usage.reference]
        fingerprint = usage_fingerprint(usage)
        earlier = self.recorded.get(usage.key)
        asked = (account.customer_id, fingerprint)
        if earlier is not None and (earlier.customer_id, earlier.fingerprint) == asked:
            return UsageRecorded(event_id=earlier.event_id, cost_mc=earlier.cost_mc, duplicate=True)
        quote = self._quotes[id(usage)]
        if isinstance(quote, DomainError):
            raise quote
        counter = self.counters[quote.counter] if quote.counter else None
        cost_mc = event_cost(usage, quote, counter)
        if earlier is not None:
            raise IdempotencyKeyReused(extra={"event_id": typeid("evt", earlier.event_id)})
        self._check(usage, quote, account, cost_mc)
        return self._accept(wish, event_id, quote, account, counter, cost_mc, fingerprint)

    def _check(self, usage: UsageInput, quote: EventQuote, account: Account, cost_mc: int) -> None:
        if not account.is_born:
            _check_new(usage, cost_mc)
        elif account.is_due and account.customer_id in self.given_up:
            raise CatchUpFailed
        elif account.suspended is not None and quote.rule is not None:
            raise UsageSuspended
        elif cost_mc > 0 and not account.affords(cost_mc, quote.metric.key):
            raise InsufficientCredits(extra={"effective_balance": account.effective_mc})

    def _accept(
        self,
        wish: UsageWish,
        event_id: UUID,
        quote: EventQuote,
        account: Account,
        counter: Counter | None,
        cost_mc: int,
        fingerprint: bytes,
    ) -> UsageRecorded:
        usage = wish.usage
        if account.customer_id is None:
            self.to_make.add((usage.by, usage.reference))
        account.is_born = True
        row = _Row(
            n=len(self.rows),
            id=event_id,
            customer=account.customer_id,
            metric=quote.metric.id,
            metric_key=quote.metric.key,
            rule=quote.rule.id if quote.rule else None,
            units=usage.units,
            cost=cost_mc,
            key=usage.key,
            fingerprint=fingerprint,
            timestamp=usage.timestamp,
            properties=usage.properties,
            metadata=usage.metadata,
            # An event has one entry at most, so its id serves for both; they are shown with different prefixes.
            entry=event_id if cost_mc > 0 else None,
            actor=wish.caller.actor,
            request=wish.caller.request_id,
            cycle_units=counter.units if counter else None,
            cycle_charged=counter.charged_mc if counter else None,
        )
        self.rows.append(row)
        if counter is not None:
            counter.move(usage.units, cost_mc)
        if cost_mc > 0:
            account.take(cost_mc, quote.metric.key)
        self.recorded[usage.key] = Earlier(row.id, cost_mc, account.customer_id, fingerprint)
        return UsageRecorded(event_id=row.id, cost_mc=cost_mc, duplicate=False)

    def standings(self, usages: Iterable[UsageInput]) -> Iterator[tuple[UsageInput, Standing]]:
        """Whose price depended on who, or where in the cycle, they are, and where they stand after these events."""
        for usage in usages:
            quote = self._quotes[id(usage)]
            account = self.accounts[usage.by, usage.reference]
            if not isinstance(quote, EventQuote) or account.customer_id is None:
                continue
            counter = self.counters.get(quote.counter) if quote.counter else None
            if counter is None and not quote.metric.is_scoped:
                continue
            yield (
                usage,
                Standing(
                    customer_id=account.customer_id,
                    plan_variant_id=account.plan_variant_id,
                    cycle_units=counter.units if counter else 0,
                    cycle_charged_mc=counter.charged_mc if counter else 0,
                ),
            )

    def counter_rows(self) -> list[dict[str, Any]]:
        """The counters this batch moved, as they are after it."""
        return [
            {
                "customer": key.customer_id,
                "metric": key.metric_id,
                "dimension": key.dimension,
                "value": key.value,
                "rule": counter.rule_id,
                "units": counter.units,
                "charged": counter.charged_mc,
            }
            for key, counter in self.counters.items()
            if counter.has_moved
        ]


def event_quote(config: EnvironmentConfig, usage: UsageInput, account: Account, now: datetime) -> EventQuote:
    """Raises MetricUnknown, MetricInactive, NoActiveMeteringRule, NoRateForProperty."""
    metric = config.metric_for_usage(usage.metric_key)
    find = config.rule_for_usage if usage.needs_rule else config.rule_for
    rule = find(metric, customer_id=account.customer_id, plan_variant_id=account.plan_variant_id, now=now)
    if rule is None:
        return EventQuote(metric, None, None, "", "", None)
    found = rule.pricing.rate_of(usage.properties)
    if found is None:
        raise NoRateForProperty
    rate, value = found
    counter = None
    if rate.depends_on_cycle and account.customer_id is not None:
        counter = CounterKey(account.customer_id, metric.id, rule.dimension, value)
    return EventQuote(metric, rule, rate, rule.dimension, value, counter)


def event_cost(usage: UsageInput, quote: EventQuote, counter: Counter | None) -> int:
    """In mc, for who stands where `counter` says. Raises ValidationFailed for units that have no price."""
    if quote.rate is None:
        if usage.units < 0 and quote.metric.aggregation not in _ANY_VALUE:
            raise _out_of_range("Must not be negative for a metric of this aggregation.")
        return 0
    if not usage.needs_rule and usage.units <= 0:
        raise _out_of_range("Must be above 0: the metric has a metering rule.")
    standing = NOBODY
    if counter is not None:
        standing = Standing(cycle_units=counter.units, cycle_charged_mc=counter.charged_mc)
    return cost_at(
        quote.rate,
        units=usage.units,
        standing=standing,
        field="units" if usage.needs_rule else "value",
    )


def _check_new(usage: UsageInput, cost_mc: int) -> None:
    """A customer who is not there has nothing and the policy `block`."""
    if not usage.may_create or (usage.by == "id" and uuid_parse(usage.reference) is None):
        raise CustomerNotFound
    if cost_mc > 0:
        raise InsufficientCredits(extra={"effective_balance": 0})


def _out_of_range(message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("value", "out-of-range", message)])
