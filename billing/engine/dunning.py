"""When a charge that failed is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta


def next_charge(*, failures: int, days: Sequence[int], now: datetime) -> datetime | None:
    """When to try again after so many failures, the one at `now` among them; None: not any more."""
    return now + timedelta(days=days[failures - 1]) if failures <= len(days) else None


def is_given_up(*, failures: int, days: Sequence[int]) -> bool:
    """All retries of a schedule have failed. Without a schedule nothing is ever given up."""
    return bool(days) and failures > len(days)
