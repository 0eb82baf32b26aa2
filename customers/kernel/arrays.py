"""Arrays as PostgreSQL reads them, for calls with hundreds of elements: psycopg takes ten times as long for a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode


def array_of_texts(texts: Sequence[str | None]) -> str:
    """For a parameter `text[]`, or of whatever else these texts spell."""
    spelled = _encode(texts).decode()
    if "\\" in spelled:
        return "{" + ",".join([_quoted(text) for text in texts]) + "}"
    # Without anything to escape a JSON array of strings and nulls differs in its brackets only.
    return "{" + spelled[1:-1] + "}"


def array_of_words(words: Iterable[str]) -> str:
    """For what never needs quotes: numbers, uuids, NULL."""
    return "{" + ",".join(words) + "}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
