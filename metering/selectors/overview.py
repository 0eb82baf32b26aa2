"""An environment's usage in a few numbers, for the home page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Exists

from customers.kernel.database import call_all
from customers.kernel.ids import uuid7_floor
from metering.models import BillableMetric, MeteringRule
from metering.selectors.event_partitions import EVENT_PARTITION_IS_THERE

# By id first, because an index has that; an event is never stored before it was received.
_TODAY: Final = f"""
SELECT p.is_there, u.* FROM ({EVENT_PARTITION_IS_THERE.replace("$1", "$5")}) AS p(is_there) LEFT JOIN (
  SELECT m.key, count(*) AS events, sum(e.units), sum(e.cost_mc)::bigint FROM metering_usage_event e
  JOIN metering_metric m ON m.id = e.metric_id
  WHERE e.environment_id = $1 AND e.id >= $2 AND e.received_at >= $3 AND e.received_at < $4
  GROUP BY m.key
) u ON true ORDER BY u.events DESC
"""  # noqa: S608 - our own text


def usage_on(
    *, environment_id: UUID, day: date, is_clocked: bool, coming: datetime
) -> tuple[list[tuple[str, int, Decimal, int]], bool]:
    """A day's usage (UTC): metric key, events, units, cost in mc; the metric with most events first.

    And whether events that are stored at `coming` have a partition of their month.
    """
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    first_id = UUID(int=0) if is_clocked else uuid7_floor(begin)
    rows = call_all(_TODAY, [environment_id, first_id, begin, begin + timedelta(days=1), coming])
    return [(row[1], row[2], row[3], row[4]) for row in rows if row[1] is not None], bool(rows[0][0])


def metering_begun() -> tuple[bool, bool]:
    """Whether there is any metric in the environment in view, and any rule; in one query."""
    found = BillableMetric.objects.values_list(Exists(MeteringRule.objects.all()))[:1]
    return next(((True, bool(has_rule)) for (has_rule,) in found), (False, False))
