"""Periods tile time: no gap, no overlap, no drift, wherever the clocks are set."""

from __future__ import annotations

import json
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from subscriptions.engine.calendar import (
    calendar_step,
    interval_step,
    interval_steps_containing,
    steps_containing,
)

VECTORS = json.loads((Path(__file__).resolve().parent.parent / "vectors" / "calendar.json").read_text())
ZONES = (
    "UTC",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Europe/Berlin",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)
CYCLES = ("hourly", "daily", "weekly", "monthly", "quarterly", "yearly")


@pytest.mark.parametrize(
    "case", VECTORS["cases"], ids=[f"{c['start']} {c['cycle']}" for c in VECTORS["cases"]]
)
def test_the_agreed_starts(case):
    anchor = datetime.fromisoformat(case["start"])
    starts = [
        calendar_step(anchor, case["cycle"], case["timezone"], steps) for steps in range(len(case["starts"]))
    ]
    assert starts == [datetime.fromisoformat(start) for start in case["starts"]]


@pytest.mark.parametrize("timezone", ZONES)
@pytest.mark.parametrize("day", range(1, 32))
def test_every_day_of_a_month_is_kept_as_intent_for_four_years(timezone, day):
    zone = ZoneInfo(timezone)
    # 2027 to 2031: a leap year is among them.
    anchor = datetime(2027, 1, day, 2, 30, tzinfo=zone)
    starts = [calendar_step(anchor, "monthly", timezone, steps) for steps in range(49)]

    assert starts[0] == anchor
    assert all(earlier < later for earlier, later in pairwise(starts))
    for steps, start in enumerate(starts):
        local = start.astimezone(zone)
        year, month = 2027 + steps // 12, steps % 12 + 1
        assert (local.year, local.month) == (year, month)
        assert local.day == min(day, monthrange(year, month)[1])
        assert (local.hour, local.minute) in {(2, 30), (3, 30), (3, 0)}
        assert steps_containing(anchor, "monthly", timezone, start) == steps
        if steps:
            assert (
                steps_containing(anchor, "monthly", timezone, start - timedelta(microseconds=1)) == steps - 1
            )


# 1990 to 2060, by the microsecond.
INSTANTS = some.integers(631_152_000 * 10**6, 2_840_140_800 * 10**6).map(
    lambda after: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=after)
)


@given(
    anchor=INSTANTS,
    cycle=some.sampled_from(CYCLES),
    timezone=some.sampled_from((*ZONES, "Pacific/Apia", "Pacific/Kwajalein", "Pacific/Enderbury")),
    steps=some.integers(0, 3000),
)
def test_each_instant_lies_in_exactly_one_cycle(anchor, cycle, timezone, steps):
    start = calendar_step(anchor, cycle, timezone, steps)
    end = calendar_step(anchor, cycle, timezone, steps + 1)

    assert start < end
    for instant in (start, start + (end - start) / 2, end - timedelta(microseconds=1)):
        assert steps_containing(anchor, cycle, timezone, instant) == steps
    assert steps_containing(anchor, cycle, timezone, end) == steps + 1


@given(anchor=INSTANTS, seconds=some.integers(1, 10**7), steps=some.integers(0, 3000))
def test_custom_intervals_are_elapsed_seconds(anchor, seconds, steps):
    start = interval_step(anchor, "custom", seconds, "Europe/Berlin", steps)
    assert start == anchor + timedelta(seconds=seconds * steps)
    assert interval_steps_containing(anchor, "custom", seconds, "Europe/Berlin", start) == steps


def test_hours_are_elapsed_time_across_a_clock_change():
    anchor = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert calendar_step(anchor, "hourly", "Europe/Berlin", 5) == datetime(2026, 3, 29, 5, tzinfo=UTC)


def test_a_local_time_that_is_skipped_moves_forward_and_comes_back_the_day_after():
    anchor = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)  # 02:30 in Berlin; the 29th has no 02:30
    days = [calendar_step(anchor, "daily", "Europe/Berlin", steps) for steps in range(3)]
    assert days[1:] == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]


def test_of_a_local_time_that_occurs_twice_the_first_counts():
    anchor = datetime(2026, 10, 24, 0, 30, tzinfo=UTC)  # 02:30 in Berlin; the 25th has two
    days = [calendar_step(anchor, "daily", "Europe/Berlin", steps) for steps in range(3)]
    assert days[1:] == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]


def test_an_anchor_in_the_second_of_two_equal_hours_stays_where_it_is():
    anchor = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert calendar_step(anchor, "monthly", "Europe/Berlin", 0) == anchor


@pytest.mark.parametrize("hour", [0, 10, 23])
def test_a_day_that_a_country_skipped_lies_halfway_between_its_neighbours(hour):
    zone = ZoneInfo("Pacific/Apia")  # no 30 December 2011
    anchor = datetime(2011, 12, 28, hour, tzinfo=zone)
    days = [calendar_step(anchor, "daily", "Pacific/Apia", steps) for steps in range(5)]
    hours = [(later - earlier) / timedelta(hours=1) for earlier, later in pairwise(days)]
    assert hours == [24, 12, 12, 24]
    assert days[4] == datetime(2012, 1, 1, hour, tzinfo=zone)


def test_before_the_anchor_there_is_no_cycle():
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(ValueError, match="before the anchor"):
        steps_containing(anchor, "monthly", "UTC", anchor - timedelta(microseconds=1))


def test_a_custom_interval_needs_its_seconds():
    with pytest.raises(ValueError, match="has its seconds"):
        interval_step(datetime(2026, 1, 31, tzinfo=UTC), "custom", None, "UTC", 1)
