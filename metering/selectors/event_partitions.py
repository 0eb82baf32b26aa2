"""The partitions that the events lie in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from customers.kernel.database import call_one, call_table

#: For the instant $1.
EVENT_PARTITION_IS_THERE: Final = (
    "SELECT to_regclass('metering_usage_event_' || to_char($1::timestamptz, 'YYYY_MM')) IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPartition:
    """A month of events, by when they were stored; without a range what lies outside of all months."""

    name: str
    begins_at: datetime | None
    ends_at: datetime | None
    events: int
    bytes: int


def event_partitions() -> list[EventPartition]:
    """All there are, the oldest first and the default one last. `events` is the planner's estimate."""
    return [
        EventPartition(
            name=row.name, begins_at=row.begins_at, ends_at=row.ends_at, events=row.events, bytes=row.bytes
        )
        for row in call_table("metering_event_partitions_v1")
    ]


def event_partition_is_there(at: datetime) -> bool:
    """Whether events stored at `at` have a partition of their month."""
    row = call_one(EVENT_PARTITION_IS_THERE, [at])
    return bool(row and row[0])
