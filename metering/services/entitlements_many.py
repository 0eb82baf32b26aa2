"""Many checks at once: up to a hundred customers by a hundred metrics in at most three calls of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.errors import CatchUpFailed
from billing.services.catch_up import catch_up_run
from customers.kernel.database import call_table
from customers.kernel.memory import ConfigMoved
from metering.selectors.config import EnvironmentConfig, MetricConfig, config_known
from metering.selectors.rule_versions import RuleConfig
from metering.services.entitlements import Entitlement, Number, State, counted_by, entitlement_decided

#: Each does what is due on the customers first; a second is needed only when more became due meanwhile.
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A check of many that has no answer. `what` is not known: `customer` or `metric`."""

    by: str
    reference: str
    metric_key: str
    what: str


def entitlements_query(
    *,
    environment_id: UUID,
    config_version: int,
    customers: Sequence[tuple[str, str]],
    metric_keys: Sequence[str],
    units: Number,
    now: datetime,
) -> list[Entitlement | Unknown]:
    """Every customer's (`by`, `reference`) checks of every metric, customer by customer; each as the single check.

    At most three calls of the database, whatever is asked, when no other work is due first. Raises ConfigMoved when
    this process's catalogue is old, or `config_version`, what the caller's clock and key were read with.
    """
    config = config_known(environment_id, config_version)
    known = [metric for key in metric_keys if (metric := config.metric(key)) is not None]
    defaults = [config.rule_for(metric, customer_id=None, plan_variant_id=None, now=now) for metric in known]
    states = _states(config, customers, known, [counted_by(rule) for rule in defaults], now)
    rules = _rules_of_each(config, known, defaults, states, now)
    _read_again(config, customers, known, defaults, rules, states, now)
    answers: list[Entitlement | Unknown] = []
    for (by, reference), state, own in zip(customers, states, rules, strict=True):
        decided = {
            metric.key: entitlement_decided(metric, rule, _state_for(state, place), units, now)
            for place, (metric, rule) in enumerate(zip(known, own, strict=True))
            if state.status == "found"
        }
        what = "metric" if state.status == "found" else "customer"
        answers += [
            decided.get(key) or Unknown(by=by, reference=reference, metric_key=key, what=what)
            for key in metric_keys
        ]
    return answers


def _states(
    config: EnvironmentConfig,
    customers: Sequence[tuple[str, str]],
    metrics: Sequence[MetricConfig],
    counted: Sequence[UUID | None],
    now: datetime,
) -> list[Any]:
    """What is to be known of each customer; `counted` says by which rules each metric is, for all or customer by
    customer."""
    for _ in range(_ATTEMPTS):
        states = call_table(
            "metering_entitlements_v1",
            environment=config.environment_id,
            config_version=config.version,
            bys=[by for by, _ in customers],
            references=[reference for _, reference in customers],
            metrics=[metric.id for metric in metrics],
            metric_keys=[metric.key for metric in metrics],
            rules=list(counted),
            now=now,
        )
        if states[0].status == "stale-config":
            raise ConfigMoved
        due = {state.customer_id for state in states if state.status == "catch-up-due"}
        if not due:
            return states
        for customer_id in sorted(due):
            catch_up_run(environment_id=config.environment_id, customer_id=customer_id, now=now)
    raise CatchUpFailed


def _rules_of_each(
    config: EnvironmentConfig,
    metrics: Sequence[MetricConfig],
    defaults: list[RuleConfig | None],
    states: Sequence[Any],
    now: datetime,
) -> list[list[RuleConfig | None]]:
    """Which rule holds for each customer and metric."""
    if any(metric.has_customer_rules for metric in metrics):
        config.customer_rules.of_many([state.customer_id for state in states if state.status == "found"])
    if not any(metric.is_scoped for metric in metrics):
        return [defaults] * len(states)
    return [
        _own_rules(config, metrics, state, now) if state.status == "found" else defaults for state in states
    ]


def _own_rules(
    config: EnvironmentConfig, metrics: Sequence[MetricConfig], state: Any, now: datetime
) -> list[RuleConfig | None]:
    return [
        config.rule_for(metric, customer_id=state.customer_id, plan_variant_id=state.plan_variant_id, now=now)
        for metric in metrics
    ]


def _read_again(
    config: EnvironmentConfig,
    customers: Sequence[tuple[str, str]],
    metrics: Sequence[MetricConfig],
    defaults: list[RuleConfig | None],
    rules: Sequence[list[RuleConfig | None]],
    states: list[Any],
    now: datetime,
) -> None:
    """Customers whose own rules count otherwise than everyone's are read once more, by those."""
    usual = [counted_by(rule) for rule in defaults]
    counted = [[counted_by(rule) for rule in own] for own in rules]
    places = [place for place, own in enumerate(counted) if own != usual]
    if not places:
        return
    flat = [rule for place in places for rule in counted[place]]
    named = [customers[place] for place in places]
    for place, state in zip(places, _states(config, named, metrics, flat, now), strict=True):
        states[place] = state


def _state_for(state: Any, place: int) -> State:
    """One metric's part of what is known of a customer."""
    return State(
        public_id=state.public_id,
        external_id=state.external_id,
        policy=state.policy,
        overage_limit=state.overage_limit,
        balance=state.balance,
        reserved=state.reserved,
        usage_suspended=state.usage_suspended,
        usable=state.usable and state.usable[place],
        cycle_units=state.cycle_units and state.cycle_units[place],
        cycle_charged=state.cycle_charged and state.cycle_charged[place],
    )
