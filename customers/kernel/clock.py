"""The only place that asks the system for the time. Everything else is told `now`."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def system_now() -> datetime:
    """The wall clock: rate limits, retention of stored answers, key expiry. Domain code uses an environment's clock."""
    return datetime.now(UTC)


def elapsed_seconds() -> float:
    """A clock that only runs forward, to measure how long something took or is kept in memory."""
    return time.monotonic()
