"""What an invoice comes to: exact decimals, each amount rounded half up once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

#: Of a tax rate, which is in percent.
_RATE_DECIMALS: Final = 4
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """`total = subtotal + tax - credits_applied`, all in minor units, and never below nothing.

    A sum below nothing is owed to the customer: `credits_applied` is then negative, and put onto the balance.
    """

    subtotal_minor: int
    tax_minor: int
    credits_applied_minor: int

    @property
    def gross_minor(self) -> int:
        return self.subtotal_minor + self.tax_minor

    @property
    def total_minor(self) -> int:
        return self.gross_minor - self.credits_applied_minor


def totals_of(*, subtotal_minor: int, tax_rate: Decimal, credit_minor: int) -> Totals:
    """With as much of the customer's credit as there is something to use it for."""
    tax = part_of(subtotal_minor, _millionths(tax_rate), _MILLION)
    gross = subtotal_minor + tax
    return Totals(
        subtotal_minor=subtotal_minor,
        tax_minor=tax,
        credits_applied_minor=min(gross, max(credit_minor, 0)),
    )


def part_of(amount_minor: int, part: int, whole: int) -> int:
    """`part` of `whole` of the amount, half away from nothing; in whole numbers, so exact whatever the size."""
    product, doubled = amount_minor * part, 2 * whole
    rounded = (2 * abs(product) + abs(whole)) // abs(doubled)
    return rounded if (product < 0) == (whole < 0) else -rounded


def with_tax(amount_minor: int, tax_rate: Decimal) -> int:
    """An amount and the tax on it alone."""
    return amount_minor + part_of(amount_minor, _millionths(tax_rate), _MILLION)


def _millionths(percent: Decimal) -> int:
    return int(percent.scaleb(_RATE_DECIMALS))
