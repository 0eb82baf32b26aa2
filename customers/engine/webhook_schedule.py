"""When a delivery that failed is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

#: After the first, second, … try; after the last of them no more.
RETRY_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
)
#: So that a thousand deliveries that failed together do not come back together.
JITTER: Final = 0.1
_ASKED_MOST: Final = timedelta(hours=24)


def next_try(*, tries: int, asked: timedelta | None, luck: float, now: datetime) -> datetime | None:
    """When to try after `tries` tries failed, or None: given up.

    `asked` is the receiver's Retry-After, which may only make it later; `luck` a random number from 0 to 1.
    """
    if tries > len(RETRY_AFTER):
        return None
    pause = RETRY_AFTER[tries - 1] * (1 + JITTER * (2 * luck - 1))
    return now + max(pause, min(asked, _ASKED_MOST) if asked else pause)


def retry_after_parse(text: str | None, now: datetime) -> timedelta | None:
    """A Retry-After header: seconds or a date; None when it is neither, or past."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return timedelta(seconds=int(text))
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    pause = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now
    return pause if pause > timedelta(0) else None
