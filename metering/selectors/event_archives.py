"""What was archived: which months of events are gone, and saying so instead of answering with too little."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg

from metering.errors import EventArchived, EventNotFound, UsageArchived
from metering.models import EventArchive

#: What metering_usage_compute_v1 raises.
_ARCHIVED: Final = "PU410"


@contextmanager
def archived_told() -> Iterator[None]:
    """Around calls that add up events. Raises UsageArchived."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate != _ARCHIVED:
            raise
        raise UsageArchived from error


def archived_require_none(*, begin: datetime, end: datetime) -> None:
    """Raises UsageArchived when events received in [begin, end) are archived."""
    if EventArchive.objects.filter(received_from__lt=end, received_until__gte=begin).exists():
        raise UsageArchived


def event_is_archived(event_id: UUID) -> bool:
    """Whether an event of that id, if there was one, is archived."""
    return EventArchive.objects.filter(first_id__lte=event_id, end_id__gt=event_id).exists()


def event_missing(event_id: UUID) -> EventArchived | EventNotFound:
    """Why there is no such event."""
    return EventArchived() if event_is_archived(event_id) else EventNotFound()
