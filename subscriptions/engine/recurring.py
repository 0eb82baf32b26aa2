"""What a price per cycle comes to in a month of the mean year: 365 days, a twelfth of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from types import MappingProxyType
from typing import Final

#: How many cycles there are in a month.
CYCLES_PER_MONTH: Final = MappingProxyType(
    {
        "hourly": Fraction(365 * 24, 12),
        "daily": Fraction(365, 12),
        "weekly": Fraction(365, 7 * 12),
        "monthly": Fraction(1),
        "quarterly": Fraction(1, 3),
        "yearly": Fraction(1, 12),
    }
)


def minor_per_month(prices: Iterable[tuple[str, int]]) -> int:
    """Prices in minor units with their cycles, per month: added up exactly, then rounded once, halves up."""
    exact = sum((CYCLES_PER_MONTH[cycle] * minor for cycle, minor in prices), Fraction(0))
    return int(exact + Fraction(1, 2))
