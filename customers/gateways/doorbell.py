"""Wakes the webhook workers early. Whatever a ring that got lost would have done, a sweep does a moment later."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Final
from uuid import UUID

from celery import current_app
from django.conf import settings

from customers.kernel.clock import elapsed_seconds

HAND_OUT: Final = "customers.webhooks_hand_out"
DELIVER: Final = "customers.webhooks_deliver"
QUEUE: Final = "webhooks"

_LOG: Final = logging.getLogger("purser.webhooks")
# A burst of events needs one ring, not one each; and a broker that is away is not asked again at once.
_PAUSE_SECONDS: Final = 0.25
_AWAY_SECONDS: Final = 30.0
_quiet_until: dict[UUID, float] = {}
_away_until: list[float] = [0.0]
_lock: Final = Lock()


def events_ring(environment_id: UUID) -> None:
    """There are events to hand out in this environment."""
    now = elapsed_seconds()
    with _lock:
        if not settings.WEBHOOKS_DOORBELL or max(_quiet_until.get(environment_id, 0.0), _away_until[0]) > now:
            return
        _quiet_until[environment_id] = now + _PAUSE_SECONDS
    _ring(HAND_OUT, str(environment_id))


def endpoint_ring(environment_id: UUID, endpoint_id: UUID) -> None:
    """There are deliveries to send to this endpoint."""
    if settings.WEBHOOKS_DOORBELL and _away_until[0] <= elapsed_seconds():
        _ring(DELIVER, str(environment_id), str(endpoint_id))


def _ring(task: str, *arguments: str) -> None:
    try:
        current_app.send_task(task, args=arguments, queue=QUEUE, expires=30, retry=False)
    except Exception:
        # Events are in the database: their cause must not fail because nobody can be woken.
        _away_until[0] = elapsed_seconds() + _AWAY_SECONDS
        _LOG.warning("the broker cannot be reached; the sweep will find the work", exc_info=True)
