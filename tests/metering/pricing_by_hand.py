"""All prices once more, as naively as possible: fractions, one tier after the other, no shortcuts."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def cycle_total(definition: dict[str, Any], total: Fraction) -> Fraction:
    """What `total` units of a cycle cost in all, for the kinds of prices that look at the whole cycle."""
    if definition["cost_type"] == "package":
        return ceil(total / Fraction(definition["package_size"])) * Fraction(definition["package_cost"])
    if definition.get("tier_mode") == "volume":
        return _volume_total(definition["tiers"], total)
    return _graduated_total(definition["tiers"], total)


def _graduated_total(tiers: list[dict[str, Any]], total: Fraction) -> Fraction:
    cost, lower = Fraction(0), Fraction(0)
    for tier in tiers:
        if total <= lower:
            break
        upper = total if tier["up_to"] is None else min(total, Fraction(tier["up_to"]))
        cost += Fraction(tier["credit_cost"]) * (upper - lower) + Fraction(tier.get("flat_cost", 0))
        if tier["up_to"] is not None:
            lower = Fraction(tier["up_to"])
        else:
            break
    return cost


def _volume_total(tiers: list[dict[str, Any]], total: Fraction) -> Fraction:
    if total == 0:
        return Fraction(0)
    for tier in tiers:
        if tier["up_to"] is None or total <= Fraction(tier["up_to"]):
            return total * Fraction(tier["credit_cost"]) + Fraction(tier.get("flat_cost", 0))
    raise AssertionError("the last tier is open")


def cost_by_hand(definition: dict[str, Any], *, units: Any, cycle_units: Any, charged_mc: int) -> int:
    before, after = Fraction(cycle_units), Fraction(cycle_units) + Fraction(units)
    if definition["cost_type"] == "flat":
        cost = half_up(Fraction(definition["unit_cost"]))
    elif definition["cost_type"] == "per_unit":
        cost = half_up(Fraction(definition["unit_cost"]) * Fraction(units))
    elif definition.get("tier_mode") == "volume":
        cost = max(0, half_up(cycle_total(definition, after)) - charged_mc)
    else:
        cost = half_up(cycle_total(definition, after)) - half_up(cycle_total(definition, before))
    return max(cost, half_up(Fraction(definition.get("minimum_cost", 0))))
