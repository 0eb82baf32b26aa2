"""How much was used, when: from the hours for a look, from the events for a bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from customers.kernel.database import call_all, call_function
from metering.selectors.event_archives import archived_told

Group = Literal["hour", "day", "month", "all"]

# One statement, hence one snapshot: what is pending then is what the hours lack.
_READ: Final = (
    "SELECT p.pending, r.* FROM metering_usage_pending_v1($1) AS p(pending) "
    "LEFT JOIN metering_usage_read_v1($1, $2, $3, $4, $5, $6) AS r ON true"
)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """A metric's usage in a period. `quantity` None: these hours cannot say it."""

    metric_key: str
    aggregation: str
    period_start: datetime
    period_end: datetime
    quantity: Decimal | None
    events: int
    units: Decimal
    units_max: Decimal
    units_min: Decimal
    cost_mc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRead:
    """Whole hours. `pending_since`: when the oldest event was stored that they lack, None when they lack none."""

    begin: datetime
    end: datetime
    rows: Sequence[UsageRow]
    pending_since: datetime | None

    def lag_seconds(self, wall_now: datetime) -> float:
        if self.pending_since is None:
            return 0
        return max(round((wall_now - self.pending_since).total_seconds(), 3), 0.001)


def usage_read(
    *,
    environment_id: UUID,
    customer_id: UUID | None,
    metric_id: UUID | None,
    begin: datetime,
    end: datetime,
    group: Group,
) -> UsageRead:
    """Usage of a customer, or of all, in [begin, end) widened to whole hours, per metric and period.

    Raises UsageArchived where only the events could say it.
    """
    begin, end = _hour_floor(begin), _hour_floor(end + _HOUR - timedelta(microseconds=1))
    with archived_told():
        found = call_all(_READ, [environment_id, customer_id, metric_id, begin, end, group])
    return UsageRead(
        begin=begin,
        end=end,
        rows=[_row(row[1:]) for row in found if row[1] is not None],
        pending_since=found[0][0],
    )


def usage_compute(
    *, environment_id: UUID, customer_id: UUID, metric_id: UUID, begin: datetime, end: datetime
) -> Any:
    """`quantity, aggregation, events, late_events, cost` of [begin, end), from the events, exactly, in one snapshot.

    Raises UsageArchived.
    """
    with archived_told():
        return call_function(
            "metering_usage_compute_v1",
            environment=environment_id,
            customer=customer_id,
            metric=metric_id,
            **{"from": begin, "to": end},
        )


def _hour_floor(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _row(row: Sequence[Any]) -> UsageRow:
    key, aggregation, begin, end, quantity, events, units, most, least, cost_mc = row
    return UsageRow(
        metric_key=key,
        aggregation=aggregation,
        period_start=begin,
        period_end=end,
        quantity=quantity,
        events=events,
        units=units,
        units_max=most,
        units_min=least,
        cost_mc=cost_mc,
    )
