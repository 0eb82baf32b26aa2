"""JSON whose numbers stay exact: decimals are read as Decimal and written as they are spelled."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


class _Number(float):
    """Spells a Decimal for json.dumps, which writes floats by their repr."""

    def __new__(cls, value: Decimal) -> _Number:
        return super().__new__(cls, 0.0)

    def __init__(self, value: Decimal) -> None:
        self._text = format(value, "f")

    def __repr__(self) -> str:
        return self._text


def json_text(value: Any) -> str:
    """`value` as compact JSON with sorted keys: equal values give equal text."""
    return json.dumps(
        _spelled(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False
    )


def _spelled(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _Number(value)
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return value
