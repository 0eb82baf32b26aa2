"""The currencies money may be in: ISO 4217's active ones with their minor units, and `mc`, paid in credits.

A table of our own (docs/decisions/currencies.md): it is thirty lines, changes every other year, and needs no library.
"""

from __future__ import annotations

from typing import Final

#: Credits as a currency: amounts are millicredits.
CREDITS: Final = "MC"

_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP "
    "CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK "
    "NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
    "TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS: Final = "CLF UYW"

_EXPONENTS: Final[dict[str, int]] = {
    code: exponent
    for exponent, codes in (
        (0, _NO_DECIMALS),
        (2, _TWO_DECIMALS),
        (3, _THREE_DECIMALS),
        (4, _FOUR_DECIMALS),
    )
    for code in codes.split()
} | {CREDITS: 3}


def currency_is_known(code: str) -> bool:
    """Whether `code`, in any case, is a currency."""
    return code.upper() in _EXPONENTS


def currency_exponent(code: str) -> int:
    """How many decimals the major unit has: an amount of 100 is 1.00 USD, 100 JPY, 0.100 KWD, 0.100 credits."""
    return _EXPONENTS[code.upper()]
