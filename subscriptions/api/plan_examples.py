"""Examples of the catalogue, as the API's description shows them."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample

_TIMES: Final = {
    "archived_at": None,
    "created_at": "2026-04-03T09:01:00Z",
    "updated_at": "2026-04-03T09:01:00Z",
}
_PLAN_TERMS: Final = {"name": "API Platform", "description": "Usage-based API access"}
_VARIANT_TERMS: Final = {
    "name": "Monthly Postpaid",
    "billing_cycle": "monthly",
    "billing_mode": "postpaid",
    "allow_usage_while_overdue": True,
}
_GRANT_TERMS: Final = {
    "credits": 100000000,
    "grant_interval": "billing_cycle",
    "grant_type": "recurring",
    "source": "plan_grant",
    "expires": "interval_end",
    "rollover_percentage": 0,
    "accumulation_cap": None,
}
_GRANT: Final[dict[str, Any]] = {
    "id": "cgt_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "name": "",
    **_GRANT_TERMS,
    "interval_seconds": None,
    "priority": 10,
    "expires_after_seconds": None,
    "metadata": {},
    **_TIMES,
}
_VARIANT: Final[dict[str, Any]] = {
    "id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "plan_id": "plan_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "version": 1,
    "current_version_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    **_VARIANT_TERMS,
    "description": "",
    "renewal_due_days": 3,
    "grace_period_days": 3,
    "trial_days": 0,
    "price": None,
    "currency": None,
    "fallback_variant_id": None,
    "price_plan_id": None,
    "price_plan_version": None,
    "credit_grants": [_GRANT],
    "metadata": {},
    "superseded_at": None,
    **_TIMES,
}
_PLAN: Final[dict[str, Any]] = {
    "id": "plan_01k7x3s9c5ef6v8b2n4m6q8r0t",
    **_PLAN_TERMS,
    "features": {"sso": True, "seats": 5},
    "metadata": {},
    **_TIMES,
}

PLAN_ASKED: Final = OpenApiExample(
    "A plan", {**_PLAN_TERMS, "features": {"sso": True, "seats": 5}}, request_only=True
)
PLAN_SHOWN: Final = OpenApiExample("A plan", _PLAN, response_only=True)
PLAN_WITH_VARIANTS: Final = OpenApiExample("A plan", {**_PLAN, "variants": [_VARIANT]}, response_only=True)
VARIANT_ASKED: Final = OpenApiExample("Postpaid", _VARIANT_TERMS, request_only=True)
VARIANT_PREPAID: Final = OpenApiExample(
    "Prepaid, with a price",
    {
        "name": "Monthly",
        "billing_cycle": "monthly",
        "billing_mode": "prepaid",
        "renewal_due_days": 3,
        "grace_period_days": 7,
        "price": 2000,
        "currency": "usd",
    },
    request_only=True,
)
VARIANT_SHOWN: Final = OpenApiExample("A variant", _VARIANT, response_only=True)
GRANT_ASKED: Final = OpenApiExample("A monthly budget", _GRANT_TERMS, request_only=True)
GRANT_DAILY: Final = OpenApiExample(
    "Credits for each day, half of the rest rolls over",
    {
        "credits": 50000,
        "grant_interval": "daily",
        "expires": "interval_end",
        "rollover_percentage": 50,
        "accumulation_cap": 75000,
    },
    request_only=True,
)
GRANT_SHOWN: Final = OpenApiExample("A credit grant", _GRANT, response_only=True)
