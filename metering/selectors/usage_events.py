"""Reading usage events."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from metering.models import UsageEvent
from metering.selectors.event_archives import event_missing

# Metric by metric, as the index has them: a customer may have a million events, and few metrics.
_LATEST: Final = """
SELECT e.id FROM metering_metric m CROSS JOIN LATERAL (
  SELECT id, received_at FROM metering_usage_event
    WHERE customer_id = %s AND metric_id = m.id ORDER BY received_at DESC LIMIT %s
) e ORDER BY e.received_at DESC, e.id DESC LIMIT %s
"""
_BEFORE: Final = """
SELECT e.id FROM metering_metric m CROSS JOIN LATERAL (
  SELECT id, received_at FROM metering_usage_event
    WHERE customer_id = %s AND metric_id = m.id AND received_at <= %s AND (received_at, id) < (%s, %s)
    ORDER BY received_at DESC, id DESC LIMIT %s
) e ORDER BY e.received_at DESC, e.id DESC LIMIT %s
"""


def latest_events_of(*, customer_id: UUID, limit: int) -> list[UsageEvent]:
    """A customer's events received last, newest first, with their metrics."""
    newest = RawSQL(_LATEST, [customer_id, limit, limit])  # noqa: S611 - constant text, bound parameters
    events = UsageEvent.objects.select_related("metric").filter(id__in=newest)
    return list(events.order_by("-received_at", "-id"))


def events_before(*, customer_id: UUID, at: datetime, event_id: UUID, limit: int) -> list[UsageEvent]:
    """A customer's events received before `at`, or then with a smaller id; newest first, with their metrics."""
    found = RawSQL(_BEFORE, [customer_id, at, at, event_id, limit, limit])  # noqa: S611 - as above
    events = UsageEvent.objects.select_related("metric").filter(id__in=found)
    return list(events.order_by("-received_at", "-id"))


def events_list() -> QuerySet[UsageEvent]:
    """All events of the environment, with what is shown of them."""
    return UsageEvent.objects.select_related("metric", "customer", "void")


def event_get(*, event_id: UUID) -> UsageEvent:
    """Raises EventNotFound, EventArchived."""
    event = events_list().filter(id=event_id).first()
    if event is None:
        raise event_missing(event_id)
    return event
