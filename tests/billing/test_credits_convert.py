"""`POST /v1/credits/convert`: source 001's two calls as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, use


def convert(api: Api, *, to: str = "user_1", key: str | None = None, **body: Any) -> Answer:
    return api.post(
        "/v1/credits/convert", {"external_customer_id": to, **body}, idempotency_key=key or uuid4().hex
    )


def test_a_plan_is_bought_with_one_entry(api: Api) -> None:
    # given
    wallet = give(api, 500000)["block"]["id"]
    # when
    answer = convert(
        api,
        price=100000,
        credits=50000,
        expires_at="2099-01-01T00:00:00Z",
        metadata={"order_id": "order_98765"},
    )
    # then
    assert answer.status == 201
    assert (answer["price"], answer["credits"], answer["balance"]) == (100000, 50000, 450000)
    block = answer["block"]
    assert (block["source"], block["priority"], block["original_amount"]) == ("plan_grant", 10, 50000)
    assert (block["price_paid"], block["currency"]) == (0, "mc")
    assert block["expires_at"] == "2099-01-01T00:00:00Z"
    entry = history(api)[0]
    assert (entry["kind"], entry["amount"], entry["id"]) == ("convert", -50000, answer["ledger_entry_id"])
    assert entry["allocations"] == [
        {"block_id": wallet, "amount": -100000},
        {"block_id": block["id"], "amount": 50000},
    ]
    # and: the plan burns first
    make_metric(api)
    use(api, 10)
    blocks = balance(api, query="?include_blocks=true")["blocks"]
    assert [(block["source"], block["remaining_amount"]) for block in blocks] == [
        ("plan_grant", 40000),
        ("manual", 400000),
    ]


def test_too_little_moves_nothing(api: Api) -> None:
    give(api, 99999)
    assert convert(api, price=100000, credits=50000, key="k").refusal() == (402, "insufficient-credits")
    assert [entry["kind"] for entry in history(api)] == ["grant"]
    # and: the same key works after a topup
    give(api, 1)
    assert convert(api, price=100000, credits=50000, key="k").status == 201


def test_credits_of_certain_metrics_pay_no_plan(api: Api) -> None:
    give(api, 100000, metric_keys=["api_call"])
    assert convert(api, price=1, credits=1).refusal() == (402, "insufficient-credits")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"price": 1}, "validation-failed"),
        ({"price": -1, "credits": 1}, "validation-failed"),
        ({"price": 1, "credits": 0}, "validation-failed"),
        ({"price": 1, "credits": 1, "expires_at": "2020-01-01T00:00:00Z"}, "expires-in-the-past"),
        ({"price": 1, "credits": 1, "source": "gift"}, "validation-failed"),
    ],
)
def test_what_is_refused_moves_nothing(api: Api, body: dict[str, Any], refusal: str) -> None:
    give(api, 1000)
    assert convert(api, **body).refusal() == (422, refusal)
    assert len(history(api)) == 1


def test_an_unknown_customer_is_not_created(api: Api) -> None:
    assert convert(api, to="stranger", price=0, credits=1).refusal() == (404, "customer-not-found")


def test_twenty_at_once_with_credits_for_ten(
    api: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    give(api, 1000)
    answers = together(20, lambda _: convert(Api(acme.test.secret), price=100, credits=50, metric_keys=["x"]))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [402] * 10
    assert balance(api)["balance"] == 500
