"""May this customer do this? Answered from one query that writes nothing."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from billing.services.catch_up import answer_caught_up
from customers.errors import CustomerNotFound
from customers.kernel.amounts import BALANCE_MAX
from customers.kernel.memory import ConfigMoved
from metering.engine.pricing import affordable_units, cost
from metering.errors import MetricNotFound
from metering.selectors.config import EnvironmentConfig, MetricConfig, config_current, config_known
from metering.selectors.rule_versions import RuleConfig
from metering.services.check_groups import Check, check_ask
from metering.services.snapshots import snapshots_in_use

Number = int | Decimal


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and what it was made of. Amounts in mc; `affordable_units` None = unlimited."""

    allowed: bool
    reason: str | None
    customer_id: str
    external_customer_id: str | None
    metric_key: str
    units: Number
    balance_mc: int
    reserved_mc: int
    effective_mc: int
    estimated_cost_mc: int | None
    affordable_units: int | None
    overage_policy: str
    as_of: datetime
    source: str


class State(NamedTuple):
    """What a check is decided by, as metering_entitlement_v1 answers it."""

    public_id: str
    external_id: str | None
    policy: str
    overage_limit: int | None
    balance: int
    reserved: int
    usage_suspended: str | None
    usable: int | None
    cycle_units: Decimal | None
    cycle_charged: int | None


def entitlement_check(
    *,
    environment_id: UUID,
    config_version: int,
    by: str,
    reference: str,
    metric_key: str,
    units: Number,
    now: datetime,
) -> Entitlement:
    """Whether `units` of a metric are affordable, as usage would decide at this instant.

    `config_version` is what the caller's clock and key were read with. Raises CustomerNotFound, MetricNotFound;
    ConfigMoved when this process's catalogue, or that version, is old.
    """
    config = config_known(environment_id, config_version)
    metric = config.metric(metric_key) or _metric_afresh(environment_id, metric_key)
    rule = config.rule_for(metric, customer_id=None, plan_variant_id=None, now=now)
    state = _state(config, metric, rule, by, reference, now)
    if metric.is_scoped:
        own = config.rule_for(
            metric, customer_id=state.customer_id, plan_variant_id=state.plan_variant_id, now=now
        )
        if own is not rule and own is not None and counted_by(own) is not None:
            state = _state(config, metric, own, by, reference, now)
        rule = own
    return entitlement_decided(metric, rule, state, units, now)


def _metric_afresh(environment_id: UUID, metric_key: str) -> MetricConfig:
    """The metric may be a second old, made by another process."""
    metric = config_current(environment_id).metric(metric_key)
    if metric is None:
        raise MetricNotFound(f"There is no metric `{metric_key[:64]}`.")
    raise ConfigMoved


def _state(
    config: EnvironmentConfig,
    metric: MetricConfig,
    rule: RuleConfig | None,
    by: str,
    reference: str,
    now: datetime,
) -> Any:
    snapshots = snapshots_in_use()
    if snapshots is not None:
        return snapshots.state(config, metric, counted_by(rule), (by, reference), now)
    check = Check(
        config.environment_id, config.version, by, reference, metric.id, metric.key, counted_by(rule), now
    )
    state = answer_caught_up(lambda: check_ask(check), environment_id=config.environment_id, now=now)
    if state.status == "stale-config":
        raise ConfigMoved
    if state.status == "customer-not-found":
        raise CustomerNotFound
    return state


def counted_by(rule: RuleConfig | None) -> UUID | None:
    """The rule, when what it costs depends on the cycle. A check carries no properties: it asks for their default."""
    found = rule.pricing.rate_of(None) if rule else None
    return rule.id if rule and found and found[0].depends_on_cycle else None


def entitlement_decided(
    metric: MetricConfig, rule: RuleConfig | None, state: Any, units: Number, now: datetime
) -> Entitlement:
    effective = state.balance - state.reserved
    found = rule.pricing.rate_of(None) if rule else None
    standing = {"cycle_units": state.cycle_units or 0, "charged_mc": state.cycle_charged or 0}
    budget = _budget(state, effective)
    estimated = cost(found[0], units=units, **standing) if found else None
    affordable = (
        affordable_units(found[0], effective_mc=budget, **standing) if found and budget is not None else None
    )
    reason = _reason(state, estimated, budget)
    return Entitlement(
        allowed=reason is None,
        reason=reason,
        customer_id=state.public_id,
        external_customer_id=state.external_id,
        metric_key=metric.key,
        units=units,
        balance_mc=state.balance,
        reserved_mc=state.reserved,
        effective_mc=effective,
        estimated_cost_mc=estimated,
        affordable_units=affordable if found else 0,
        overage_policy=state.policy,
        as_of=now,
        source=getattr(state, "source", "database"),
    )


def _budget(state: Any, effective: int) -> int | None:
    """How much a debit may take, in mc: the same rule as billing_debit_allowed. None = any amount."""
    if state.policy == "block":
        return effective if state.usable is None else min(effective, state.usable)
    return effective + state.overage_limit if state.overage_limit is not None else None


def _reason(state: Any, estimated: int | None, budget: int | None) -> str | None:
    if state.usage_suspended is not None:
        return str(state.usage_suspended)
    if estimated is None:
        return "no_metering_rule"
    ceiling = BALANCE_MAX if budget is None else max(budget, 0)
    return "insufficient_credits" if estimated > ceiling else None
