"""Prices by quantity: `graduated` charges each unit at the rate of the tier it falls in, `volume` all units
of the cycle at the rate of the tier their total is in. A tier's upper bound belongs to it; the last tier has
none."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Final

from customers.kernel.amounts import units_shown
from metering.engine.exact import (
    HALF,
    PRODUCT,
    SCALE,
    Exact,
    largest_factor_below,
    rounded,
    scaled,
    unscaled,
)
from metering.engine.terms import Line

NO_END: Final = Decimal("Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    up_to: Decimal | None
    credit_cost: Decimal
    flat_cost: Decimal = Decimal(0)

    def to_json(self) -> dict[str, Any]:
        up_to = None if self.up_to is None else units_shown(self.up_to)
        shown: dict[str, Any] = {"up_to": up_to, "credit_cost": units_shown(self.credit_cost)}
        return shown | ({"flat_cost": units_shown(self.flat_cost)} if self.flat_cost else {})


@dataclass(frozen=True, slots=True)
class _Step:
    """A tier in scaled integers: its units are those above `lower`, up to and including `upper`."""

    lower: int
    upper: int | None
    rate: int
    flat: int
    #: What the cycle costs on entering this tier, before its first unit: all lower tiers and this one's flat
    #: cost.
    entered: int


def _steps(tiers: tuple[Tier, ...]) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    lower = below = 0
    for tier in tiers:
        upper = None if tier.up_to is None else scaled(tier.up_to)
        rate, flat = scaled(tier.credit_cost), scaled(tier.flat_cost) * SCALE
        steps.append(_Step(lower, upper, rate, flat, below + flat))
        below += flat + rate * ((upper or lower) - lower)
        lower = upper or lower
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class _Tiered:
    tiers: tuple[Tier, ...]
    _all: tuple[_Step, ...] = field(init=False, repr=False, compare=False)
    _uppers: tuple[int, ...] = field(init=False, repr=False, compare=False)

    cost_type: ClassVar[str] = "tiered"
    depends_on_cycle: ClassVar[bool] = True
    tier_mode: ClassVar[str]

    def __post_init__(self) -> None:
        steps = _steps(self.tiers)
        object.__setattr__(self, "_all", steps)
        object.__setattr__(self, "_uppers", tuple(step.upper for step in steps if step.upper is not None))

    def _index(self, units: int) -> int:
        return bisect_left(self._uppers, units)

    def to_json(self) -> dict[str, Any]:
        return {
            "cost_type": self.cost_type,
            "tier_mode": self.tier_mode,
            "tiers": [tier.to_json() for tier in self.tiers],
        }


@dataclass(frozen=True, slots=True)
class Graduated(_Tiered):
    """C(n) = the sum over tiers of rate * units of n inside it, and of the flat costs of the tiers entered.

    An event of q units after p costs round(C(p + q)) - round(C(p)), so a cycle's total does not depend on how
    its usage was split.
    """

    tier_mode: ClassVar[str] = "graduated"

    def _total(self, units: int) -> int:
        if units <= 0:
            return 0
        step = self._all[self._index(units)]
        return step.entered + step.rate * (units - step.lower)

    def cost_mc(self, units: Exact, cycle_units: Exact, _charged_mc: int) -> int:
        before = scaled(cycle_units)
        return rounded(self._total(before + scaled(units))) - rounded(self._total(before))

    def steady(self, units: Exact, cycle_units: Exact) -> tuple[Decimal, Decimal] | None:
        """Inside a tier every event of as many units costs the same, when that is whole millicredits."""
        before, more = scaled(cycle_units), scaled(units)
        step = self._all[self._index(before + more)]
        # The tier's flat cost comes with its first unit.
        first = step.lower + 1 if step.flat else step.lower
        if before < first or step.rate * more % PRODUCT:
            return None
        return unscaled(first), NO_END if step.upper is None else unscaled(step.upper - more)

    def affordable_units(self, cycle_units: Exact, _charged_mc: int, budget_mc: int) -> int | None:
        before = scaled(cycle_units)
        limit = (budget_mc + rounded(self._total(before))) * PRODUCT + HALF
        # The cycle's total never falls, so the border lies in the last tier whose entry is within the limit.
        inside = bisect_left(self._all, limit, key=lambda step: step.entered) - 1
        if inside < 0:
            return 0
        step = self._all[inside]
        end = _last_unit(step, limit=limit)
        if end is None:
            return None
        # When no whole unit ends inside this tier, the lower tier's last one does.
        return max((step.lower - before) // SCALE, (end - before) // SCALE, 0)

    def lines(self, units: Exact, cycle_units: Exact, _charged_mc: int) -> list[Line]:
        before = scaled(cycle_units)
        after = before + scaled(units)
        found: list[Line] = []
        for index in range(self._index(before), self._index(after) + 1):
            found += self._tier_lines(index, before=before, after=after)
        return found

    def _tier_lines(self, index: int, *, before: int, after: int) -> list[Line]:
        step, tier = self._all[index], self.tiers[index]
        units = (after if step.upper is None else min(after, step.upper)) - max(before, step.lower)
        if units <= 0:
            return []
        amount = unscaled(units * step.rate, scale=PRODUCT)
        found = [
            Line(
                kind="tier", tier=index + 1, units=unscaled(units), unit_cost=tier.credit_cost, amount=amount
            )
        ]
        if step.flat and before <= step.lower:
            found.append(Line(kind="tier_entry", tier=index + 1, amount=tier.flat_cost))
        return found


@dataclass(frozen=True, slots=True)
class Volume(_Tiered):
    """V(n) = n * the rate of the tier n is in + that tier's flat cost.

    An event costs what V has risen above what the cycle was charged so far, and never less than nothing: a
    total that drops into a cheaper tier is not refunded.
    """

    tier_mode: ClassVar[str] = "volume"

    def _total(self, units: int) -> int:
        if units <= 0:
            return 0
        step = self._all[self._index(units)]
        return units * step.rate + step.flat

    def cost_mc(self, units: Exact, cycle_units: Exact, charged_mc: int) -> int:
        return max(0, rounded(self._total(scaled(cycle_units) + scaled(units))) - charged_mc)

    def steady(self, _units: Exact, _cycle_units: Exact) -> None:
        """The cycle's charges decide too."""

    def affordable_units(self, cycle_units: Exact, charged_mc: int, budget_mc: int) -> int | None:
        before = scaled(cycle_units)
        limit = (budget_mc + charged_mc) * PRODUCT + HALF
        # V may fall at a border, so the largest quantity that fits may lie beyond some that do not: from the
        # top.
        for step in reversed(self._all):
            end = _last_unit_at_one_rate(step, limit=limit)
            if end is None:
                return None
            units = (end - before) // SCALE
            if units > 0 and before + units * SCALE > step.lower:
                return units
        return 0

    def lines(self, units: Exact, cycle_units: Exact, charged_mc: int) -> list[Line]:
        total = scaled(cycle_units) + scaled(units)
        index = self._index(total)
        step, tier = self._all[index], self.tiers[index]
        amount = unscaled(total * step.rate, scale=PRODUCT)
        found = [
            Line(
                kind="tier", tier=index + 1, units=unscaled(total), unit_cost=tier.credit_cost, amount=amount
            )
        ]
        if step.flat:
            found.append(Line(kind="tier_entry", tier=index + 1, amount=tier.flat_cost))
        if charged_mc:
            found.append(Line(kind="charged_before", amount=Decimal(-charged_mc)))
        if rounded(self._total(total)) < charged_mc:
            excess = unscaled(charged_mc * PRODUCT - self._total(total), scale=PRODUCT)
            found.append(Line(kind="not_refunded", amount=excess))
        return found


def _last_unit(step: _Step, *, limit: int) -> int | None:
    """The highest total inside a graduated tier whose cost is below `limit`; None when there is no end."""
    if step.rate == 0:
        return step.upper
    end = step.lower + largest_factor_below(limit - step.entered, factor=step.rate)
    return end if step.upper is None else min(end, step.upper)


def _last_unit_at_one_rate(step: _Step, *, limit: int) -> int | None:
    """The highest total of a volume tier that costs less than `limit`; below the tier when there is none."""
    if step.flat >= limit:
        return 0
    if step.rate == 0:
        return step.upper
    end = largest_factor_below(limit - step.flat, factor=step.rate)
    return end if step.upper is None else min(end, step.upper)
