"""Reading usage events."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from customers.kernel.database import call_all
from metering.models import UsageEvent

# Metric by metric, as the index has them: a customer may have a million events, and few metrics.
_LATEST: Final = """
SELECT e.id FROM metering_metric m CROSS JOIN LATERAL (
  SELECT id, received_at FROM metering_usage_event
    WHERE customer_id = $1 AND metric_id = m.id ORDER BY received_at DESC LIMIT $2::bigint
) e ORDER BY e.received_at DESC, e.id DESC LIMIT $2::bigint
"""


def latest_events_of(*, customer_id: UUID, limit: int) -> list[UsageEvent]:
    """A customer's events received last, newest first, with their metrics."""
    ids = [row[0] for row in call_all(_LATEST, [customer_id, limit])]
    found = UsageEvent.objects.select_related("metric").in_bulk(ids)
    return [found[key] for key in ids if key in found]
