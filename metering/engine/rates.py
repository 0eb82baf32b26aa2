"""A rate: one complete way to charge. A rate table: one rate per value of an event property, such as
`model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from customers.kernel.amounts import units_shown
from metering.engine.exact import SCALE, rounded, scaled
from metering.engine.terms import Flat, Package, PerUnit
from metering.engine.tiers import Graduated, Volume

Terms = Flat | PerUnit | Package | Graduated | Volume

#: The rate of every value that has none of its own.
ANY_VALUE: Final = "*"
#: The value of an event that lacks the property.
NO_VALUE: Final = ""
#: The longest value that is counted as itself.
VALUE_MAX_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Rate:
    """Terms, and the least that any one event costs (docs/decisions/minimum-cost.md)."""

    terms: Terms
    minimum_cost: Decimal | None = None
    minimum_mc: int = field(init=False, repr=False, compare=False)
    #: False when an event's cost is the same whatever the cycle has seen: no counter needs to be right.
    depends_on_cycle: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        minimum = 0 if self.minimum_cost is None else rounded(scaled(self.minimum_cost) * SCALE)
        object.__setattr__(self, "minimum_mc", minimum)
        object.__setattr__(self, "depends_on_cycle", self.terms.depends_on_cycle)

    def rate_of(self, _properties: Mapping[str, object] | None) -> tuple[Rate, str]:
        """Itself and the counter that all events share: the same call as `RateTable.rate_of`."""
        return self, NO_VALUE

    def to_json(self) -> dict[str, Any]:
        minimum = {} if self.minimum_cost is None else {"minimum_cost": units_shown(self.minimum_cost)}
        return self.terms.to_json() | minimum


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates by the value of the property `dimension`. Each value has its own counter in the cycle."""

    dimension: str
    rates: Mapping[str, Rate]
    cost_type: str = "rates"

    def rate_of(self, properties: Mapping[str, object] | None) -> tuple[Rate, str] | None:
        """The rate of an event and the value it is counted under; None when the table has no rate for it."""
        value = dimension_value((properties or {}).get(self.dimension))
        rate = self.rates.get(value) or self.rates.get(ANY_VALUE)
        return None if rate is None else (rate, value)

    def to_json(self) -> dict[str, Any]:
        rates = {value: rate.to_json() for value, rate in self.rates.items()}
        return {"cost_type": self.cost_type, "dimension": self.dimension, "rates": rates}


def dimension_value(value: object) -> str:
    """A property's value as the text that rates are looked up and units are counted by.

    Numbers and booleans count as their text in the database. What is no single value, or is longer than any
    rate's name can be, counts as absent. `metering_dimension_value` in SQL is its twin.
    """
    text = text_of(value) or NO_VALUE
    return text if len(text) <= VALUE_MAX_LENGTH else NO_VALUE


def text_of(value: object) -> str | None:
    """A text, number or boolean as the database writes it; None for whatever else a property holds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return _digits(Decimal(value))
    return value if isinstance(value, str) else None


def _digits(number: Decimal) -> str:
    """As PostgreSQL writes a number: no exponent, no negative zero."""
    if abs(int(number.as_tuple().exponent)) > VALUE_MAX_LENGTH:
        return NO_VALUE
    return format(number or number.copy_abs(), "f")
