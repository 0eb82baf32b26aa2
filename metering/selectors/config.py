"""What every usage call needs of the catalogue, kept in this process: an environment's metrics and rules.

A snapshot carries the environment's `config_version`, which every change of the catalogue raises in its own
transaction. Calls of the database carry that number along and are told when it is old; so nobody asks
beforehand whether a snapshot still holds, and finding a price is a few dictionary look-ups.

    def question(config: EnvironmentConfig) -> RuleConfig:
        metric = config.metric_for_usage("api_call")
        return config.rule_for_usage(metric, customer_id=…, plan_variant_id=…, now=now)

    rule = config_ask(environment_id, question)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import connection

from customers.errors import DomainError
from customers.kernel.database import call_all, call_one, environment_scope
from customers.kernel.memory import ConfigMoved, on_config_change
from metering.errors import MetricInactive, MetricUnknown, NoActiveMeteringRule
from metering.selectors.rule_versions import (
    CustomerRules,
    RuleConfig,
    Versions,
    customers_with_rules,
    in_effect,
    rules_for_many,
    versions_by,
)

#: How many environments a process keeps.
ENVIRONMENTS_MAX: Final = 256

_VERSION: Final = "SELECT config_version FROM customers_environment WHERE id = $1"
_METRICS: Final = (
    "SELECT id, key, status = 'active', aggregation FROM metering_metric WHERE environment_id = $1"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConfig:
    """A metric with the rules that hold for everyone and those of plan variants."""

    id: UUID
    key: str
    is_active: bool
    aggregation: str
    default_rules: Versions
    variant_rules: Mapping[UUID, Versions]
    has_customer_rules: bool

    @property
    def is_scoped(self) -> bool:
        """Whether the price may depend on who the customer is or what plan they are on."""
        return self.has_customer_rules or bool(self.variant_rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentConfig:
    """An environment's metrics and rules as of `version`. Never changes."""

    environment_id: UUID
    version: int
    rules: Versions
    metrics: Mapping[str, MetricConfig]
    customer_rules: CustomerRules

    def metric(self, key: str) -> MetricConfig | None:
        return self.metrics.get(key)

    def metric_for_usage(self, key: str) -> MetricConfig:
        """The metric, if events may be recorded for it."""
        metric = self.metrics.get(key)
        if metric is None:
            raise MetricUnknown(f"There is no metric `{key[:64]}`.")
        if not metric.is_active:
            raise MetricInactive(f"The metric `{key}` is inactive.")
        return metric

    def rule_for(
        self, metric: MetricConfig, *, customer_id: UUID | None, plan_variant_id: UUID | None, now: datetime
    ) -> RuleConfig | None:
        """The rule in effect: the customer's own, else the plan variant's, else the default one."""
        rule: RuleConfig | None = None
        if metric.has_customer_rules and customer_id is not None:
            rule = in_effect(self.customer_rules.of(customer_id).get(metric.id), now)
        if rule is None and plan_variant_id is not None:
            rule = in_effect(metric.variant_rules.get(plan_variant_id), now)
        return rule or in_effect(metric.default_rules, now)

    def rule_for_usage(
        self, metric: MetricConfig, *, customer_id: UUID | None, plan_variant_id: UUID | None, now: datetime
    ) -> RuleConfig:
        """The same, where there must be one."""
        rule = self.rule_for(metric, customer_id=customer_id, plan_variant_id=plan_variant_id, now=now)
        if rule is None:
            raise NoActiveMeteringRule(f"The metric `{metric.key}` has no metering rule in effect.")
        return rule


def config_get(environment_id: UUID, version: int = 0) -> EnvironmentConfig:
    """The snapshot this process has; a new one if it has none, or one known to be old or below `version`."""
    found = _snapshots.get(environment_id)
    if found is None or found.version < version or environment_id in _outdated:
        return config_reload(environment_id)
    return found


def config_current(environment_id: UUID) -> EnvironmentConfig:
    """The latest config: what this process has, if one small query finds that it is."""
    row = call_one(_VERSION, [environment_id])
    return config_get(environment_id, row[0] if row else 0)


