"""Instants on the wire: RFC 3339 with an offset in, UTC with `Z` and without superfluous zeros out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
#: Far enough for everybody's contract, near enough that no sum of periods leaves the calendar.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9000


def instant_parse(text: str) -> datetime | None:
    """The instant in UTC, or None when the text is not RFC 3339 with an offset."""
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if _FIRST_YEAR <= instant.year <= _LAST_YEAR else None


def instant_text(instant: datetime) -> str:
    """`2026-04-03T09:01:00Z`, `2026-04-03T09:01:00.25Z`."""
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"
