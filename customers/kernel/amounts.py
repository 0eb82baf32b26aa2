"""Bounds of amounts, and how quantities are spelled.

Millicredits and minor units are integers that JavaScript can read exactly, so that no client ever rounds one.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

MC_PER_CREDIT: Final = 1000
#: The largest amount of one operation, in mc or minor units.
AMOUNT_MAX: Final = 10**15
#: The largest balance of an account in mc, either way: below 2**53.
BALANCE_MAX: Final = 9 * 10**15
#: Usage quantities are numeric(38,10).
UNITS_MAX: Final = 10**15
UNITS_DECIMALS: Final = 10

_DECIMAL: Final = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def decimal_parse(text: str) -> Decimal | None:
    """The exact decimal spelled by `text`, or None: no infinities, no underscores, no spaces."""
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def units_refusal(value: Decimal) -> str | None:
    """Why this cannot be a quantity, or None. Looks at the exponent first: 1e999999999 must never be written out."""
    if not value.is_finite():
        return "Must be a finite number."
    if (value and value.adjusted() > 20) or abs(value) > UNITS_MAX:
        return f"Must be at most {UNITS_MAX}."
    if _decimals(value) > UNITS_DECIMALS:
        return f"Must have at most {UNITS_DECIMALS} decimals."
    return None


def _decimals(value: Decimal) -> int:
    # Not by normalize(), which rounds to 28 digits.
    _, digits, exponent = value.as_tuple()
    zeros = next((count for count, digit in enumerate(reversed(digits)) if digit), len(digits))
    return max(0, -(int(exponent) + zeros)) if any(digits) else 0


def units_shown(value: Decimal) -> int | str:
    """A quantity as JSON shows it: whole ones as numbers, others as exact decimal strings."""
    whole = value.to_integral_value()
    return int(whole) if whole == value else format(value, "f").rstrip("0")


def credits_spelled(mc: int) -> str:
    """`1,234.5`: credits in a sentence, without superfluous zeros."""
    whole, rest = divmod(abs(mc), MC_PER_CREDIT)
    decimals = f".{rest:03d}".rstrip("0").rstrip(".")
    return f"{'-' if mc < 0 else ''}{whole:,}{decimals}"
