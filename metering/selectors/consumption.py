"""What a customer used and was charged, exact to the event, by the time of receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from customers.kernel.database import call_all

# Metric by metric, so that each is a range of the index `events_as_received`. Voided events never happened.
_READ: Final = """
SELECT m.key, e.units, e.credits
FROM metering_metric m
CROSS JOIN LATERAL (
  SELECT sum(u.units) AS units, sum(u.cost_mc)::bigint AS credits FROM metering_usage_event u
  WHERE u.customer_id = $2 AND u.metric_id = m.id AND u.received_at >= $3 AND u.received_at < $4
    AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = u.id)
) e
WHERE m.environment_id = $1 AND e.units IS NOT NULL
ORDER BY m.key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """Of one metric; `credits_mc` is what its events cost."""

    metric_key: str
    units: Decimal
    credits_mc: int


def consumption_of(
    *, environment_id: UUID, customer_id: UUID, start: datetime, end: datetime
) -> list[Consumption]:
    """Of every metric with events received in `[start, end)`, by key."""
    rows = call_all(_READ, [environment_id, customer_id, start, end])
    return [Consumption(metric_key=key, units=units, credits_mc=credits) for key, units, credits in rows]
