"""Where periods and grant intervals end: counted from an anchor, never from the last end, so nothing drifts.

Hours and custom seconds are elapsed time. Days, weeks, months, quarters and years are read off a wall clock in the
subscription's timezone: the same local time, `steps` cycles later. A day that a month lacks is the month's last day;
the anchor's own day comes back in the next month that has it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SECONDS: Final = {"hourly": 3600}
_DAYS: Final = {"daily": 1, "weekly": 7}
_MONTHS: Final = {"monthly": 1, "quarterly": 3, "yearly": 12}
_CUSTOM: Final = "custom"
_DAY: Final = timedelta(days=1)


def calendar_step(anchor: datetime, cycle: str, timezone: str, steps: int) -> datetime:
    """The instant `steps` cycles after the anchor, in UTC; strictly later for more steps."""
    if steps == 0:
        return anchor.astimezone(UTC)
    if cycle in _SECONDS:
        return _after(anchor, _SECONDS[cycle], steps)
    zone = ZoneInfo(timezone)
    local = anchor.astimezone(zone).replace(tzinfo=None)
    return _instant(_local_step(local, cycle, steps), zone)


def interval_step(
    anchor: datetime, interval: str, interval_seconds: int | None, timezone: str, steps: int
) -> datetime:
    """The same for the interval of a grant, which may also be `custom`: so many seconds."""
    if interval == _CUSTOM:
        return _after(anchor, _custom(interval_seconds), steps)
    return calendar_step(anchor, interval, timezone, steps)


def steps_containing(anchor: datetime, cycle: str, timezone: str, instant: datetime) -> int:
    """The number of the cycle that `instant` lies in: the largest n with `calendar_step(n) <= instant`."""
    return interval_steps_containing(anchor, cycle, None, timezone, instant)


def interval_steps_containing(
    anchor: datetime, interval: str, interval_seconds: int | None, timezone: str, instant: datetime
) -> int:
    """The number of the interval that `instant`, which is not before the anchor, lies in."""
    if instant < anchor:
        raise ValueError("The instant lies before the anchor.")

    def step(steps: int) -> datetime:
        return interval_step(anchor, interval, interval_seconds, timezone, steps)

    return _corrected(_guess(anchor, interval, interval_seconds, timezone, instant), step, instant)


def _guess(
    anchor: datetime, interval: str, interval_seconds: int | None, timezone: str, instant: datetime
) -> int:
    """Right, or off by one or two where months are short or clocks were set."""
    if interval == _CUSTOM:
        return (instant - anchor) // timedelta(seconds=_custom(interval_seconds))
    if interval in _SECONDS:
        return (instant - anchor) // timedelta(seconds=_SECONDS[interval])
    zone = ZoneInfo(timezone)
    first, last = anchor.astimezone(zone), instant.astimezone(zone)
    if interval in _DAYS:
        return (last.date() - first.date()).days // _DAYS[interval]
    return ((last.year - first.year) * 12 + last.month - first.month) // _MONTHS[interval]


def _corrected(guess: int, step: Callable[[int], datetime], instant: datetime) -> int:
    steps = max(guess, 0)
    while step(steps) > instant:
        steps -= 1
    while step(steps + 1) <= instant:
        steps += 1
    return steps


def _after(anchor: datetime, seconds: int, steps: int) -> datetime:
    return anchor.astimezone(UTC) + timedelta(seconds=seconds * steps)


def _custom(interval_seconds: int | None) -> int:
    if not interval_seconds or interval_seconds < 0:
        raise ValueError("A custom interval has its seconds.")
    return interval_seconds


def _local_step(local: datetime, cycle: str, steps: int) -> datetime:
    if cycle in _DAYS:
        return local + timedelta(days=_DAYS[cycle] * steps)
    years, month = divmod(local.month - 1 + _MONTHS[cycle] * steps, 12)
    year = local.year + years
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """A local time that occurs twice is the first; one that a clock change skips moves on by what was skipped.

    Where a country skipped a whole day, that would be the instant of the day after: it is halfway there instead, so
    that no cycle is empty.
    """
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    skipped = instant - local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return instant - skipped / 2 if skipped >= _DAY else instant
