"""The simple ways to charge: a fixed amount, so much per unit, so much per package begun."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the arithmetic behind a cost. The lines of a cost add up to it exactly."""

    kind: str
    amount: Decimal
    #: Counted from 1, where the line belongs to a tier.
    tier: int | None = None
    units: Decimal | None = None
    unit_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Flat:
    """`unit_cost` for each event, whatever its units."""

    unit_cost: Decimal
    _cost_mc: int = field(init=False, repr=False, compare=False)

    cost_type: ClassVar[str] = "flat"
    depends_on_cycle: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cost_mc", rounded(scaled(self.unit_cost) * SCALE))

    def cost_mc(self, _units: Exact, _cycle_units: Exact, _charged_mc: int) -> int:
        return self._cost_mc

    def affordable_units(self, _cycle_units: Exact, _charged_mc: int, budget_mc: int) -> int | None:
        return None if self._cost_mc <= budget_mc else 0

    def lines(self, _units: Exact, _cycle_units: Exact, _charged_mc: int) -> list[Line]:
        return [Line(kind="event", amount=self.unit_cost)]

    def to_json(self) -> dict[str, Any]:
        return {"cost_type": self.cost_type, "unit_cost": units_shown(self.unit_cost)}


@dataclass(frozen=True, slots=True)
class PerUnit:
    """`unit_cost` times the event's units."""

    unit_cost: Decimal
    _unit_cost: int = field(init=False, repr=False, compare=False)
    _whole_unit_cost: int = field(init=False, repr=False, compare=False)

    cost_type: ClassVar[str] = "per_unit"
    depends_on_cycle: ClassVar[bool] = False

    def __post_init__(self) -> None:
        price = scaled(self.unit_cost)
        object.__setattr__(self, "_unit_cost", price)
        object.__setattr__(self, "_whole_unit_cost", price // SCALE if price % SCALE == 0 else -1)

    def cost_mc(self, units: Exact, _cycle_units: Exact, _charged_mc: int) -> int:
        if type(units) is int and self._whole_unit_cost >= 0:  # nearly all usage there is
            return units * self._whole_unit_cost
        return rounded(scaled(units) * self._unit_cost)

    def affordable_units(self, _cycle_units: Exact, _charged_mc: int, budget_mc: int) -> int | None:
        if self._unit_cost == 0:
            return None
        return largest_factor_below(budget_mc * PRODUCT + HALF, factor=self._unit_cost * SCALE)

    def lines(self, units: Exact, _cycle_units: Exact, _charged_mc: int) -> list[Line]:
        amount = unscaled(scaled(units) * self._unit_cost, scale=PRODUCT)
        return [Line(kind="units", amount=amount, units=unscaled(scaled(units)), unit_cost=self.unit_cost)]

    def to_json(self) -> dict[str, Any]:
        return {"cost_type": self.cost_type, "unit_cost": units_shown(self.unit_cost)}


@dataclass(frozen=True, slots=True)
class Package:
    """`package_cost` for each package of `package_size` units that is begun in the cycle."""

    package_size: Decimal
    package_cost: Decimal
    _size: int = field(init=False, repr=False, compare=False)
    _cost: int = field(init=False, repr=False, compare=False)

    cost_type: ClassVar[str] = "package"
    depends_on_cycle: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "_size", scaled(self.package_size))
        object.__setattr__(self, "_cost", scaled(self.package_cost))

    def _begun(self, units: int) -> int:
        return -(-units // self._size)

    def _total_mc(self, units: int) -> int:
        return rounded(self._begun(units) * self._cost * SCALE)

    def cost_mc(self, units: Exact, cycle_units: Exact, _charged_mc: int) -> int:
        before = scaled(cycle_units)
        return self._total_mc(before + scaled(units)) - self._total_mc(before)

    def steady(self, units: Exact, cycle_units: Exact) -> tuple[Decimal, Decimal] | None:
        """While no package is begun, every event is free."""
        before, more = scaled(cycle_units), scaled(units)
        begun = self._begun(before + more)
        if begun != self._begun(before):
            return None
        return unscaled((begun - 1) * self._size + 1), unscaled(begun * self._size - more)

    def affordable_units(self, cycle_units: Exact, _charged_mc: int, budget_mc: int) -> int | None:
        if self._cost == 0:
            return None
        before = scaled(cycle_units)
        limit = (budget_mc + self._total_mc(before)) * PRODUCT + HALF
        packages = largest_factor_below(limit, factor=self._cost * SCALE)
        return (packages * self._size - before) // SCALE

    def lines(self, units: Exact, cycle_units: Exact, _charged_mc: int) -> list[Line]:
        before = scaled(cycle_units)
        packages = self._begun(before + scaled(units)) - self._begun(before)
        amount = unscaled(packages * self._cost)
        return [Line(kind="packages", amount=amount, units=Decimal(packages), unit_cost=self.package_cost)]

    def to_json(self) -> dict[str, Any]:
        return {
            "cost_type": self.cost_type,
            "package_size": units_shown(self.package_size),
            "package_cost": units_shown(self.package_cost),
        }
