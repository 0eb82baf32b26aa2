"""No input of price plans produces a 500, and what is accepted can be shown, subscribed to and asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.conftest import Api, make_character
from tests.subscriptions.test_catalogue_fuzz import values

PLAN = {"id": "p", "name": "P", "currency": "usd", "billing_period": "monthly", "charges": []}
CHARGE = {"pricing_model": "tiered", "metric_key": "api_calls", "tiers": [{"up_to": None, "unit_price": 1}]}
charges = some.builds(
    lambda wild: {**CHARGE, **wild},
    some.dictionaries(
        some.sampled_from(
            [*CHARGE, "unit_price", "package_size", "package_price", "amount", "pay_in", "key"]
        ),
        values | some.sampled_from(["per_unit", "volume", "package", "flat_fee", "advance", "0.1"]),
        max_size=3,
    ),
)
features = some.dictionaries(
    some.text(max_size=5),
    values
    | some.dictionaries(
        some.sampled_from(["type", "value", "limit", "metric_key"]),
        values | some.sampled_from(["limit", "boolean", "custom", "api_calls"]),
    ),
    max_size=3,
)
wilds = some.fixed_dictionaries(
    {},
    optional={
        "id": some.text(max_size=5) | values,
        "name": values,
        "currency": values,
        "billing_period": values,
        "charges": some.lists(charges | values, max_size=3) | values,
        "entitlements": features | values,
        "minimum": values,
        "changelog": values,
        "metadata": values,
    },
)


@pytest.fixture(scope="module")
def api() -> Api:
    made = Api(make_character("Fuzzed").test.secret)
    made.post("/v1/metrics", {"key": "api_calls", "name": "API calls"})
    made.post("/v1/customers", {"external_id": "user_1"})
    return made


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(wild=wilds)
def test_any_json_is_answered(api: Api, wild: dict[str, Any]) -> None:
    made = api.post("/v1/price-plans", json.dumps({**PLAN, **wild}).encode())

    assert made.status in {201, 400, 422, 429}, made
    if made.status != 201:
        return
    assert api.get(f"/v1/price-plans/{quote(made['id'], safe='')}").json["id"] == made["id"]
    body = {"external_customer_id": "user_1", "plan_id": made["id"]}
    subscribed = api.post("/v1/subscriptions", body)
    assert subscribed.status == 201, subscribed
    assert api.get("/v1/entitlements?external_customer_id=user_1").status == 200
    assert (
        api.post(f"/v1/subscriptions/{subscribed['id']}/cancel", {"cancel_immediately": True}).status == 200
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(wild=some.dictionaries(some.sampled_from(["plan_id", "plan_version", "effective", "prorate"]), values))
def test_any_change_is_answered(api: Api, wild: dict[str, Any]) -> None:
    api.post("/v1/price-plans", {**PLAN, "id": "q"})
    made = api.post("/v1/subscriptions", {"external_customer_id": "user_1", "plan_id": "q"})

    changed = api.post(f"/v1/subscriptions/{made['id']}/change", json.dumps(wild).encode())

    assert changed.status in {200, 400, 404, 409, 422, 429}, changed
    api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_immediately": True})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=some.text(max_size=10))
def test_any_path_and_question_is_answered(api: Api, text: str) -> None:
    named = quote(text.encode("utf-8", "replace"), safe="")
    for path in (
        f"/v1/price-plans/{named}",
        f"/v1/price-plans/p/versions/{named}",
        f"/v1/entitlements/check?external_customer_id=user_1&feature_key={named}",
        f"/v1/subscriptions?plan_id={named}",
        f"/v1/price-plans?currency={named}",
    ):
        assert api.get(path).status in {200, 400, 404, 422, 429}, path
