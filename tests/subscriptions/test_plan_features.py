"""`/v1/entitlements`: what a customer's plans let them do, merged over their subscriptions."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.subscriptions.deals import BEGIN, BUDGET, at, make_variant, subscribe
from tests.subscriptions.pricing import fee, make_price_plan, subscribe_to

LIMIT: dict[str, Any] = {"type": "limit", "limit": 10, "metric_key": "api_calls"}


@pytest.fixture(autouse=True)
def _metric(api: Api, acme: Character) -> None:
    clock_set(acme.test, BEGIN)
    assert api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"}).status == 201


def check(api: Api, key: str, who: str = "user_1") -> dict[str, Any]:
    answer = api.get(f"/v1/entitlements/check?external_customer_id={who}&feature_key={key}")
    assert answer.status == 200, answer
    return dict(answer.json)


def send(api: Api, value: int, timestamp: str) -> None:
    body = {
        "customer_id": api.get("/v1/customer-by-external-id/user_1")["id"],
        "metric_key": "api_calls",
        "value": value,
        "timestamp": timestamp,
        "idempotency_key": uuid4().hex,
    }
    answer = api.post("/v1/events", body)
    assert answer.status == 202, answer


def test_features_are_on_or_off_limits_or_values(api: Api, acme: Character) -> None:
    features = {"sso": True, "audit": False, "seats": 5, "support": "email", "api_calls": LIMIT}
    make_price_plan(api, entitlements=features)
    deal = subscribe_to(api, acme.test, "plan_fee")

    listed = api.get("/v1/entitlements?external_customer_id=user_1")["data"]

    assert [(row["feature_key"], row["type"], row["entitled"]) for row in listed] == [
        ("api_calls", "limit", True),
        ("audit", "boolean", False),
        ("seats", "limit", True),
        ("sso", "boolean", True),
        ("support", "custom", True),
    ]
    seats = listed[2]
    assert (seats["limit"], seats["current_usage"], seats["remaining"], seats["exceeded"]) == (
        5,
        None,
        None,
        False,
    )
    assert check(api, "support")["value"] == "email"
    assert check(api, "support")["sources"] == [
        {"subscription_id": deal.id, "plan_id": "plan_fee", "plan_version": 1}
    ]


def test_a_limit_counts_the_present_period_and_is_exceeded_when_it_is_reached(
    api: Api, acme: Character
) -> None:
    make_price_plan(api, entitlements={"calls": LIMIT})
    deal = subscribe_to(api, acme.test, "plan_fee")
    send(api, 100, "2026-01-30T00:00:00Z")
    send(api, 9, "2026-01-31T12:00:00Z")

    before = check(api, "calls")
    assert (before["current_usage"], before["remaining"], before["exceeded"], before["entitled"]) == (
        9,
        1,
        False,
        True,
    )
    send(api, 1, "2026-01-31T12:00:00Z")
    reached = check(api, "calls")
    assert (reached["current_usage"], reached["remaining"], reached["exceeded"], reached["entitled"]) == (
        10,
        0,
        True,
        False,
    )
    # and a new period begins to count anew, though nobody has done anything yet
    deal.time("2026-02-28T12:00")
    anew = check(api, "calls")
    assert (anew["current_usage"], anew["period_start"]) == (0, "2026-02-28T12:00:00Z")


def test_several_subscriptions_are_merged(api: Api, acme: Character) -> None:
    make_price_plan(api, "a", entitlements={"sso": True, "calls": LIMIT, "support": "email"})
    make_price_plan(
        api, "b", entitlements={"sso": False, "calls": {**LIMIT, "limit": "2.5"}, "support": "phone"}
    )
    subscribe_to(api, acme.test, "a")
    subscribe_to(api, acme.test, "b")

    assert check(api, "sso")["value"] is True
    assert check(api, "calls")["limit"] == "12.5"
    assert check(api, "support")["value"] == "phone"
    # and no end is no end
    make_price_plan(api, "c", entitlements={"calls": {**LIMIT, "limit": None}})
    subscribe_to(api, acme.test, "c")
    endless = check(api, "calls")
    assert (endless["limit"], endless["remaining"], endless["entitled"]) == (None, None, True)


def test_features_of_a_credit_plan_count_too(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET)
    plan = f"/v1/plans/{variant.plan.public_id}"
    assert api.patch(plan, {"features": {"sso": True, "seats": 2.5}}).status == 200
    make_price_plan(api, entitlements={"seats": 3})
    subscribe(api, acme.test, variant)
    subscribe_to(api, acme.test, "plan_fee")

    assert check(api, "sso")["entitled"] is True
    assert check(api, "seats")["limit"] == "5.5"


def test_who_is_paused_or_gone_has_nothing(api: Api, acme: Character) -> None:
    make_price_plan(api, entitlements={"sso": True})
    deal = subscribe_to(api, acme.test, "plan_fee")

    deal.act("pause")
    assert check(api, "sso")["entitled"] is False
    deal.act("resume")
    assert check(api, "sso")["entitled"] is True
    deal.act("cancel")
    clock_set(acme.test, at("2026-03-01"))
    gone = check(api, "sso")
    assert (gone["entitled"], gone["type"], gone["sources"]) == (False, None, [])


def test_a_change_of_plan_changes_them_at_once(api: Api, acme: Character) -> None:
    make_price_plan(api, entitlements={"sso": False})
    make_price_plan(api, "plan_pro", fee("99"), entitlements={"sso": True})
    deal = subscribe_to(api, acme.test, "plan_fee")

    deal.act("change", {"plan_id": "plan_pro"})

    assert check(api, "sso")["entitled"] is True


def test_a_question_must_name_one_customer(api: Api, rival: Character) -> None:
    api.post("/v1/customers", {"external_id": "user_1"})
    path = "/v1/entitlements/check"

    assert api.get(f"{path}?feature_key=sso").refusal() == (400, "ambiguous-customer")
    assert api.get(f"{path}?external_customer_id=user_1").refusal() == (422, "validation-failed")
    assert api.get("/v1/entitlements?external_customer_id=nobody").refusal() == (404, "customer-not-found")
    assert api.get("/v1/entitlements?customer=1").refusal() == (422, "validation-failed")
    stranger = Api(rival.test.secret)
    assert stranger.get("/v1/entitlements?external_customer_id=user_1").status == 404
