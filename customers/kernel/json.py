"""JSON whose numbers stay exact: decimals are written as numbers, digit for digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")


def json_bytes(value: Any) -> bytes:
    """`value` as compact JSON with sorted keys: equal values give equal bytes."""
    return _ENCODER.encode(value)


def json_text(value: Any) -> str:
    """As `json_bytes`, in a string."""
    return _ENCODER.encode(value).decode()


def json_storable(value: Any) -> Any:
    """`value` for a column of JSON, which takes no Decimals: a fraction that a double prints the same goes as one.

    Raises ValueError for one that does not.
    """
    if isinstance(value, dict):
        return {key: json_storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [json_storable(inner) for inner in value]
    if isinstance(value, Decimal):
        near = float(value)
        if Decimal(repr(near)) != value:
            raise ValueError(f"The number {value:.40} has too many digits; send it as a string.")
        return near
    return value
