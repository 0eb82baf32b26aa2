"""What was used in windows of time, as an invoice counts it, and which events an invoice's line has counted.

All windows are measured by one statement, hence in one snapshot, which says for ever after which events were seen: an
event is counted by a line when its transaction is visible in the line's snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from customers.kernel.database import call_all, call_one
from metering.selectors.event_archives import archived_told

_MEASURE: Final = """
SELECT c.quantity, c.aggregation, c.events, c.late_events, pg_current_snapshot()::text
FROM unnest($3::uuid[], $4::timestamptz[], $5::timestamptz[]) WITH ORDINALITY w(metric, begins, ends, position)
CROSS JOIN LATERAL metering_usage_compute_v1($1, $2, w.metric, w.begins, w.ends) c
ORDER BY w.position
"""
_SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"
# As metering_events_between looks for events, but only for those that the window's snapshot does not see: what was
# received within the hour is then found by when the snapshot was taken, whatever the window's length.
# A window with archived events cannot be measured again, so nothing in it counts as changed.
_CHANGED: Final = """
SELECT NOT EXISTS (
    SELECT FROM metering_archived_hour a
    WHERE a.customer_id = $1 AND a.metric_id = w.metric AND a.hour > w.begins - interval '1 hour' AND a.hour < w.ends
  ) AND (EXISTS (
    SELECT FROM metering_usage_event e
    WHERE e.customer_id = $1 AND e.metric_id = w.metric
      AND e.received_at >= greatest(w.begins - interval '5 minutes', w.taken_at - interval '1 hour')
      AND e.received_at < w.ends + interval '1 hour'
      AND e.occurred_at >= w.begins AND e.occurred_at < w.ends
      AND NOT pg_visible_in_snapshot(e.recorded_xid::text::xid8, w.snapshot::pg_snapshot)
  ) OR EXISTS (
    SELECT FROM metering_usage_event e
    WHERE e.customer_id = $1 AND e.metric_id = w.metric AND e.received_at - e.occurred_at > interval '1 hour'
      AND e.occurred_at >= w.begins AND e.occurred_at < w.ends
      AND NOT pg_visible_in_snapshot(e.recorded_xid::text::xid8, w.snapshot::pg_snapshot)
  ) OR EXISTS (
    SELECT FROM metering_event_void v JOIN metering_usage_event e
      ON e.environment_id = v.environment_id AND e.id = v.event_id
    WHERE v.recorded_xid >= pg_snapshot_xmin(w.snapshot::pg_snapshot)::text::bigint
      AND e.customer_id = $1 AND e.metric_id = w.metric AND e.occurred_at >= w.begins AND e.occurred_at < w.ends
      AND NOT pg_visible_in_snapshot(v.recorded_xid::text::xid8, w.snapshot::pg_snapshot)
  ))
FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::timestamptz[])
  WITH ORDINALITY w(metric, begins, ends, snapshot, taken_at, position)
ORDER BY w.position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A metric's time, `[begins_at, ends_at)`, by the events' own timestamps."""

    metric_id: UUID
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A window's quantity by its metric's aggregation; `late_events` were received after its end."""

    quantity: Decimal
    aggregation: str
    events: int
    late_events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWindow:
    """A window as it was counted before: in which snapshot, and when that was taken, by the environment's clock."""

    window: Window
    snapshot: str
    taken_at: datetime


def windows_measure(
    *, environment_id: UUID, customer_id: UUID, windows: Sequence[Window]
) -> tuple[list[Measure], str]:
    """The measures of a customer's windows, in their order, and the snapshot that all of them were taken in.

    Raises UsageArchived.
    """
    if not windows:
        row = call_one(_SNAPSHOT, [])
        assert row is not None  # noqa: S101 - it always answers
        return [], row[0]
    with archived_told():
        rows = call_all(_MEASURE, [environment_id, customer_id, *_columns(windows)])
    measures = [
        Measure(quantity=quantity, aggregation=aggregation, events=events, late_events=late_events)
        for quantity, aggregation, events, late_events, _ in rows
    ]
    return measures, rows[0][-1]


def windows_changed(*, customer_id: UUID, seen: Sequence[SeenWindow]) -> list[bool]:
    """For each window, whether events were told of, or voided, that its snapshot did not see."""
    if not seen:
        return []
    snapshots = [each.snapshot for each in seen], [each.taken_at for each in seen]
    rows = call_all(_CHANGED, [customer_id, *_columns([each.window for each in seen]), *snapshots])
    return [row[0] for row in rows]


def _columns(windows: Sequence[Window]) -> tuple[list[UUID], list[datetime], list[datetime]]:
    return (
        [window.metric_id for window in windows],
        [window.begins_at for window in windows],
        [window.ends_at for window in windows],
    )
