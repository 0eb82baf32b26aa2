"""What usage costs in millicredits: the only implementation. Usage, reservations, entitlements, previews and
explanations all ask here, so that none of them can disagree.

`units` are the event's, `cycle_units` the customer's units of the metric in the current cycle before it (per
value of the rule's dimension, if it has one), `charged_mc` what those cost. Units are exact decimals from 0
up with at most ten decimals; plain integers are faster.

A cost can exceed what an account can hold (10**15 mc): the caller refuses that.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from metering.engine.definitions import definition_parse
from metering.engine.exact import Exact, total
from metering.engine.rates import ANY_VALUE, NO_VALUE, Rate, RateTable
from metering.engine.terms import Flat, Line, PerUnit

__all__ = [
    "ANY_VALUE",
    "NO_VALUE",
    "Breakdown",
    "Line",
    "Pricing",
    "Rate",
    "RateTable",
    "affordable_units",
    "breakdown",
    "cost",
    "definition_parse",
    "steady",
]

Pricing = Rate | RateTable


def cost(rate: Rate, *, units: Exact, cycle_units: Exact, charged_mc: int) -> int:
    """The cost in mc of an event of `units`, after `cycle_units` and `charged_mc` in this cycle."""
    return max(rate.terms.cost_mc(units, cycle_units, charged_mc), rate.minimum_mc)


def affordable_units(rate: Rate, *, cycle_units: Exact, charged_mc: int, effective_mc: int) -> int | None:
    """The largest whole number of units of one event whose cost is within `effective_mc`; None = no limit.

    What costs nothing is affordable with any balance, also one below zero: it takes nothing from it.
    """
    budget_mc = max(effective_mc, 0)
    if rate.minimum_mc > budget_mc:
        return 0
    return rate.terms.affordable_units(cycle_units, charged_mc, budget_mc)


def steady(rate: Rate, *, units: Exact, cycle_units: Exact) -> tuple[Decimal, Decimal] | None:
    """From which to which `cycle_units` the cost of an event of `units` is what it is at these, whatever was charged.

    Not the widest bounds, and None where there are none worth telling: then each standing has its own cost.
    """
    terms = rate.terms
    return None if isinstance(terms, Flat | PerUnit) else terms.steady(units, cycle_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """How a cost came about. The amounts of the lines add up to `cost_mc`; rounding and minimum are lines
    too."""

    cost_mc: int
    lines: tuple[Line, ...]


def breakdown(rate: Rate, *, units: Exact, cycle_units: Exact, charged_mc: int) -> Breakdown:
    """The arithmetic behind `cost` with the same arguments."""
    lines = rate.terms.lines(units, cycle_units, charged_mc)
    terms_mc = rate.terms.cost_mc(units, cycle_units, charged_mc)
    exact = total(line.amount for line in lines)
    if exact != terms_mc:
        lines.append(Line(kind="rounding", amount=total((Decimal(terms_mc), exact.copy_negate()))))
    if rate.minimum_mc > terms_mc:
        lines.append(Line(kind="minimum", amount=Decimal(rate.minimum_mc - terms_mc)))
    return Breakdown(cost_mc=max(terms_mc, rate.minimum_mc), lines=tuple(lines))
