"""The part of a period's credits that belongs to the rest of it, by the whole second and rounded down."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_SECOND: Final = timedelta(seconds=1)


def prorated(credits_mc: int, starts_at: datetime, ends_at: datetime, at: datetime) -> int:
    """`credits_mc` x seconds left / seconds of the period: all of it at the start, nothing from the end on.

    A second that has begun is over, so a change within a second of its preview gives what the preview said.
    """
    whole = (ends_at - starts_at) // _SECOND
    left = min(max((ends_at - at) // _SECOND, 0), whole)
    return credits_mc * left // whole if whole > 0 else 0
