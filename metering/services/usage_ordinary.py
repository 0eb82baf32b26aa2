"""Many usage events in one round trip, when nothing about them is out of the ordinary; what that means is said in
metering/sql/55_usage_many.sql. Everything else is opened, decided and stored (usage_batch.py).

What events have in common is found once: all of as many units of one metric have one price and, without a time and
properties of their own, one fingerprint. Where the price depends on the customer, their plan or the cycle, it is made
for where they were seen last (usage_standings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import connection, transaction

from billing.errors import InsufficientCredits
from customers.errors import DomainError
from customers.kernel.arrays import array_of_texts, array_of_words
from customers.kernel.changes import is_watched
from customers.kernel.database import call_function
from customers.kernel.json import json_text
from customers.kernel.memory import ConfigMoved
from metering.selectors.config import EnvironmentConfig, config_get
from metering.services.quotes import NOBODY, Number, Standing, guess_key, standing_known
from metering.services.usage import (
    Outcome,
    UsageInput,
    UsageRecorded,
    UsageWish,
    event_fingerprint,
    timestamp_check,
    usage_fingerprint,
)
from metering.services.usage_decisions import (
    Account,
    EventQuote,
    Reference,
    event_cost,
    event_quote,
)
from metering.services.usage_standings import Standings, Tally

#: Above this, what one customer's events cost might not fit the database's integers.
_TOTAL_MAX: Final = 2**62
#: How often prices are made: where customers stand is told once.
_ATTEMPTS: Final = 2


class Extraordinary(Exception):
    """Something about these events needs a closer look. Nothing was recorded."""


class _Moved(Exception):
    """A customer stands elsewhere than they were taken to; it is known now."""


class _Kind(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all events of as many units of one metric share, as the arrays spell it."""

    metric: str
    metric_key: str
    rule: str
    units: str
    cost: str
    cost_mc: int
    #: Of those without a time and properties.
    fingerprint: str
    #: Not so when the price goes by a property, the customer or the cycle.
    is_shared: bool
    #: For whom it was made, when that counts.
    standing: Standing | None = None
    #: The counter it depends on, and what events before it add to that.
    tally: Tally | None = None
    units_before: str = "NULL"
    charged_before: str = "NULL"


class _Party(msgspec.Struct, gc=False):
    """A customer, and what their events of this batch cost."""

    #: As the array spells it.
    place: str
    reference: Reference
    total_mc: int = 0
    least_mc: int = 0
    #: For whom prices were made that depend on it.
    priced: Standing | None = None


def is_ordinary(usage: UsageInput, environment_id: UUID, now: datetime) -> bool:
    """Whether a price can be made that is likely right: for everybody, or for where the customer was seen last."""
    config = config_get(environment_id)
    metric = config.metric(usage.metric_key)
    if metric is None:
        return True
    standing = NOBODY
    if metric.is_scoped:
        seen = standing_known(guess_key(environment_id, usage))
        if seen is None:
            return False
        standing = seen
    rule = config.rule_for(
        metric, customer_id=standing.customer_id, plan_variant_id=standing.plan_variant_id, now=now
    )
    if rule is None or not rule.dimension:
        return True
    found = rule.pricing.rate_of(usage.properties)
    # What was seen does not keep the counters of a property's values apart.
    return found is None or not found[0].depends_on_cycle


class Recorded(NamedTuple):
    """What became of each; None for those that were left, of customers who are out of the ordinary or busy."""

    outcomes: list[Outcome | None]
    #: Whether somebody else holds the account of one that was left.
    is_any_busy: bool = False


def ordinary_record(
    config: EnvironmentConfig,
    wishes: Sequence[UsageWish],
    events: Sequence[UUID],
    now: datetime,
    *,
    waits: bool,
) -> Recorded:
    """Record `wishes` as events of these ids, as far as their customers can pay, and, without `waits`, as far as nobody
    else holds their accounts.

    Raises Extraordinary; ConfigMoved like the long way. Then nothing was recorded.
    """
    for _ in range(_ATTEMPTS):
        with suppress(_Moved):
            return _record(config, wishes, events, now, waits=waits)
    raise Extraordinary


