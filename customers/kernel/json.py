"""JSON whose numbers stay exact: decimals are written as numbers, digit for digit."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")


def json_bytes(value: Any) -> bytes:
    """`value` as compact JSON with sorted keys: equal values give equal bytes."""
    return _ENCODER.encode(value)


def json_text(value: Any) -> str:
    """As `json_bytes`, in a string."""
    return _ENCODER.encode(value).decode()
