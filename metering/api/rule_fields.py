"""Fields of prices: handed on as they were sent, because the pricing engine reads and refuses them itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_NUMBER = {"type": ["number", "string"], "format": "decimal", "minimum": 0, "example": 1000}
_TIER = {
    "type": "object",
    "required": ["up_to", "credit_cost"],
    "properties": {
        "up_to": {
            **_NUMBER,
            "type": ["number", "string", "null"],
            "description": "Inclusive; null in the last.",
        },
        "credit_cost": {**_NUMBER, "description": "mc per unit."},
        "flat_cost": {**_NUMBER, "description": "mc on entering the tier.", "example": 0},
    },
}


class AsSent(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({**_NUMBER, "description": "mc, exact, at most ten decimals."})
class PriceField(AsSent):
    pass


@extend_schema_field({"type": "array", "minItems": 1, "maxItems": 100, "items": _TIER})
class TiersField(AsSent):
    pass


@extend_schema_field(
    {
        "type": "object",
        "description": "Prices by value of the property `dimension`; `*` for all other values.",
        "additionalProperties": {"type": "object"},
        "example": {"*": {"cost_type": "per_unit", "unit_cost": 1000}},
    }
)
class RatesField(AsSent):
    pass
