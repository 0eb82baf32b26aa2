"""Many usage events in one round trip, when nothing about them is out of the ordinary; what that means is said in
metering/sql/55_usage_many.sql. Everything else is opened, decided and stored (usage_batch.py).

What events have in common is found once: all of as many units of one metric have one price and, without a time and
properties of their own, one fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from django.db import connection, transaction

from billing.errors import InsufficientCredits
from customers.errors import DomainError
from customers.kernel.arrays import array_of_texts, array_of_words
from customers.kernel.changes import is_watched
from customers.kernel.database import call_function
from customers.kernel.ids import uuid7
from customers.kernel.json import json_text
from customers.kernel.memory import ConfigMoved
from metering.selectors.config import EnvironmentConfig, config_get
from metering.services.quotes import Number
from metering.services.usage import (
    Outcome,
    UsageInput,
    UsageRecorded,
    UsageWish,
    event_fingerprint,
    timestamp_check,
    usage_fingerprint,
)
from metering.services.usage_decisions import Account, Reference, event_cost, event_quote

#: What somebody else did at the same moment; the long way waits for them, or finds what they made.
_CROSSED: Final = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected)
_NOBODY: Final = Account()
#: Above this, what one customer's events cost might not fit the database's integers.
_TOTAL_MAX: Final = 2**62


class Extraordinary(Exception):
    """Something about these events needs a closer look. Nothing was recorded."""


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
    #: Not so when the price goes by a property.
    is_shared: bool


class _Party(msgspec.Struct, gc=False):
    """A customer, and what their events of this batch cost."""

    #: As the array spells it.
    place: str
    reference: Reference
    total_mc: int = 0
    least_mc: int = 0


def is_ordinary(usage: UsageInput, environment_id: UUID, now: datetime) -> bool:
    """Whether the event's price is the same for everybody, wherever in the cycle they stand."""
    config = config_get(environment_id)
    metric = config.metric(usage.metric_key)
    if metric is None:
        return True
    rule = config.rule_for(metric, customer_id=None, plan_variant_id=None, now=now)
    found = rule.pricing.rate_of(usage.properties) if rule else None
    return not metric.is_scoped and not (found and found[0].depends_on_cycle)


def ordinary_record(config: EnvironmentConfig, wishes: Sequence[UsageWish], now: datetime) -> list[Outcome]:
    """Record all `wishes`, as far as their customers can pay. Raises Extraordinary; ConfigMoved like the long way."""
    if any(wish.caller.knows(config.version) < config.version for wish in wishes):
        raise ConfigMoved
    usages = [wish.usage for wish in wishes]
    keys = [usage.key for usage in usages]
    if len(set(keys)) < len(keys):
        raise Extraordinary
    kinds = _kinds(config, usages, now)
    parties, whose = _parties(usages, kinds)
    events = [uuid7() for _ in usages]
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
            )
    except _CROSSED:
        raise Extraordinary from None
    if answer.status == "stale-config":
        raise ConfigMoved
    if answer.status != "recorded":
        raise Extraordinary
    if answer.refused:
        return _told(events, kinds, whose, dict(zip(map(str, answer.refused), answer.effective, strict=True)))
    return [
        UsageRecorded(event_id=event_id, cost_mc=kind.cost_mc, duplicate=False)
        for event_id, kind in zip(events, kinds, strict=True)
    ]


def _kinds(config: EnvironmentConfig, usages: Sequence[UsageInput], now: datetime) -> list[_Kind]:
    known: dict[tuple[str, Number, bool], _Kind] = {}
    kinds = []
    for usage in usages:
        asked = (usage.metric_key, usage.units, usage.needs_rule)
        kind = known.get(asked)
        if kind is None:
            kind = _kind(config, usage, now)
            if kind.is_shared:
                known[asked] = kind
        kinds.append(kind)
    return kinds


def _kind(config: EnvironmentConfig, usage: UsageInput, now: datetime) -> _Kind:
    try:
        quote = event_quote(config, usage, _NOBODY, now)
        cost_mc = event_cost(usage, quote, None)
    except DomainError:
        raise Extraordinary from None
    if quote.metric.is_scoped or (quote.rate is not None and quote.rate.depends_on_cycle):
        raise Extraordinary
    return _Kind(
        metric=quote.metric.id.hex,
        metric_key=quote.metric.key,
        rule=quote.rule.id.hex if quote.rule else "NULL",
        units=str(usage.units),
        cost=str(cost_mc),
        cost_mc=cost_mc,
        fingerprint=event_fingerprint(usage.metric_key, usage.units, None, None).hex(),
        is_shared=not quote.dimension,
    )


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
        whose.append(party)
    if any(party.total_mc > _TOTAL_MAX for party in by_reference.values()):
        raise Extraordinary
    return list(by_reference.values()), whose


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
    events: Sequence[UUID], kinds: Sequence[_Kind], whose: Sequence[_Party], effective: Mapping[str, int]
) -> list[Outcome]:
    """With customers who can pay for nothing, by their place, and what they have."""
    return [
        InsufficientCredits(extra={"effective_balance": effective[party.place]})
        if kind.cost_mc > 0 and party.place in effective
        else UsageRecorded(event_id=event_id, cost_mc=kind.cost_mc, duplicate=False)
        for event_id, kind, party in zip(events, kinds, whose, strict=True)
    ]
