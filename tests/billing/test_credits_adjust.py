"""`POST …/credits/adjust`."""

from __future__ import annotations

from typing import Any

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, use

URL = "/v1/customer-by-external-id/user_1/credits/adjust"


def test_a_negative_adjustment_drains_in_burn_order(api: Api) -> None:
    # given a wallet, and a plan that burns first
    wallet = give(api, 500, priority=0)["block"]["id"]
    plan = give(api, 100, priority=10)["block"]["id"]
    # when
    answer = api.post(URL, {"delta": -150, "reason": "granted twice"}, idempotency_key="fix")
    # then
    assert answer.status == 201
    assert (answer["balance"], answer["block"]) == (450, None)
    entry = history(api)[0]
    assert (entry["kind"], entry["amount"], entry["reason"]) == ("adjust", -150, "granted twice")
    assert entry["allocations"] == [{"block_id": plan, "amount": -100}, {"block_id": wallet, "amount": -50}]


def test_more_than_there_is_is_refused_and_changes_nothing(api: Api) -> None:
    give(api, 100)
    answer = api.post(URL, {"delta": -101}, idempotency_key="too-much")
    assert answer.refusal() == (402, "insufficient-credits")
    assert balance(api)["balance"] == 100
    assert len(history(api)) == 1


def test_a_refused_key_works_after_a_topup(api: Api) -> None:
    # given
    give(api, 100)
    assert api.post(URL, {"delta": -150}, idempotency_key="order-1").status == 402
    # when
    give(api, 100)
    # then
    assert api.post(URL, {"delta": -150}, idempotency_key="order-1").status == 201
    assert balance(api)["balance"] == 50


def test_a_positive_adjustment_repays_overdraft_and_leaves_the_rest_as_a_block(api: Api) -> None:
    # given a customer at -200
    api.post("/v1/customers", {"external_id": "user_1", "overage_policy": "allow"})
    api.post(URL, {"delta": -200}, idempotency_key="down")
    # when
    answer = api.post(URL, {"delta": 300}, idempotency_key="up")
    # then
    assert answer["balance"] == 100
    assert (answer["block"]["source"], answer["block"]["original_amount"]) == ("adjustment", 100)


def test_the_overage_limit_bounds_what_may_be_overdrawn(api: Api) -> None:
    api.post("/v1/customers", {"external_id": "user_1", "overage_policy": "allow", "overage_limit": 200})
    assert api.post(URL, {"delta": -201}, idempotency_key="a").status == 402
    assert api.post(URL, {"delta": -200}, idempotency_key="b").status == 201
    assert api.post(URL, {"delta": -1}, idempotency_key="c").status == 402
    assert balance(api)["balance"] == -200


def test_nobody_is_created_by_an_adjustment(api: Api) -> None:
    assert api.post(URL, {"delta": 5}, idempotency_key="x").refusal() == (404, "customer-not-found")


def test_zero_is_no_adjustment(api: Api) -> None:
    give(api, 100)
    answer = api.post(URL, {"delta": 0}, idempotency_key="zero")
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["code"] == "zero"


def test_the_key_works_for_ever(api: Api, acme: Character, superuser_sql: Any) -> None:
    # given
    give(api, 1000)
    first = api.post(URL, {"delta": -100}, idempotency_key="once")
    superuser_sql.execute(
        "UPDATE customers_idempotency_record SET status = NULL, body = NULL WHERE environment_id = %s",
        [acme.test.id],
    )
    # when
    again = api.post(URL, {"delta": -100}, idempotency_key="once")
    # then
    assert (again["duplicate"], again["ledger_entry_id"]) == (True, first["ledger_entry_id"])
    assert balance(api)["balance"] == 900


def test_what_only_repays_overdraft_leaves_no_block(api: Api, acme: Character) -> None:
    # given 2,000 overdrawn
    make_metric(api)
    api.post("/v1/customers", {"external_id": "user_1", "overage_policy": "allow"})
    use(api, 2)
    # when
    answer = api.post(URL, {"delta": 2000}, idempotency_key="up")
    again = api.post(URL, {"delta": 2000}, idempotency_key="up")
    # then
    assert (answer.status, answer["block"], answer["balance"]) == (201, None, 0)
    assert (again["ledger_entry_id"], again["block"]) == (answer["ledger_entry_id"], None)
    assert history(api)[0]["allocations"] == [{"block_id": None, "amount": 2000}]
    assert balance(api, query="?include=all")["blocks"] == []
    with environment_scope(acme.test.id):
        assert ledger_verify(environment_id=acme.test.id).findings == []
