"""`GET …/credits/explain/{ledger_entry_id}`: why was I charged?"""

from __future__ import annotations

from typing import Any

from tests.conftest import Api, Character
from tests.making import give, history, make_metric, use

TIERS = [{"up_to": 100, "credit_cost": 10, "flat_cost": 5}, {"up_to": None, "credit_cost": "0.333"}]


def explain(api: Api, entry_id: str) -> dict[str, Any]:
    answer = api.get(f"/v1/customer-by-external-id/user_1/credits/explain/{entry_id}")
    assert answer.status == 200, answer
    return dict(answer.json)


def test_a_tiered_event_shows_its_arithmetic(api: Api) -> None:
    # given
    make_metric(api, cost_type="tiered", tiers=TIERS)
    block = give(api, 10000)["block"]["id"]
    use(api, 40)
    event = use(api, 100, idempotency_key="e2", metadata={"model": "x"})
    # when
    told = explain(api, history(api)[0]["id"])
    # then: 60 units at 10, 40 at 0.333 = 613.32 → 613
    assert event["estimated_cost"] == 613
    assert told["entry"]["amount"] == -613
    assert told["event"]["id"] == event["event_id"]
    assert (told["event"]["billable_metric_key"], told["event"]["units"]) == ("api_call", 100)
    assert told["event"]["metadata"] == {"model": "x"}
    pricing = told["pricing"]
    assert (pricing["version"], pricing["cycle_units_before"], pricing["cycle_charged_before"]) == (
        1,
        40,
        405,
    )
    assert pricing["lines"] == [
        {"kind": "tier", "tier": 1, "units": 60, "unit_cost": 10, "amount": 600},
        {"kind": "tier", "tier": 2, "units": 40, "unit_cost": "0.333", "amount": "13.32"},
        {"kind": "rounding", "tier": None, "units": None, "unit_cost": None, "amount": "-0.32"},
    ]
    assert pricing["cost"] == 613
    assert [(part["block"]["id"], part["amount"]) for part in told["blocks"]] == [(block, -613)]
    assert (told["actor"]["type"], told["actor"]["name"]) == ("key", "First key")
    assert told["entry"]["request_id"].startswith("req_")
    assert (told["reservation"], told["topup"], told["refunds"]) == (None, None, [])


def test_a_later_rule_and_later_usage_change_no_explanation(api: Api) -> None:
    make_metric(api, cost_type="tiered", tiers=TIERS)
    give(api, 10000)
    use(api, 10)
    entry = history(api)[0]["id"]
    before = explain(api, entry)
    use(api, 500)
    api.post(
        "/v1/metering-rules", {"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 9}
    )
    assert explain(api, entry)["pricing"] == before["pricing"]


def test_a_commit_is_explained_with_its_reservation(api: Api) -> None:
    make_metric(api)
    give(api, 10000)
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 5}
    reserved = api.post("/v1/reserve", body, idempotency_key="r")["reservation_id"]
    api.post(f"/v1/reserve/{reserved}/commit", {"actual_units": 3}, idempotency_key="c")
    told = explain(api, history(api)[0]["id"])
    assert told["reservation"]["id"] == reserved
    assert (told["reservation"]["estimated_units"], told["reservation"]["reserved_amount"]) == (5, 5000)
    assert (told["event"]["units"], told["pricing"]["cost"]) == (3, 3000)


def test_topups_conversions_and_refunds_are_told(api: Api) -> None:
    make_metric(api)
    topup = api.post(
        "/v1/topup/grant",
        {"external_customer_id": "user_1", "credits": 9000, "external_payment_id": "pi_1"},
        idempotency_key="t",
    )
    assert explain(api, topup["ledger_entry_id"])["topup"]["external_payment_id"] == "pi_1"
    converted = api.post(
        "/v1/credits/convert",
        {"external_customer_id": "user_1", "price": 4000, "credits": 3000},
        idempotency_key="cv",
    )
    told = explain(api, converted["ledger_entry_id"])
    assert told["conversion"] == {"price": 4000, "credits": 3000}
    event = use(api, 2)["event_id"]
    debit = history(api)[0]["id"]
    url = "/v1/customer-by-external-id/user_1/credits/refund"
    refund = api.post(url, {"event_id": event, "amount": 700}, idempotency_key="rf")
    told = explain(api, debit)
    assert told["refunded_amount"] == 700
    assert [part["ledger_entry_id"] for part in told["refunds"]] == [refund["ledger_entry_id"]]
    assert explain(api, refund["ledger_entry_id"])["entry"]["reverses"] == debit


def test_only_the_customer_s_own(api: Api, rival: Character) -> None:
    give(api, 10)
    entry = history(api)[0]["id"]
    give(api, 10, to="user_2")
    for caller, customer, entry_id in (
        (api, "user_2", entry),
        (api, "user_1", "led_nonsense"),
        (api, "user_1", "led_01k7x3s9c5ef6v8b2n4m6q8r0t"),
    ):
        answer = caller.get(f"/v1/customer-by-external-id/{customer}/credits/explain/{entry_id}")
        assert answer.refusal() == (404, "ledger-entry-not-found")
    theirs = Api(rival.test.secret)
    answer = theirs.get(f"/v1/customer-by-external-id/user_1/credits/explain/{entry}")
    assert answer.refusal() == (404, "customer-not-found")
