"""Reading usage events."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db.models.expressions import RawSQL

from metering.models import UsageEvent

# Metric by metric, as the index has them: a customer may have a million events, and few metrics.
_LATEST: Final = """
SELECT e.id FROM metering_metric m CROSS JOIN LATERAL (
  SELECT id, received_at FROM metering_usage_event
    WHERE customer_id = %s AND metric_id = m.id ORDER BY received_at DESC LIMIT %s
) e ORDER BY e.received_at DESC, e.id DESC LIMIT %s
"""


def latest_events_of(*, customer_id: UUID, limit: int) -> list[UsageEvent]:
    """A customer's events received last, newest first, with their metrics."""
    newest = RawSQL(_LATEST, [customer_id, limit, limit])  # noqa: S611 - constant text, bound parameters
    events = UsageEvent.objects.select_related("metric").filter(id__in=newest)
    return list(events.order_by("-received_at", "-id"))
