"""Fees for a part of a period: by the second, and rounded so that the parts add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Final

_HALF: Final = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A fee in minor units, for `seconds` of the `of` that it is for as a whole."""

    amount_minor: int
    seconds: int
    of: int

    @property
    def exact(self) -> Fraction:
        if self.of <= 0:
            return Fraction(0)
        return Fraction(self.amount_minor * min(max(self.seconds, 0), self.of), self.of)


def shares_rounded(shares: Sequence[Share]) -> list[int]:
    """What each comes to: together the rounded sum, the odd units given to those that lost most by rounding down.

    So parts of equal fees that fill a period add up to the fee, whatever the parts.
    """
    exact = [share.exact for share in shares]
    rounded = [floor(each) for each in exact]
    odd = floor(sum(exact) + _HALF) - sum(rounded)
    by_loss = sorted(range(len(exact)), key=lambda index: (rounded[index] - exact[index], index))
    for index in by_loss[:odd]:
        rounded[index] += 1
    return rounded
