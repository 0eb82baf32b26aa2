"""Reading webhook events, deliveries and how endpoints fare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from customers.kernel.database import call_all
from customers.kernel.ids import uuid7_floor
from customers.models import OutboxEvent

# By time through the key: attempts get time-ordered ids. Bounded, so that a page is quick however busy an endpoint was.
_HOURS: Final = """
SELECT a.endpoint_id, floor(extract(epoch FROM $2::timestamptz - a.started_at) / 3600)::integer AS ago,
  count(*) FILTER (WHERE a.response_status BETWEEN 200 AND 299),
  count(*) FILTER (WHERE a.response_status IS NULL OR a.response_status NOT BETWEEN 200 AND 299)
FROM unnest($1::uuid[]) AS e(id) CROSS JOIN LATERAL (
  SELECT * FROM customers_webhook_attempt w WHERE w.endpoint_id = e.id AND w.id >= $3 ORDER BY w.id DESC LIMIT 5000
) a GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What an endpoint answered in the hour that began `ago` + 1 hours ago."""

    ago: int
    good: int
    bad: int


def events_after(*, environment_id: UUID, after: OutboxEvent | None) -> QuerySet[OutboxEvent]:
    """The events handed out after one, or all of them, oldest first. Positions come in order, so none is skipped."""
    position = (after.position or _LAST) if after else 0
    rows = OutboxEvent.objects.filter(environment_id=environment_id, position__gt=position)
    return rows.order_by("position")


#: One that has no position yet, such as a test, has nothing after it.
_LAST: Final = 2**62


def attempts_by_hour(*, endpoint_ids: Sequence[UUID], now: datetime) -> dict[UUID, list[Hour]]:
    """The last 24 hours of some endpoints, at most their 5,000 newest attempts; hours without any are left out."""
    found: dict[UUID, list[Hour]] = {}
    floor = uuid7_floor(now - timedelta(hours=24))
    for endpoint_id, ago, good, bad in call_all(_HOURS, [list(endpoint_ids), now, floor]):
        found.setdefault(endpoint_id, []).append(Hour(ago=min(max(ago, 0), 23), good=good, bad=bad))
    return found