def _record(
    config: EnvironmentConfig,
    wishes: Sequence[UsageWish],
    events: Sequence[UUID],
    now: datetime,
    *,
    waits: bool,
) -> Recorded:
    if any(wish.caller.knows(config.version) < config.version for wish in wishes):
        raise ConfigMoved
    usages = [wish.usage for wish in wishes]
    keys = [usage.key for usage in usages]
    if len(set(keys)) < len(keys):
        raise Extraordinary
    standings = Standings(config.environment_id)
    kinds = _kinds(config, usages, standings, now)
    parties, whose = _parties(usages, kinds)
    try:
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            answer = call_function(
                "metering_usage_many_v1",
                environment=config.environment_id,
                config_version=config.version,
                bys=_names([party.reference[0] for party in parties]),
                references=_names([party.reference[1] for party in parties]),
                totals=array_of_words([str(party.total_mc) for party in parties]),
                leasts=array_of_words([str(party.least_mc) for party in parties]),
                whose=array_of_words([party.place for party in whose]),
                events=array_of_words([event_id.hex for event_id in events]),
                metrics=array_of_words([kind.metric for kind in kinds]),
                metric_keys=array_of_texts([kind.metric_key for kind in kinds]),
                rules=array_of_words([kind.rule for kind in kinds]),
                units=array_of_words([kind.units for kind in kinds]),
                costs=array_of_words([kind.cost for kind in kinds]),
                keys=array_of_texts(keys),
                fingerprints=array_of_words(_fingerprints(usages, kinds, now)),
                timestamps=_optional([usage.timestamp for usage in usages], datetime.isoformat),
                properties=_optional([usage.properties for usage in usages], json_text),
                metadata=_optional([usage.metadata for usage in usages], json_text),
                actors=array_of_texts([wish.caller.actor for wish in wishes]),
                requests=array_of_texts([wish.caller.request_id for wish in wishes]),
                now=now,
                # One customer alone is waited for at once: there is nobody whom that would keep waiting.
                waits=waits or len(parties) == 1,
                **_priced_for(parties),
                **_counted_by(standings, kinds),
            )
    except psycopg.errors.DeadlockDetected:
        # The long way waits for whoever did something else at the same moment.
        raise Extraordinary from None
    _check(answer, standings)
    if answer.refused or answer.busy or answer.odd:
        return Recorded(_told(events, kinds, whose, answer), is_any_busy=answer.busy is not None)
    return Recorded(
        [
            UsageRecorded(event_id=event_id, cost_mc=kind.cost_mc, duplicate=False)
            for event_id, kind in zip(events, kinds, strict=True)
        ]
    )


def _check(answer: Any, standings: Standings) -> None:
    """Learn where customers stand; go on only when the events were recorded."""
    if answer.status == "stale-config":
        raise ConfigMoved
    if answer.counter_units is not None:
        standings.remember(answer.counter_units, answer.counter_charged, moved=answer.status == "recorded")
    if answer.status == "stale-counters":
        raise _Moved
    if answer.status != "recorded":
        raise Extraordinary


def _kinds(
    config: EnvironmentConfig, usages: Sequence[UsageInput], standings: Standings, now: datetime
) -> list[_Kind]:
    known: dict[tuple[str, Number, bool], _Kind] = {}
    kinds = []
    for usage in usages:
        asked = (usage.metric_key, usage.units, usage.needs_rule)
        kind = known.get(asked)
        if kind is None:
            kind = _kind(config, usage, standings, now)
            if kind.is_shared:
                known[asked] = kind
        kinds.append(kind)
    return kinds


def _kind(config: EnvironmentConfig, usage: UsageInput, standings: Standings, now: datetime) -> _Kind:
    try:
        quote, standing = _quoted(config, usage, now)
        tally = _tally(usage, quote, standing, standings)
        cost_mc = event_cost(usage, quote, tally.counter if tally else None)
    except DomainError:
        raise Extraordinary from None
    kind = _Kind(
        metric=quote.metric.id.hex,
        metric_key=quote.metric.key,
        rule=quote.rule.id.hex if quote.rule else "NULL",
        units=str(usage.units),
        cost=str(cost_mc),
        cost_mc=cost_mc,
        fingerprint=event_fingerprint(usage.metric_key, usage.units, None, None).hex(),
        is_shared=not (quote.dimension or standing or tally),
        standing=standing,
        tally=tally,
        units_before=str(tally.units) if tally else "NULL",
        charged_before=str(tally.charged_mc) if tally else "NULL",
    )
    if tally is not None and quote.rate is not None:
        tally.add(quote.rate, usage.units, cost_mc)
    return kind


def _quoted(
    config: EnvironmentConfig, usage: UsageInput, now: datetime
) -> tuple[EventQuote, Standing | None]:
    """By which terms, and for whom if that counts."""
    metric = config.metric(usage.metric_key)
    if metric is None or not metric.is_scoped:
        return event_quote(config, usage, Account(), now), None
    standing = standing_known(guess_key(config.environment_id, usage))
    if standing is None or standing.customer_id is None:
        raise Extraordinary
    account = Account(customer_id=standing.customer_id, plan_variant_id=standing.plan_variant_id)
    return event_quote(config, usage, account, now), standing


