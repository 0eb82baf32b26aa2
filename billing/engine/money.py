"""Money in words: `1,234.50 USD`."""

from __future__ import annotations

from decimal import Decimal

from billing.engine.currencies import currency_exponent


def money_text(minor: int, currency: str) -> str:
    """`20.00 USD`."""
    return f"{money_number(minor, currency)} {currency.upper()}"


def money_number(minor: int, currency: str) -> str:
    """`20.00`, for where the currency stands already."""
    exponent = currency_exponent(currency)
    return f"{Decimal(minor).scaleb(-exponent):,.{exponent}f}"


def money_exact(major: Decimal, currency: str) -> str:
    """An unrounded amount of major units, with as many decimals as it needs and no fewer than usual: `90.005`."""
    decimals = max(currency_exponent(currency), -int(major.normalize().as_tuple().exponent))
    return f"{major:,.{decimals}f}"
