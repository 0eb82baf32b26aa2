"""Shares of fees: by the second, and the parts of a whole add up to it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.engine.fees import Share, shares_rounded

MONTH = 30 * 24 * 3600


def shares(*parts: tuple[int, int], of: int = MONTH) -> list[int]:
    return shares_rounded([Share(amount_minor=fee, seconds=seconds, of=of) for fee, seconds in parts])


def test_half_a_month_is_half_the_fee_half_up():
    assert shares((4901, MONTH // 2)) == [2451]


def test_three_thirds_of_a_hundred_are_a_hundred():
    assert shares((100, MONTH // 3), (100, MONTH // 3), (100, MONTH // 3)) == [34, 33, 33]


def test_the_odd_unit_goes_to_whom_rounding_took_most_from():
    # 33.33 and 66.67
    assert shares((100, 1), (100, 2), of=3) == [33, 67]


def test_a_share_is_never_more_than_the_whole():
    assert shares((100, MONTH + 5)) == [100]
    assert shares((100, 5), of=0) == [0]


@given(
    fee=st.integers(0, 10**9),
    cuts=st.lists(st.integers(0, MONTH), max_size=12).map(sorted),
)
def test_parts_of_one_fee_add_up_to_it_whatever_the_cuts(fee, cuts):
    parts = [(fee, end - start) for start, end in pairwise([0, *cuts, MONTH])]
    assert sum(shares(*parts)) == fee


@given(parts=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, MONTH)), max_size=8))
def test_each_share_is_less_than_one_unit_from_exact(parts):
    for (fee, seconds), share in zip(parts, shares(*parts), strict=True):
        assert abs(share * MONTH - fee * seconds) < MONTH