def config_reload(environment_id: UUID) -> EnvironmentConfig:
    """Read what came after the snapshot this process has."""
    # Inside a transaction one may see what will be rolled back: good for this caller, but not to be kept.
    keep = not connection.in_atomic_block
    if keep:
        _outdated.discard(environment_id)  # before reading: what changes meanwhile outdates it again
    config = _load(environment_id, before=_snapshots.get(environment_id))
    if keep:
        _snapshots.put(config)
    return config


def config_known(environment_id: UUID, version: int) -> EnvironmentConfig:
    """The configuration, for a caller whose key, and clock, are of `version`. Raises ConfigMoved when it is newer."""
    config = config_get(environment_id)
    if version < config.version:
        raise ConfigMoved
    return config


def config_ask(environment_id: UUID, question: Callable[[EnvironmentConfig], T]) -> T:
    """Answer from memory, but refuse only by the latest config: what another process made a moment ago
    counts."""
    config = config_get(environment_id)
    try:
        return question(config)
    except DomainError:
        current = config_current(environment_id)
        if current is config:
            raise
        return question(current)


@on_config_change
def _outdate(environment_id: UUID) -> None:
    if _snapshots.get(environment_id) is not None:
        _outdated.add(environment_id)


def config_forget() -> None:
    """Drop every snapshot: for tests that empty the database under a running process."""
    _snapshots.clear()


def _load(environment_id: UUID, *, before: EnvironmentConfig | None) -> EnvironmentConfig:
    since_version = before.version if before else 0
    customer_rules = before.customer_rules if before else CustomerRules(environment_id)
    with environment_scope(environment_id):
        # The version first: what is read after it may be newer than it says, never older.
        row = call_one(_VERSION, [environment_id])
        rules = rules_for_many(environment_id=environment_id, since_version=since_version)
        customer_rules.changed(
            customers_with_rules(environment_id=environment_id, since_version=since_version)
        )
        metrics = call_all(_METRICS, [environment_id])
    if before:
        # A rule that was newer than its snapshot said is read again.
        rules = tuple({rule.id: rule for rule in (*before.rules, *rules)}.values())
    return EnvironmentConfig(
        environment_id=environment_id,
        version=row[0] if row else 0,
        rules=rules,
        metrics=_metrics(metrics, rules=rules, customer_rules=customer_rules),
        customer_rules=customer_rules,
    )


def _metrics(
    rows: Iterable[tuple[Any, ...]], *, rules: Versions, customer_rules: CustomerRules
) -> dict[str, MetricConfig]:
    by_metric = versions_by(rules, lambda rule: rule.metric_id)
    metrics = [
        _metric(row, rules=by_metric.get(row[0], ()), has_customer_rules=row[0] in customer_rules.metrics)
        for row in rows
    ]
    return {metric.key: metric for metric in metrics}


def _metric(row: tuple[Any, ...], *, rules: Versions, has_customer_rules: bool) -> MetricConfig:
    by_variant = versions_by(rules, lambda rule: rule.plan_variant_id)
    return MetricConfig(
        id=row[0],
        key=row[1],
        is_active=row[2],
        aggregation=row[3],
        default_rules=by_variant.pop(None, ()),
        variant_rules=by_variant,
        has_customer_rules=has_customer_rules,
    )


class _Snapshots:
    """The snapshots of the environments used last, at most `ENVIRONMENTS_MAX`."""

    def __init__(self) -> None:
        self._by_environment: OrderedDict[UUID, EnvironmentConfig] = OrderedDict()
        self._latest: UUID | None = None
        self._lock = Lock()

    def get(self, environment_id: UUID) -> EnvironmentConfig | None:
        if environment_id != self._latest:
            self._touch(environment_id)
        return self._by_environment.get(environment_id)

    def _touch(self, environment_id: UUID) -> None:
        with self._lock:
            if environment_id in self._by_environment:
                self._by_environment.move_to_end(environment_id)
                self._latest = environment_id

    def put(self, config: EnvironmentConfig) -> None:
        with self._lock:
            known = self._by_environment.get(config.environment_id)
            # Of two threads that read at once, the one that saw more wins.
            if known is None or known.version <= config.version:
                self._by_environment[config.environment_id] = config
            while len(self._by_environment) > ENVIRONMENTS_MAX:
                self._by_environment.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._by_environment.clear()


_snapshots: Final = _Snapshots()
#: Environments whose snapshot is known to be old. It stays: the next one reads only what is new since.
_outdated: Final[set[UUID]] = set()
