"""`GET …/credits` and `GET …/credits/history`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from customers.kernel.clock import system_now
from customers.kernel.instants import instant_text
from tests.conftest import Api, Character
from tests.making import balance, give, history


def test_a_new_customer_has_zeros(api: Api) -> None:
    api.post("/v1/customers", {"external_id": "user_1"})
    found = balance(api)
    assert (found["balance"], found["reserved_balance"], found["effective_balance"]) == (0, 0, 0)
    assert "blocks" not in found


def test_blocks_come_in_burn_order(api: Api) -> None:
    # given
    wallet = give(api, 10)["block"]["id"]
    late = give(api, 10, priority=5, expires_at="2999-01-01T00:00:00Z")["block"]["id"]
    soon = give(api, 10, priority=5, expires_at="2998-01-01T00:00:00Z")["block"]["id"]
    plan = give(api, 10, priority=10)["block"]["id"]
    # then
    assert [block["id"] for block in balance(api, query="?include_blocks=true")["blocks"]] == [
        plan,
        soon,
        late,
        wallet,
    ]


def test_spent_blocks_are_shown_only_with_all(api: Api) -> None:
    give(api, 10)
    api.post("/v1/customer-by-external-id/user_1/credits/adjust", {"delta": -10}, idempotency_key="a")
    assert balance(api, query="?include_blocks=true")["blocks"] == []
    [block] = balance(api, query="?include=all")["blocks"]
    assert (block["status"], block["remaining_amount"]) == ("spent", 0)


def test_both_forms_of_the_url_and_both_header_forms_say_the_same(api: Api) -> None:
    give(api, 10)
    by_external = api.get("/v1/customer-by-external-id/user_1/credits", key="", bearer=api.secret)
    by_id = api.get(f"/v1/customers/{by_external['customer_id']}/credits")
    by_external_text_in_id_path = api.get("/v1/customers/user_1/credits")
    assert by_external["balance"] == by_id["balance"] == by_external_text_in_id_path["balance"] == 10


@pytest.mark.parametrize(
    ("external_id", "path"),
    [
        ("user42:companion7", "user42%3Acompanion7"),
        ("user42:companion7", "user42:companion7"),
        ("org/team/user", "org%2Fteam%2Fuser"),
        ("Ada Lovelace", "Ada%20Lovelace"),
        ("für:ü/ñ", "f%C3%BCr%3A%C3%BC%2F%C3%B1"),
        ("a/credits/grant", "a%2Fcredits%2Fgrant"),
    ],
)
def test_external_ids_of_any_spelling_are_reached(api: Api, external_id: str, path: str) -> None:
    api.post("/v1/customers", {"external_id": external_id})
    assert (
        api.post(
            f"/v1/customer-by-external-id/{path}/credits/grant", {"credits": 7}, idempotency_key="g"
        ).status
        == 201
    )
    found = api.get(f"/v1/customer-by-external-id/{path}/credits")
    assert (found["external_customer_id"], found["balance"]) == (external_id, 7)


def test_a_dead_block_never_counts_although_no_sweeper_ran(
    api: Api, acme: Character, superuser_sql: Any
) -> None:
    # given a block that lives two seconds, read by a clock that has passed it
    soon = instant_text(system_now() + timedelta(seconds=2))
    give(api, 100, expires_at=soon)
    give(api, 5)
    # then
    assert balance(api)["balance"] == 105
    assert balance(api, query=f"?as_of={soon}&include_blocks=true")["balance"] == 5
    # and reading wrote nothing
    kinds = superuser_sql.execute(
        "SELECT kind FROM billing_ledger_entry WHERE environment_id = %s ORDER BY sequence", [acme.test.id]
    ).fetchall()
    assert kinds == [("grant",), ("grant",)]


def test_history_pages_backwards_without_gaps(api: Api) -> None:
    # given
    for amount in (1, 2, 3, 4, 5):
        give(api, amount)
    # when
    url = "/v1/customer-by-external-id/user_1/credits/history?limit=2"
    first = api.get(url)
    give(api, 6)
    second = api.get(f"{url}&cursor={first['pagination']['next_cursor']}")
    third = api.get(f"{url}&cursor={second['pagination']['next_cursor']}")
    # then
    amounts = [entry["amount"] for page in (first, second, third) for entry in page["data"]]
    assert amounts == [5, 4, 3, 2, 1]
    assert third["pagination"] == {"has_more": False, "next_cursor": None}


def test_history_is_filtered_by_kind_and_time(api: Api) -> None:
    give(api, 10)
    api.post("/v1/customer-by-external-id/user_1/credits/adjust", {"delta": -1}, idempotency_key="a")
    assert [entry["kind"] for entry in history(api, query="?kind=adjust")] == ["adjust"]
    later = instant_text(system_now() + timedelta(minutes=1))
    assert history(api, query=f"?from={later}") == []
    assert len(history(api, query=f"?to={later}")) == 2


@pytest.mark.parametrize(
    "query", ["?kind=gift", "?from=yesterday", "?limit=0", "?limit=101", "?cursor=x", "?knd=grant"]
)
def test_a_bad_filter_is_refused(api: Api, query: str) -> None:
    give(api, 10)
    assert api.get(f"/v1/customer-by-external-id/user_1/credits/history{query}").refusal() == (
        422,
        "validation-failed",
    )


def test_an_unknown_customer_is_not_found(api: Api) -> None:
    assert api.get("/v1/customer-by-external-id/nobody/credits").refusal() == (404, "customer-not-found")
    assert api.get("/v1/customer-by-external-id/nobody/credits/history").refusal() == (
        404,
        "customer-not-found",
    )