def _tally(
    usage: UsageInput, quote: EventQuote, standing: Standing | None, standings: Standings
) -> Tally | None:
    if quote.rate is None or quote.rule is None or not quote.rate.depends_on_cycle:
        return None
    if quote.dimension:
        raise Extraordinary
    return standings.tally(usage, standing, metric=quote.metric.id, rule=quote.rule.id)


def _parties(usages: Sequence[UsageInput], kinds: Sequence[_Kind]) -> tuple[list[_Party], list[_Party]]:
    """Each customer once, and whose event each is."""
    by_reference: dict[Reference, _Party] = {}
    whose = []
    for usage, kind in zip(usages, kinds, strict=True):
        reference = (usage.by, usage.reference)
        party = by_reference.get(reference)
        if party is None:
            party = by_reference[reference] = _Party(str(len(by_reference) + 1), reference)
        cost_mc = kind.cost_mc
        if cost_mc > 0:
            party.total_mc += cost_mc
            if not party.least_mc or cost_mc < party.least_mc:
                party.least_mc = cost_mc
        if not kind.is_shared:
            _depend(party, kind)
        whose.append(party)
    if any(party.total_mc > _TOTAL_MAX for party in by_reference.values()):
        raise Extraordinary
    return list(by_reference.values()), whose


def _depend(party: _Party, kind: _Kind) -> None:
    """Note whose standing the price rests on."""
    if kind.tally is not None:
        kind.tally.whose = party.place
    if kind.standing is None:
        return
    if party.priced is not None and _who(party.priced) != _who(kind.standing):
        # Of two metrics, seen at different times: one of them is old.
        raise Extraordinary
    party.priced = kind.standing


def _who(standing: Standing) -> tuple[UUID | None, UUID | None]:
    return standing.customer_id, standing.plan_variant_id


def _priced_for(parties: Sequence[_Party]) -> dict[str, str]:
    priced = [party.priced for party in parties]
    if priced.count(None) == len(priced):
        return {}
    return {
        "priced_customers": array_of_words([_word(each.customer_id if each else None) for each in priced]),
        "priced_variants": array_of_words([_word(each.plan_variant_id if each else None) for each in priced]),
    }


def _word(value: UUID | None) -> str:
    return "NULL" if value is None else value.hex


def _counted_by(standings: Standings, kinds: Sequence[_Kind]) -> dict[str, str]:
    if not standings.tallies:
        return {}
    return {
        **standings.arguments(),
        "counters": array_of_words([kind.tally.place if kind.tally else "NULL" for kind in kinds]),
        "units_before": array_of_words([kind.units_before for kind in kinds]),
        "charged_before": array_of_words([kind.charged_before for kind in kinds]),
    }


def _names(names: list[str]) -> list[str] | str:
    # As a list only for who watches changes, and finds the customers by them: psycopg takes ten times as long for it.
    return names if is_watched() else array_of_texts(names)


def _fingerprints(usages: Sequence[UsageInput], kinds: Sequence[_Kind], now: datetime) -> list[str]:
    return [
        kind.fingerprint
        if usage.timestamp is None and usage.properties is None
        else _own_fingerprint(usage, now)
        for usage, kind in zip(usages, kinds, strict=True)
    ]


def _own_fingerprint(usage: UsageInput, now: datetime) -> str:
    try:
        timestamp_check(usage.timestamp, now)
    except DomainError:
        raise Extraordinary from None
    return usage_fingerprint(usage).hex()


def _optional(values: Sequence[Any], spell: Callable[[Any], str]) -> str | None:
    """An array of what most events do not have; None when none of them has it."""
    if values.count(None) == len(values):
        return None
    return array_of_texts([None if value is None else spell(value) for value in values])


def _told(
    events: Sequence[UUID], kinds: Sequence[_Kind], whose: Sequence[_Party], answer: Any
) -> list[Outcome | None]:
    """With customers who can pay for nothing, and such whose events were left."""
    refused = dict(zip(map(str, answer.refused or ()), answer.effective or (), strict=True))
    left = frozenset(map(str, (*(answer.busy or ()), *(answer.odd or ()))))
    return [
        None
        if party.place in left
        else InsufficientCredits(extra={"effective_balance": refused[party.place]})
        if kind.cost_mc > 0 and party.place in refused
        else UsageRecorded(event_id=event_id, cost_mc=kind.cost_mc, duplicate=False)
        for event_id, kind, party in zip(events, kinds, whose, strict=True)
    ]
