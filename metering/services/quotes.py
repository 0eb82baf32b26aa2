"""What usage will cost: priced from memory, for the customer, plan and place in the cycle they are taken to be at.

The call of the database that follows confirms those guesses or corrects them, so they may be old, or gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

from customers.errors import FieldError, ValidationFailed
from customers.kernel.amounts import AMOUNT_MAX
from metering.engine.pricing import Rate, cost, steady
from metering.errors import NoRateForProperty
from metering.selectors.config import EnvironmentConfig, MetricConfig, config_ask
from metering.selectors.rule_versions import RuleConfig

Number = int | Decimal
#: Environment, how the caller names the customer, that name, the metric's key.
GuessKey = tuple[UUID, str, str, str]


class Wished(Protocol):
    """Whatever names a customer and a metric: usage, a reservation."""

    @property
    def by(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def metric_key(self) -> str: ...


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Who the customer was taken to be, and where they were taken to stand in the cycle, when the price was made."""

    customer_id: UUID | None = None
    plan_variant_id: UUID | None = None
    cycle_units: Number = 0
    cycle_charged_mc: int = 0


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A price and what it was made from."""

    metric: MetricConfig
    config_version: int
    rule: RuleConfig
    rate: Rate
    dimension: str
    value: str
    cost_mc: int
    #: The cycle's units, from and to, at which the cost is the same.
    steady: tuple[Decimal, Decimal] | None


NOBODY: Final = Standing()
#: The answers that say: priced for another customer, plan or counter than there is.
MOVED: Final = ("reprice", "stale-counter")
_guesses: Final[dict[GuessKey, Standing]] = {}
_GUESSES_MAX: Final = 20_000


def quote_make(
    *,
    environment_id: UUID,
    metric_key: str,
    units: Number,
    properties: Mapping[str, Any] | None,
    standing: Standing,
    field: str = "units",
    now: datetime,
) -> Quote:
    """The price of `units` at `now`; `field` is what a price beyond all bounds is blamed on.

    Raises MetricUnknown, MetricInactive, NoActiveMeteringRule, NoRateForProperty, ValidationFailed.
    """

    def question(config: EnvironmentConfig) -> Quote:
        metric = config.metric_for_usage(metric_key)
        rule = config.rule_for_usage(
            metric, customer_id=standing.customer_id, plan_variant_id=standing.plan_variant_id, now=now
        )
        found = rule.pricing.rate_of(properties)
        if found is None:
            raise NoRateForProperty
        rate, value = found
        return Quote(
            metric=metric,
            config_version=config.version,
            rule=rule,
            rate=rate,
            dimension=rule.dimension,
            value=value,
            cost_mc=cost_at(rate, units=units, standing=standing, field=field),
            steady=steady(rate, units=units, cycle_units=standing.cycle_units)
            if rate.depends_on_cycle
            else None,
        )

    return config_ask(environment_id, question)


def cost_at(rate: Rate, *, units: Number, standing: Standing, field: str) -> int:
    """The cost in mc of `units` for who stands there; refused when no account could hold it."""
    cost_mc = cost(rate, units=units, cycle_units=standing.cycle_units, charged_mc=standing.cycle_charged_mc)
    if cost_mc > AMOUNT_MAX:
        raise ValidationFailed(
            errors=[FieldError(field, "cost-too-large", "This costs more than any account can hold.")]
        )
    return cost_mc


def standing_told(answer: Any) -> Standing:
    """Where the customer stands, as a call of the database told."""
    return Standing(
        customer_id=answer.customer_id,
        plan_variant_id=getattr(answer, "plan_variant_id", None),
        cycle_units=answer.cycle_units or 0,
        cycle_charged_mc=answer.cycle_charged or 0,
    )


def guess_key(environment_id: UUID, wish: Wished) -> GuessKey:
    """By which where the customer stood is remembered."""
    return (environment_id, wish.by, wish.reference, wish.metric_key)


def standing_guess(key: GuessKey) -> Standing:
    """Where this process last saw the customer stand."""
    return _guesses.get(key, NOBODY)


def standing_known(key: GuessKey) -> Standing | None:
    """The same; None when it did not see them yet."""
    return _guesses.get(key)


def standing_remember(key: GuessKey, standing: Standing) -> None:
    """For the next guess."""
    if len(_guesses) >= _GUESSES_MAX:
        _guesses.clear()
    _guesses[key] = standing


def standing_after(standing: Standing, *, units: Number, cost_mc: int) -> Standing:
    """The same customer after so much usage."""
    return replace(
        standing,
        cycle_units=standing.cycle_units + units,
        cycle_charged_mc=standing.cycle_charged_mc + cost_mc,
    )
