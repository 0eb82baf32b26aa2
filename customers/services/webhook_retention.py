"""Webhook events are not kept for ever: each goes with its deliveries and attempts, once all of that is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from customers.kernel.database import call_one
from customers.kernel.ids import uuid7_floor

_PURGE: Final = "SELECT purged, looked_at, last FROM customers_webhooks_purge_v1($1, $2, $3, $4)"
_BATCH: Final = 500


def webhooks_purge(*, now: datetime) -> int:
    """Forget what is older than the retention, in batches; returns how many events. `now` is the wall clock."""
    days = settings.WEBHOOKS_RETENTION_DAYS
    if not days:
        return 0
    before = now - timedelta(days=days)
    purged, looked_at, last = 0, _BATCH, UUID(int=0)
    while looked_at == _BATCH:
        row = call_one(_PURGE, [uuid7_floor(before), before, last, _BATCH])
        count, looked_at, last = row or (0, 0, last)
        purged += count
    return purged
