"""The stored and sent form of prices: read strictly, refused with the place of each fault.

    {"cost_type": "per_unit", "unit_cost": 1000}
    {"cost_type": "tiered", "tiers": [{"up_to": 9, "credit_cost": 10}, {"up_to": null, "credit_cost": "0.5"}]}
    {"dimension": "model", "rates": {"large": {"cost_type": "per_unit", "unit_cost": 30}, "*": {…}}}

A member that is null is one that is not there. `to_json` of what comes out is the form to store: numbers that
are whole stay numbers, others become text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from customers.errors import FieldError
from customers.kernel.amounts import UNITS_MAX
from metering.engine.exact import exact_decimal
from metering.engine.rates import VALUE_MAX_LENGTH, Rate, RateTable, Terms
from metering.engine.terms import Flat, Package, PerUnit
from metering.engine.tiers import Graduated, Tier, Volume
from metering.errors import InvalidMeteringRule

TIERS_MAX: Final = 100
RATES_MAX: Final = 1000
RATES: Final = "rates"

_TERMS_OF: Final[Mapping[str, frozenset[str]]] = {
    "flat": frozenset({"unit_cost"}),
    "per_unit": frozenset({"unit_cost"}),
    "package": frozenset({"package_size", "package_cost"}),
    # A unit_cost beside tiers is common in the wild, means nothing there, and is not kept.
    "tiered": frozenset({"tiers", "tier_mode", "unit_cost"}),
}
COST_TYPES: Final = (*_TERMS_OF, RATES)
_TERMS: Final = frozenset().union(*_TERMS_OF.values())
MEMBERS: Final = _TERMS | {"cost_type", "minimum_cost", "dimension", "rates"}


def definition_parse(definition: Mapping[str, Any]) -> Rate | RateTable:
    """The prices that `definition` describes. Raises `InvalidMeteringRule` with an error for each fault."""
    reader = _Reader(errors=[])
    given = {name: value for name, value in definition.items() if value is not None}
    priced = reader.table(given) if "dimension" in given or "rates" in given else reader.rate(given, at="")
    if priced is None or reader.errors:
        raise InvalidMeteringRule(errors=reader.errors)
    return priced


@dataclass(slots=True)
class _Reader:
    """Reads as far as it can and collects what is wrong on the way; a value that is wrong reads as None."""

    errors: list[FieldError]

    def refuse(self, field: str, code: str, message: str) -> None:
        self.errors.append(FieldError(field, code, message))

    def known(self, given: Mapping[str, Any], allowed: Collection[str], *, at: str, why: str) -> None:
        for name in given:
            if name not in allowed:
                self.refuse(f"{at}{name}"[:200], "unknown-field", why)

    def number(
        self, given: Mapping[str, Any], name: str, *, at: str, above_zero: bool = False
    ) -> Decimal | None:
        if name not in given:
            self.refuse(f"{at}{name}", "required", "This field is required.")
            return None
        value = exact_decimal(given[name])
        wrong = _wrong_with(value, above_zero=above_zero)
        if wrong is not None:
            self.refuse(f"{at}{name}", *wrong)
            return None
        return value

    def choice(self, given: Mapping[str, Any], name: str, choices: Collection[str], *, at: str) -> str | None:
        if name not in given:
            self.refuse(f"{at}{name}", "required", "This field is required.")
            return None
        if not isinstance(given[name], str) or given[name] not in choices:
            self.refuse(f"{at}{name}", "invalid", f"Must be one of {', '.join(sorted(choices))}.")
            return None
        return str(given[name])

    def rate(self, given: Mapping[str, Any], *, at: str) -> Rate | None:
        cost_type = self.choice(given, "cost_type", _TERMS_OF, at=at)
        if cost_type is None:
            return None
        allowed = _TERMS_OF[cost_type] | {"cost_type", "minimum_cost"}
        self.known(given, allowed, at=at, why=f"Does not belong to the cost type {cost_type}.")
        minimum = self.number(given, "minimum_cost", at=at) if "minimum_cost" in given else None
        terms = self.terms(cost_type, given, at=at)
        return None if terms is None else Rate(terms, minimum)

    def terms(self, cost_type: str, given: Mapping[str, Any], *, at: str) -> Terms | None:
        if cost_type == "tiered":
            return self.tiered(given, at=at)
        if cost_type == "package":
            size = self.number(given, "package_size", at=at, above_zero=True)
            cost = self.number(given, "package_cost", at=at)
            return None if size is None or cost is None else Package(size, cost)
        unit_cost = self.number(given, "unit_cost", at=at)
        if unit_cost is None:
            return None
        return Flat(unit_cost) if cost_type == "flat" else PerUnit(unit_cost)

    def tiered(self, given: Mapping[str, Any], *, at: str) -> Graduated | Volume | None:
        mode = self.choice({"tier_mode": "graduated", **given}, "tier_mode", ("graduated", "volume"), at=at)
        tiers = self.tiers(given.get("tiers"), at=f"{at}tiers")
        if mode is None or tiers is None:
            return None
        return Volume(tiers) if mode == "volume" else Graduated(tiers)

    def tiers(self, given: object, *, at: str) -> tuple[Tier, ...] | None:
        if not isinstance(given, list) or not given:
            self.refuse(at, "required", "Must be a list of at least one tier.")
            return None
        if len(given) > TIERS_MAX:
            self.refuse(at, "too-many", f"Must be at most {TIERS_MAX} tiers.")
            return None
        tiers = [
            self.tier(tier, at=f"{at}.{index}", last=index == len(given) - 1)
            for index, tier in enumerate(given)
        ]
        read = tuple(tier for tier in tiers if tier is not None)
        if len(read) < len(tiers):
            return None
        self.ascending(read, at=at)
        return read

    def tier(self, given: object, *, at: str, last: bool) -> Tier | None:
        tier = self.object(given, at=at)
        if tier is None:
            return None
        self.known(tier, ("up_to", "credit_cost", "flat_cost"), at=f"{at}.", why="A tier has no such field.")
        if last and "up_to" in tier:
            self.refuse(f"{at}.up_to", "not-open", "The last tier must be open: its up_to is null.")
            return None
        up_to = None if last else self.number(tier, "up_to", at=f"{at}.", above_zero=True)
        credit_cost = self.number(tier, "credit_cost", at=f"{at}.")
        flat_cost = self.number({"flat_cost": 0, **tier}, "flat_cost", at=f"{at}.")
        if credit_cost is None or flat_cost is None or (up_to is None and not last):
            return None
        return Tier(up_to=up_to, credit_cost=credit_cost, flat_cost=flat_cost)

    def ascending(self, tiers: tuple[Tier, ...], *, at: str) -> None:
        below = Decimal(0)
        for index, tier in enumerate(tiers):
            if tier.up_to is None:
                continue
            if tier.up_to <= below:
                self.refuse(f"{at}.{index}.up_to", "not-ascending", "Must be above the tier before.")
            below = tier.up_to

    def table(self, given: Mapping[str, Any]) -> RateTable | None:
        self.known(given, MEMBERS - _TERMS, at="", why="With rates, prices stand in each rate.")
        cost_type = self.choice({"cost_type": RATES, **given}, "cost_type", COST_TYPES, at="")
        dimension = self.name(given.get("dimension"), at="dimension")
        inherited = {name: given[name] for name in ("cost_type", "minimum_cost") if name in given}
        if cost_type == RATES:
            inherited.pop("cost_type", None)
        rates = self.rates(given.get("rates"), inherited=inherited)
        if cost_type is None or dimension is None or rates is None:
            return None
        return RateTable(dimension, rates, cost_type)

    def rates(self, given: object, *, inherited: Mapping[str, Any]) -> dict[str, Rate] | None:
        if not isinstance(given, dict) or not given:
            self.refuse("rates", "required", "Must be an object with at least one rate.")
            return None
        if len(given) > RATES_MAX:
            self.refuse("rates", "too-many", f"Must be at most {RATES_MAX} rates.")
            return None
        rates: dict[str, Rate] = {}
        for value, members in given.items():
            at = f"rates.{value}"[:200]
            name, rate = self.name(value, at=at), self.object(members, at=at)
            read = None if rate is None else self.rate({**inherited, **rate}, at=f"{at}.")
            if name is not None and read is not None:
                rates[name] = read
        return rates

    def name(self, given: object, *, at: str) -> str | None:
        if not isinstance(given, str) or not 0 < len(given) <= VALUE_MAX_LENGTH or "\0" in given:
            self.refuse(at, "invalid", f"Must be a text of 1 to {VALUE_MAX_LENGTH} characters.")
            return None
        return given

    def object(self, given: object, *, at: str) -> dict[str, Any] | None:
        if not isinstance(given, dict):
            self.refuse(at, "invalid", "Must be an object.")
            return None
        return {name: value for name, value in given.items() if value is not None}


def _wrong_with(value: Decimal | None, *, above_zero: bool) -> tuple[str, str] | None:
    """Code and message of what is wrong with a number, or None."""
    if value is None:
        return "invalid", "Must be a number with at most 10 decimals."
    if value < 0 or (above_zero and value == 0):
        return "out-of-range", "Must be above zero." if above_zero else "Must not be negative."
    return ("out-of-range", f"Must be at most {UNITS_MAX}.") if value > UNITS_MAX else None
