"""Price plans and who is on them, for stories about money."""

from __future__ import annotations

from typing import Any

from tests.clock import clock_set
from tests.conftest import Api, World
from tests.subscriptions.deals import BEGIN, Deal

#: As source 004 prints it.
GROWTH: dict[str, Any] = {
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


def fee(amount: str, **more: Any) -> dict[str, Any]:
    """A charge of a flat fee, in major units."""
    return {"pricing_model": "flat_fee", "amount": amount, **more}


def make_price_plan(api: Api, key: str = "plan_fee", *charges: dict[str, Any], **terms: Any) -> Any:
    """A price plan, or its next version, of these charges; of one fee if none is named."""
    shape = {"name": key.title(), "currency": "usd", "billing_period": "monthly"}
    answer = api.post(
        "/v1/price-plans", {"id": key, **shape, "charges": list(charges) or [fee("49.00")], **terms}
    )
    assert answer.status == 201, answer
    return answer.json


def subscribe_to(
    api: Api, world: World, plan: str, *, who: str = "user_1", begin: Any = BEGIN, **terms: Any
) -> Deal:
    """A customer subscribed to a price plan at `begin`, by which the environment's clock is set."""
    if begin is not None:
        clock_set(world, begin)
    if api.get(f"/v1/customer-by-external-id/{who}").status == 404:
        assert api.post("/v1/customers", {"external_id": who}).status == 201
    answer = api.post("/v1/subscriptions", {"external_customer_id": who, "plan_id": plan, **terms})
    assert answer.status == 201, answer
    return Deal(api=api, world=world, id=answer["id"], who=who)
