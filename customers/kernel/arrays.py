"""Arrays as PostgreSQL reads them, for calls with hundreds of elements: psycopg takes ten times as long for a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

_encode: Final = msgspec.json.Encoder().encode


def array_of_texts(texts: Sequence[str | None]) -> str:
    """For a parameter `text[]`, or of whatever else these texts spell."""
    spelled = _encode(texts).decode()
    if "\\" in spelled:
        return "{" + ",".join([_quoted(text) for text in texts]) + "}"
    # Without anything to escape a JSON array of strings and nulls differs in its brackets only.
    return "{" + spelled[1:-1] + "}"


def array_of_numbers(numbers: Iterable[object]) -> str:
    """For `bigint[]`, `integer[]` or `numeric[]`."""
    return "{" + ",".join(map(str, numbers)) + "}"


def array_of_uuids(ids: Iterable[UUID | None]) -> str:
    """For `uuid[]`."""
    return "{" + ",".join(["NULL" if each is None else each.hex for each in ids]) + "}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
