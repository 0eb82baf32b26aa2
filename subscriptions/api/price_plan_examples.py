"""Price plans as the API's description shows them."""

from __future__ import annotations

from typing import Any, Final

from subscriptions.engine.charges import PRICING_MODELS

_PRICE: Final[dict[str, Any]] = {
    "type": ["number", "string"],
    "format": "decimal",
    "description": "In the currency's major unit.",
}
CHARGE_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": 100,
    "items": {
        "type": "object",
        "properties": {
            "key": {
                "type": "string",
                "description": "Names the charge on invoices; by default its place: 0, 1, …",
            },
            "metric_key": {"type": ["string", "null"], "description": "Null for a flat fee."},
            "pricing_model": {"type": "string", "enum": list(PRICING_MODELS)},
            "unit_price": _PRICE,
            "tiers": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "properties": {"up_to": {"type": ["number", "string", "null"]}, "unit_price": _PRICE},
                    "required": ["unit_price"],
                },
                "description": "Ascending; the last one's `up_to` is null. Bounds are inclusive.",
            },
            "package_size": {"type": ["number", "string"], "format": "decimal"},
            "package_price": _PRICE,
            "amount": {**_PRICE, "description": "Of a flat fee, for each period."},
            "description": {"type": "string"},
            "pay_in": {"type": "string", "enum": ["arrears", "advance"], "description": "Of a flat fee."},
        },
        "required": ["pricing_model"],
    },
}
ENTITLEMENTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "By feature: `true` or `false`, a number (a limit), a text, or an object: "
    '`{"type": "limit", "limit": 1000000, "metric_key": "api_calls"}`, `{"type": "boolean", "value": true}`, '
    '`{"type": "custom", "value": …}`. A limit of null has no end.',
    "additionalProperties": {"type": ["boolean", "number", "string", "object"]},
    "example": {"sso": True, "api_calls": {"type": "limit", "limit": 1000000, "metric_key": "api_calls"}},
}
PRICE_PLAN_ASKED: Final[dict[str, Any]] = {
    "id": "plan_growth",
    "name": "Growth",
    "currency": "usd",
    "billing_period": "monthly",
    "charges": [
        {
            "metric_key": "api_calls",
            "pricing_model": "tiered",
            "tiers": [
                {"up_to": 100000, "unit_price": 0},
                {"up_to": 1000000, "unit_price": 0.0001},
                {"up_to": None, "unit_price": 0.00005},
            ],
        },
        {
            "metric_key": None,
            "pricing_model": "flat_fee",
            "amount": 49.00,
            "description": "Growth base fee",
        },
    ],
}
PRICE_PLAN_SHOWN: Final[dict[str, Any]] = {
    "id": "plan_growth",
    "version": 1,
    "name": "Growth",
    "status": "active",
    "currency": "usd",
    "billing_period": "monthly",
    "charges": [
        {
            "key": "0",
            "metric_key": "api_calls",
            "pricing_model": "tiered",
            "tiers": [
                {"up_to": 100000, "unit_price": "0"},
                {"up_to": 1000000, "unit_price": "0.0001"},
                {"up_to": None, "unit_price": "0.00005"},
            ],
            "pay_in": "arrears",
        },
        {
            "key": "1",
            "metric_key": None,
            "pricing_model": "flat_fee",
            "amount": "49",
            "pay_in": "arrears",
            "description": "Growth base fee",
        },
    ],
    "entitlements": {},
    "minimum": None,
    "changelog": "",
    "metadata": {},
    "archived_at": None,
    "created_at": "2026-04-03T09:00:00Z",
    "warnings": [],
}
