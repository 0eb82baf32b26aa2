"""No input of the catalogue produces a 500, and what is accepted can be shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.conftest import Api, make_character
from tests.making import make_plan, make_variant

BIG = 10**40
scalars = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-BIG, BIG),
    some.integers(0, 1000),
    some.floats(),
    some.text(max_size=8),
    some.sampled_from(["monthly", "prepaid", "custom", "interval_end", "usd", "one_time", "\x00", "\ud800"]),
)
values = some.recursive(
    scalars, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3)
)
PLAN = {"name": "API Platform"}
VARIANT = {"name": "Monthly", "billing_cycle": "monthly", "billing_mode": "prepaid"}
GRANT = {"credits": 5}
MORE = {
    "plans": ("name", "description", "features", "metadata"),
    "variants": (
        "name",
        "billing_cycle",
        "renewal_due_days",
        "grace_period_days",
        "allow_usage_while_overdue",
        "trial_days",
        "price",
        "currency",
        "fallback_variant_id",
        "metadata",
    ),
    "credit-grants": (
        "credits",
        "grant_type",
        "grant_interval",
        "interval_seconds",
        "source",
        "priority",
        "expires_after_seconds",
        "expires",
        "rollover_percentage",
        "accumulation_cap",
        "metadata",
    ),
}


@pytest.fixture(scope="module")
def shop() -> tuple[Api, dict[str, str]]:
    api = Api(make_character("Fuzzed").test.secret)
    plan = make_plan(api)
    variant = f"/v1/plans/{plan}/variants/{make_variant(api, plan)}"
    grants = f"{variant}/credit-grants"
    return api, {"plans": "/v1/plans", "variants": f"/v1/plans/{plan}/variants", "credit-grants": grants}


@pytest.mark.parametrize(
    ("kind", "least"), [("plans", PLAN), ("variants", VARIANT), ("credit-grants", GRANT)]
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=some.data())
def test_any_json_is_answered(shop: Any, kind: str, least: dict[str, Any], data: some.DataObject) -> None:
    api, paths = shop
    wild = data.draw(some.dictionaries(some.sampled_from(MORE[kind]), values, max_size=3))

    made = api.post(paths[kind], json.dumps({**least, **wild}).encode())

    assert made.status in {201, 400, 422, 429}, made
    if made.status == 201:
        path = f"{paths[kind]}/{made['id']}"
        assert api.get(path).status == 200
        changed = api.patch(path, json.dumps(wild).encode())
        assert changed.status in {200, 400, 422, 429}, changed
