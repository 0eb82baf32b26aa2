"""Metering rules as a process keeps them: prices ready to use, versions in the order they take over."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Final
from uuid import UUID

from django.db import connection

from customers.kernel.database import call_all, environment_scope
from metering.engine.pricing import Pricing, definition_parse

#: How many single versions a process keeps for the reservations that are pinned to them.
PINNED_MAX: Final = 5_000
#: Of how many customers per environment a process keeps the own rules.
CUSTOMERS_MAX: Final = 10_000

_COLUMNS: Final = "id, metric_id, version, effective_from, customer_id, plan_variant_id, definition::text"
_RULES: Final = f"SELECT {_COLUMNS} FROM metering_rule WHERE environment_id = $1 AND "  # noqa: S608
_FOR_MANY: Final = _RULES + "config_version > $2 AND customer_id IS NULL"
_OF_CUSTOMER: Final = _RULES + "customer_id = $2"
_BY_ID: Final = _RULES + "id = $2"
_OF_CUSTOMERS: Final = "SELECT * FROM metering_rules_of_customers_v1($1, $2)"
_CUSTOMERS: Final = (
    "SELECT DISTINCT customer_id, metric_id FROM metering_rule "
    "WHERE environment_id = $1 AND config_version > $2 AND customer_id IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One version of a metering rule."""

    id: UUID
    metric_id: UUID
    version: int
    effective_from: datetime
    customer_id: UUID | None
    plan_variant_id: UUID | None
    pricing: Pricing

    @property
    def dimension(self) -> str:
        """The property by which it has rates; empty when it has one for all."""
        return getattr(self.pricing, "dimension", "")


#: Versions of one metric and scope, the one that takes over last first.
Versions = tuple[RuleConfig, ...]


def in_effect(versions: Versions | None, now: datetime) -> RuleConfig | None:
    """The version that holds at `now`: nearly always the first."""
    for rule in versions or ():
        if rule.effective_from <= now:
            return rule
    return None


def versions_by(rules: Iterable[RuleConfig], key: Callable[[RuleConfig], UUID | None]) -> dict[Any, Versions]:
    """Rules in groups, each in the order in which `in_effect` looks."""
    groups: dict[Any, list[RuleConfig]] = {}
    for rule in sorted(rules, key=lambda rule: (rule.effective_from, rule.version), reverse=True):
        groups.setdefault(key(rule), []).append(rule)
    return {name: tuple(group) for name, group in groups.items()}


def rule_pinned(*, environment_id: UUID, rule_id: UUID) -> RuleConfig:
    """One version, in effect or not: what an earlier call was priced by. Versions never change, so it is kept."""
    rule = _pinned.get(rule_id)
    if rule is None:
        with environment_scope(environment_id):
            (rule,) = _rules(call_all(_BY_ID, [environment_id, rule_id]))
        rule_remember(rule)
    return rule


def rule_remember(rule: RuleConfig) -> None:
    """A reservation was pinned to this version: it will be asked for."""
    if len(_pinned) >= PINNED_MAX:
        _pinned.clear()
    _pinned[rule.id] = rule


_pinned: Final[dict[UUID, RuleConfig]] = {}


def rules_for_many(*, environment_id: UUID, since_version: int) -> Versions:
    """The rules of no single customer that came after a config version; the caller is in the environment."""
    return _rules(call_all(_FOR_MANY, [environment_id, since_version]))


def customers_with_rules(*, environment_id: UUID, since_version: int) -> Sequence[tuple[UUID, UUID]]:
    """Which customers got rules of their own for which metrics since then; the caller likewise."""
    return [(row[0], row[1]) for row in call_all(_CUSTOMERS, [environment_id, since_version])]


def _rules(rows: Iterable[tuple[Any, ...]]) -> Versions:
    return tuple(
        RuleConfig(
            id=row[0],
            metric_id=row[1],
            version=row[2],
            effective_from=row[3],
            customer_id=row[4],
            plan_variant_id=row[5],
            pricing=definition_parse(json.loads(row[6])),
        )
        for row in rows
    )


@dataclass(slots=True)
class CustomerRules:
    """The rules of single customers of one environment, which may be very many.

    It knows which customers have any, and reads a customer's rules at their first use. An environment's
    snapshots share it: an older one may meet a newer rule here, and then the database refuses its version
    before it charges.
    """

    environment_id: UUID
    #: Both only grow, as rules do.
    customers: set[UUID] = field(default_factory=set)
    metrics: set[UUID] = field(default_factory=set)
    _loaded: OrderedDict[UUID, Mapping[UUID, Versions]] = field(default_factory=OrderedDict)
    _changes: int = 0
    _lock: Lock = field(default_factory=Lock)

    def changed(self, pairs: Iterable[tuple[UUID, UUID]]) -> None:
        """These customers have new rules for these metrics."""
        with self._lock:
            self._changes += 1
            for customer_id, metric_id in pairs:
                self.customers.add(customer_id)
                self.metrics.add(metric_id)
                self._loaded.pop(customer_id, None)

    def of(self, customer_id: UUID) -> Mapping[UUID, Versions]:
        """The customer's rules, by metric."""
        if customer_id not in self.customers:
            return {}
        found = self._loaded.get(customer_id)
        return self._load(customer_id) if found is None else found

    def of_many(self, customer_ids: Collection[UUID]) -> dict[UUID, Mapping[UUID, Versions]]:
        """The rules of each of these customers that has any; what is not known yet is read in one call."""
        wanted = self.customers.intersection(customer_ids)
        known = {customer_id: rules for customer_id in wanted if (rules := self._loaded.get(customer_id))}
        missing = wanted - known.keys()
        if not missing:
            return known
        changes = self._changes
        rows = call_all(_OF_CUSTOMERS, [self.environment_id, list(missing)])
        for customer_id, versions in versions_by(_rules(rows), lambda rule: rule.customer_id).items():
            known[customer_id] = self._keep(customer_id, versions, changes)
        return known

    def _load(self, customer_id: UUID) -> Mapping[UUID, Versions]:
        changes = self._changes
        with environment_scope(self.environment_id):
            rules = _rules(call_all(_OF_CUSTOMER, [self.environment_id, customer_id]))
        return self._keep(customer_id, rules, changes)

    def _keep(self, customer_id: UUID, rules: Versions, changes: int) -> Mapping[UUID, Versions]:
        by_metric = versions_by(rules, lambda rule: rule.metric_id)
        with self._lock:
            # Not kept: what a change overtook while it was read, and what may yet be rolled back.
            if changes == self._changes and not connection.in_atomic_block:
                self._loaded[customer_id] = by_metric
                while len(self._loaded) > CUSTOMERS_MAX:
                    self._loaded.popitem(last=False)
        return by_metric
