"""Bounds of amounts.

Millicredits and minor units are integers that JavaScript can read exactly, so that no client ever rounds one.
"""

from __future__ import annotations

from typing import Final

MC_PER_CREDIT: Final = 1000
#: The largest amount of one operation, in mc or minor units.
AMOUNT_MAX: Final = 10**15
#: The largest balance of an account in mc, either way: below 2**53.
BALANCE_MAX: Final = 9 * 10**15
#: Usage quantities are numeric(38,10).
UNITS_MAX: Final = 10**15
UNITS_DECIMALS: Final = 10
