"""Partitions of events: made ahead, and taken away when they are old (docs/decisions/event-partitions.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db import transaction

from customers.kernel.database import call_function
from metering.selectors.event_partitions import event_partitions
from metering.services.event_needs import event_needs

#: So many months from the present one on are there before they are needed.
MONTHS_AHEAD: Final = 3
MONTHS_AHEAD_MAX: Final = 24
#: More than this in the default partition is for somebody to move who chooses the time (`event_partitions --ahead`).
MOVED_MAX: Final = 100_000
_SENTENCES: Final = {
    "not-there": "There is no such partition.",
    "not-over": "Its month is not over.",
    "not-rolled-up": "Some of its events are not in the sums by the hour yet; the roll-up is behind.",
    "cycle-open": "Some of its customers' cycles, in which tiers count, began in it and are still open.",
}


class PartitionKept(Exception):
    """The partition cannot be archived; says why."""


class PartitionsBusy(Exception):
    """A lock was not to be had in time. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of a month. `status`: made, there, or crowded; `moved` events lay in the default partition."""

    name: str
    status: str
    moved: int


def partitions_make(
    *, now: datetime, months: int = MONTHS_AHEAD, moved_max: int = MOVED_MAX
) -> Iterator[Made]:
    """The partitions of this month and of `months` after it, each in a transaction of its own.

    Raises PartitionsBusy. `now` is the wall clock.
    """
    for month in range(min(months, MONTHS_AHEAD_MAX) + 1):
        done = _call("metering_event_partition_make_v1", at=month_after(now, month), events_max=moved_max)
        yield Made(name=done.name, status=done.status, moved=done.moved)


def partition_detach(*, month: datetime, now: datetime) -> tuple[str, int]:
    """Archive the month that begins at `month`: the name of its table from now on, and how many events it has.

    Only the owner of the tables may. Raises PartitionKept, PartitionsBusy. `now` is the wall clock.
    """
    with transaction.atomic():
        _require_not_needed(month, now)
        done = _call("metering_event_partition_detach_v1", at=month, now=now)
        if done.status != "detached":
            raise PartitionKept(_SENTENCES[done.status])
    return done.name, done.events


def _require_not_needed(month: datetime, now: datetime) -> None:
    """Raises PartitionKept."""
    table = next((each.name for each in event_partitions() if each.begins_at == month), None)
    if table is None:
        raise PartitionKept(_SENTENCES["not-there"])
    if month_after(month, settings.EVENT_RETENTION_MONTHS + 1) > now:
        kept = f"Events are kept for {settings.EVENT_RETENTION_MONTHS} months (EVENT_RETENTION_MONTHS)."
        raise PartitionKept(kept)
    needed = event_needs(table)
    if needed:
        raise PartitionKept(" ".join(needed))


def month_after(at: datetime, months: int) -> datetime:
    """The start (UTC) of the month that comes so many after the one of `at`."""
    at = at.astimezone(UTC)
    years, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return datetime(years, month + 1, 1, tzinfo=UTC)


def _call(name: str, **arguments: Any) -> Any:
    try:
        return call_function(name, **arguments)
    except psycopg.errors.LockNotAvailable as error:
        raise PartitionsBusy from error
