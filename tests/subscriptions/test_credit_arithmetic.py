"""What rolls over, and what belongs to the rest of a period: exact integers, never more than there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from subscriptions.engine.proration import prorated
from subscriptions.engine.rollover import rolled, rolled_priority

START = datetime(2026, 4, 1, tzinfo=UTC)
END = datetime(2026, 5, 1, tzinfo=UTC)
AMOUNTS = some.integers(0, 10**15)


@pytest.mark.parametrize(
    ("eligible_mc", "percentage", "cap_mc", "rolled_mc"),
    [
        (40_000, 50, None, 20_000),
        (40_000, 0, None, 0),
        (40_000, 100, None, 40_000),
        (99, 50, None, 49),
        (40_000, 100, 120_000, 20_000),
        (40_000, 100, 100_000, 0),
        (-5_000, 100, None, 0),
    ],
)
def test_what_rolls_over_beside_a_grant_of_100_credits(eligible_mc, percentage, cap_mc, rolled_mc):
    assert rolled(eligible_mc, percentage, 100_000, cap_mc) == rolled_mc


@given(AMOUNTS, some.integers(0, 100), AMOUNTS, some.none() | AMOUNTS)
def test_never_more_rolls_over_than_was_left_or_than_the_cap_has_room_for(
    left, percentage, credits_mc, cap_mc
):
    kept = rolled(left, percentage, credits_mc, cap_mc)
    assert 0 <= kept * 100 <= left * percentage
    assert cap_mc is None or kept == 0 or credits_mc + kept <= cap_mc


@pytest.mark.parametrize(("template", "rolled_over"), [(10, 5), (5, 0), (3, 0), (100, 95)])
def test_rolled_credits_burn_after_the_new_ones(template, rolled_over):
    assert rolled_priority(template) == rolled_over


@pytest.mark.parametrize(
    ("at", "share_mc"),
    [
        (START, 300_000),
        (datetime(2026, 4, 16, tzinfo=UTC), 150_000),
        (datetime(2026, 4, 30, 23, 59, 59, tzinfo=UTC), 0),  # 0.11 mc, rounded down
        (END, 0),
        (END + timedelta(days=1), 0),
        (START - timedelta(days=1), 300_000),
    ],
)
def test_the_share_of_the_rest_of_a_month(at, share_mc):
    assert prorated(300_000, START, END, at) == share_mc


def test_the_share_is_the_same_within_one_second():
    second = datetime(2026, 4, 10, 12, 0, 0, 1, tzinfo=UTC)
    later = second + timedelta(microseconds=900_000)
    assert prorated(10**15, START, END, second) == prorated(10**15, START, END, later)


@given(AMOUNTS, some.integers(0, 30 * 86_400))
def test_both_parts_of_a_period_are_together_the_whole_but_for_what_is_rounded_down(credits_mc, second):
    at = START + timedelta(seconds=second)
    rest = prorated(credits_mc, START, END, at)
    spent = prorated(credits_mc, START, END, END - (at - START))
    assert credits_mc - 1 <= rest + spent <= credits_mc
