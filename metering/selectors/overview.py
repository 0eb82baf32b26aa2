"""An environment's usage in a few numbers, for the home page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from django.db.models import Exists

from customers.kernel.database import call_all
from metering.models import BillableMetric, MeteringRule
from metering.selectors.event_partitions import EVENT_PARTITION_IS_THERE

_DAYS: Final = f"""
SELECT p.is_there, u.* FROM ({EVENT_PARTITION_IS_THERE.replace("$1", "$4")}) AS p(is_there)
LEFT JOIN metering_usage_days_v1($1, $2, $3) AS u ON true ORDER BY u.day, u.events DESC, u.metric_key
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfMetric:
    """What everybody used of a metric on a day (UTC), by when it happened; voided events are not in it."""

    day: date
    metric_key: str
    events: int
    cost_mc: int


def usage_by_day(
    *, environment_id: UUID, since: date, until: date, coming: datetime
) -> tuple[list[DayOfMetric], bool]:
    """The days from `since` up to and without `until`, of each the metric with most events first.

    And whether events that are stored at `coming` have a partition of their month.
    """
    rows = call_all(_DAYS, [environment_id, _midnight(since), _midnight(until), coming])
    days = [
        DayOfMetric(day=day, metric_key=key, events=events, cost_mc=cost)
        for _, day, key, events, cost in rows
        if day is not None
    ]
    return days, bool(rows[0][0])


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def metering_begun() -> tuple[bool, bool]:
    """Whether there is any metric in the environment in view, and any rule; in one query."""
    found = BillableMetric.objects.values_list(Exists(MeteringRule.objects.all()))[:1]
    return next(((True, bool(has_rule)) for (has_rule,) in found), (False, False))
