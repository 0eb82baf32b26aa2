"""A key that moved credits works once for ever: also when no stored answer, and no record of the key, is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, use

BASE = "/v1/customer-by-external-id/user_1"
Sql = psycopg.Connection[Any]
Lose = Callable[[Sql, Character], None]


def purge(sql: Sql, acme: Character) -> None:
    """What the retention does."""
    sql.execute(
        "UPDATE customers_idempotency_record SET status = NULL, body = NULL WHERE environment_id = %s",
        (acme.test.id,),
    )


def delete(sql: Sql, acme: Character) -> None:
    """More than anybody should."""
    sql.execute("DELETE FROM customers_idempotency_record WHERE environment_id = %s", (acme.test.id,))


@pytest.fixture
def calls(api: Api) -> list[tuple[str, str, Any]]:
    """Every call that moves credits, once each, in an order in which all of them succeed."""
    make_metric(api)
    give(api, 100000)
    event = use(api, 3)["event_id"]

    def reserved(key: str) -> str:
        body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 2}
        return "/v1/reserve/" + str(api.post("/v1/reserve", body, idempotency_key=key)["reservation_id"])

    usage = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    reserve = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 1}
    topup = {"external_customer_id": "user_1", "credits": 500}
    convert = {"external_customer_id": "user_1", "price": 700, "credits": 300}
    return [
        ("usage", "/v1/usage", usage),
        ("reserve", "/v1/reserve", reserve),
        ("commit", reserved("r-commit") + "/commit", {"actual_units": 1}),
        ("release", reserved("r-release") + "/release", {}),
        ("extend", reserved("r-extend") + "/extend", {"ttl_seconds": 4000}),
        ("grant", f"{BASE}/credits/grant", {"credits": 1000}),
        ("grant-later", f"{BASE}/credits/grant", {"credits": 10, "effective_at": "2099-01-01T00:00:00Z"}),
        ("adjust-up", f"{BASE}/credits/adjust", {"delta": 20}),
        ("adjust-down", f"{BASE}/credits/adjust", {"delta": -30}),
        ("topup", "/v1/topup/grant", topup),
        ("topup-paid", "/v1/topup/grant", {**topup, "external_payment_id": "pi_1"}),
        ("refund", f"{BASE}/credits/refund", {"event_id": event, "amount": 100}),
        ("convert", "/v1/credits/convert", convert),
        ("wind-down", f"{BASE}/wind-down", {"reason": "left"}),
    ]


#: The member that names what a call made.
_MADE = {
    "usage": "event_id",
    "reserve": "reservation_id",
    "commit": "event_id",
    "release": "reservation_id",
    "extend": "expires_at",
    "topup": "topup_id",
    "topup-paid": "topup_id",
}


def made(name: str, answer: Answer) -> Any:
    if name == "grant-later":
        return answer["block"]["id"]
    return answer[_MADE.get(name, "ledger_entry_id")]


@pytest.mark.parametrize("lose", [purge, delete])
def test_each_call_again_finds_what_it_made_and_moves_nothing(
    api: Api, acme: Character, superuser_sql: Sql, calls: list[tuple[str, str, Any]], lose: Lose
) -> None:
    # given
    first = {name: api.post(path, body, idempotency_key=f"key-{name}") for name, path, body in calls}
    assert {answer.status for answer in first.values()} <= {200, 201, 202}, first
    before, entries = balance(api, query="?include=all"), history(api)
    # when
    lose(superuser_sql, acme)
    again = {name: api.post(path, body, idempotency_key=f"key-{name}") for name, path, body in calls}
    # then
    for name, answer in again.items():
        assert answer.status == first[name].status, (name, answer)
        assert answer["duplicate"] is True, (name, answer)
        assert answer.headers["X-Idempotent-Replayed"] == "true"
        assert made(name, answer) == made(name, first[name])
    after = balance(api, query="?include=all")
    assert {**after, "as_of": None} == {**before, "as_of": None}
    assert history(api) == entries


def test_a_batch_again_finds_its_events(api: Api, acme: Character, superuser_sql: Sql) -> None:
    make_metric(api)
    give(api, 10000)
    event = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    first = api.post("/v1/usage/batch", {"events": [event, event]}, idempotency_key="batch-1")
    assert (first.status, first["accepted"]) == (202, 2)
    delete(superuser_sql, acme)
    again = api.post("/v1/usage/batch", {"events": [event, event]}, idempotency_key="batch-1")
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert balance(api)["balance"] == 8000
