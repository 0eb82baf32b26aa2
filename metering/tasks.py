"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

from celery import shared_task

from metering.services import replays  # noqa: F401 - what a worker runs registers itself
from metering.services.usage_rollups import usage_roll


@shared_task(name="metering.usage_roll")
def usage_roll_run() -> int:
    """Add up what was used since the last time."""
    return usage_roll()
