"""Exact numbers. Quantities and prices have at most ten decimals, so scaled by 10**10 they are whole numbers.

The engine computes with those integers: a product of two is exact at 10**20, whatever its size, and no
context, precision or float is involved. Decimals exist only at the border.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from functools import reduce
from typing import Final

from customers.kernel.amounts import UNITS_DECIMALS, decimal_parse

SCALE: Final = 10**UNITS_DECIMALS
#: The scale of a quantity times a price.
PRODUCT: Final = SCALE * SCALE
HALF: Final = PRODUCT // 2

# Wide enough for sums of numeric(38,10) and for products; an operation that would round raises instead.
_CONTEXT: Final = Context(prec=120, rounding=ROUND_HALF_UP, traps=[Inexact, InvalidOperation])
_SCALE_DECIMAL: Final = Decimal(SCALE)

Exact = Decimal | int


def scaled(value: Exact) -> int:
    """`value` in units of 10**-10. Raises `Inexact` when it has more decimals than that."""
    if type(value) is int:
        return value * SCALE
    return int(_CONTEXT.to_integral_exact(_CONTEXT.multiply(value, _SCALE_DECIMAL)))


def unscaled(value: int, *, scale: int = SCALE) -> Decimal:
    """The decimal that `value` stands for, without trailing zeros."""
    number = _CONTEXT.normalize(_CONTEXT.divide(Decimal(value), Decimal(scale)))
    # 1E+3 is the normal form of 1000, but nobody writes it so.
    return _CONTEXT.quantize(number, Decimal(1)) if int(number.as_tuple().exponent) > 0 else number


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their exact sum."""
    return reduce(_CONTEXT.add, amounts, Decimal(0))


def times(value: Decimal, factor: int) -> Decimal:
    """Their exact product, without trailing zeros."""
    return unscaled(int(_CONTEXT.multiply(value, Decimal(PRODUCT * factor))), scale=PRODUCT)


def half_up(value: Decimal) -> int:
    """A whole number from one that is not negative and has at most twenty decimals."""
    return rounded(int(_CONTEXT.multiply(value, Decimal(PRODUCT))))


def rounded(product: int) -> int:
    """A product as a whole number, half up. The only rounding there is; nothing negative is ever rounded."""
    return (product + HALF) // PRODUCT


def largest_factor_below(limit: int, *, factor: int) -> int:
    """The largest n with n * factor < limit, for a factor above zero."""
    return (limit - 1) // factor


def exact_decimal(value: object) -> Decimal | None:
    """A JSON number or string as an exact decimal with at most ten decimals, or None when it is not one.

    A float is none: it has lost what was written before anybody could look.
    """
    number = _number(value)
    if number is None or not number.is_finite() or abs(number.adjusted()) > 60:
        return None
    try:
        return unscaled(scaled(number))
    except Inexact:
        return None


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        return decimal_parse(value)
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
