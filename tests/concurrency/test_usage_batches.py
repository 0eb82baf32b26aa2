"""Batches that meet: same customers, same keys, opposite orders; nobody waits in a circle, everything happens once."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, use

PEOPLE = [f"user_{n}" for n in range(6)]


@pytest.fixture
def busy(api: Api) -> Api:
    """Six customers with 100,000 mc each, and a metric at 1,000 mc a unit."""
    make_metric(api)
    for who in PEOPLE:
        give(api, 100_000, to=who)
    return api


def event(who: str, key: str, units: int = 1) -> dict[str, Any]:
    return {
        "external_customer_id": who,
        "billable_metric_key": "api_call",
        "units": units,
        "idempotency_key": key,
    }


def send(api: Api, events: list[dict[str, Any]]) -> Any:
    answer = api.post("/v1/usage/batch", {"events": events})
    assert answer.status == 202, answer
    return answer


def test_the_same_events_from_both_ends_happen_once(busy: Api, together: Callable[..., list[Any]]) -> None:
    # given the same sixty events, forwards and backwards
    events = [event(PEOPLE[n % 6], f"key-{n}") for n in range(60)]
    # when eight clients send them at once, four from each end
    answers = together(8, lambda index: send(busy, events if index % 2 else events[::-1]))
    # then
    assert sum(answer["accepted"] for answer in answers) == 60
    assert sum(answer["duplicates"] for answer in answers) == 7 * 60
    assert {balance(busy, of=who)["balance"] for who in PEOPLE} == {90_000}


def test_one_key_for_two_customers_goes_to_one_of_them(busy: Api, together: Callable[..., list[Any]]) -> None:
    # given thirty keys, which one client uses for the first three customers and another for the last three
    def deed(index: int) -> Any:
        keys = range(30) if index % 2 else reversed(range(30))
        return send(busy, [event(PEOPLE[n % 3 + 3 * (index % 2)], f"key-{n}") for n in keys])

    # when
    answers = together(6, deed)
    # then each key recorded one event, and the others were told so
    assert sum(answer["accepted"] for answer in answers) == 30
    codes = {
        result["error"]["code"]
        for answer in answers
        for result in answer["results"]
        if result["status"] == "rejected"
    }
    assert codes <= {"idempotency-key-reused"}
    assert sum(100_000 - balance(busy, of=who)["balance"] for who in PEOPLE) == 30_000


def test_credits_for_half_let_exactly_half_pass(busy: Api, together: Callable[..., list[Any]]) -> None:
    # given 100 credits, and 200 wanted in batches of ten and one by one
    def deed(index: int) -> int:
        if index % 2:
            return sum(use(busy, 1, by="user_0").status == 202 for _ in range(20))
        batches = [[event("user_0", f"{index}-{n}-{m}") for m in range(10)] for n in range(2)]
        return sum(send(busy, batch)["accepted"] for batch in batches)

    # when
    accepted = together(10, deed)
    # then
    assert sum(accepted) == 100
    assert balance(busy, of="user_0")["balance"] == 0


def test_two_batches_make_the_same_new_customers_once(busy: Api, together: Callable[..., list[Any]]) -> None:
    # given
    make_metric(busy, key="ping", cost_type="per_unit", unit_cost=0)
    new = [f"new_{n}" for n in range(20)]

    # when
    def deed(index: int) -> Any:
        order = new if index % 2 else new[::-1]
        return send(busy, [event(who, f"{index}-{who}") | {"billable_metric_key": "ping"} for who in order])

    answers = together(6, deed)
    # then
    assert [answer["accepted"] for answer in answers] == [20] * 6
    found = busy.get("/v1/customers?limit=100")["data"]
    assert sorted(each["external_id"] for each in found) == sorted([*PEOPLE, *new])


def test_tiers_lose_no_unit_between_batches_and_single_events(
    api: Api, together: Callable[..., list[Any]], acme: Character
) -> None:
    # given
    tiers = [{"up_to": 100, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 10_000)

    # when 200 units come in
    def deed(index: int) -> int:
        if index % 2:
            return sum(use(api, 1)["estimated_cost"] for _ in range(20))
        answer = send(api, [event("user_1", f"{index}-{n}") for n in range(20)])
        return sum(result["estimated_cost"] for result in answer["results"])

    costs = together(10, deed)
    # then
    assert sum(costs) == 100 * 10 + 100
    assert balance(api)["balance"] == 10_000 - 1100
    assert len(history(api, query="?limit=100")) == 100
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_random_batches_neither_deadlock_nor_miscount(
    busy: Api, together: Callable[..., list[Any]], acme: Character
) -> None:
    # when twelve clients send batches of random customers under keys that many share
    def deed(index: int) -> int:
        random = Random(index)
        accepted = 0
        for _ in range(5):
            keys = random.sample(range(400), 25)
            # A key always means the same event, whoever sends it.
            accepted += send(busy, [event(PEOPLE[key % 6], f"key-{key}") for key in keys])["accepted"]
        return accepted

    accepted = sum(together(12, deed))
    # then
    assert sum(100_000 - balance(busy, of=who)["balance"] for who in PEOPLE) == accepted * 1000
    assert ledger_verify(environment_id=acme.test.id).findings == []
