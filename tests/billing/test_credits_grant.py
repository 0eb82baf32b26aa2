"""`POST …/credits/grant`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, Character
from tests.making import balance, give, history

URL = "/v1/customer-by-external-id/user_1/credits/grant"


def test_a_grant_makes_one_block_and_one_entry(api: Api) -> None:
    # when
    answer = api.post(
        URL,
        {
            "credits": 100000,
            "source": "promotional",
            "reason": "Welcome",
            "priority": 5,
            "metadata": {"campaign": "x"},
        },
        idempotency_key="grant-1",
    )
    # then
    assert answer.status == 201
    assert (answer["balance"], answer["reserved_balance"], answer["effective_balance"]) == (100000, 0, 100000)
    block = answer["block"]
    assert block["id"].startswith("blk_")
    assert (block["original_amount"], block["remaining_amount"]) == (100000, 100000)
    assert (block["source"], block["priority"], block["reason"]) == ("promotional", 5, "Welcome")
    assert block["metadata"] == {"campaign": "x"}
    assert answer["duplicate"] is False
    [entry] = history(api)
    assert entry["id"] == answer["ledger_entry_id"]
    assert (entry["sequence"], entry["kind"], entry["amount"]) == (1, "grant", 100000)
    assert entry["allocations"] == [{"block_id": block["id"], "amount": 100000}]
    assert (entry["balance_after"], entry["idempotency_key"]) == (100000, "grant-1")
    assert entry["actor"].startswith("key:key_")


def test_an_unknown_customer_is_created_without_a_display_name(api: Api) -> None:
    give(api, 1000, to="newcomer")
    customer = api.get("/v1/customer-by-external-id/newcomer")
    assert (customer["external_id"], customer["display_name"]) == ("newcomer", None)


def test_a_refused_grant_leaves_no_customer(api: Api) -> None:
    # when
    answer = api.post(URL, {"credits": 10, "expires_at": "2020-01-01T00:00:00Z"}, idempotency_key="late")
    # then
    assert answer.refusal() == (422, "expires-in-the-past")
    assert api.get("/v1/customer-by-external-id/user_1").refusal() == (404, "customer-not-found")


def test_the_same_key_gives_the_same_bytes_and_no_second_block(api: Api) -> None:
    # given
    first = api.post(URL, {"credits": 500}, idempotency_key="once")
    # when
    second = api.post(URL, {"credits": 500}, idempotency_key="once")
    # then
    assert second.bytes == first.bytes
    assert second.headers["X-Idempotent-Replayed"] == "true"
    assert balance(api)["balance"] == 500


def test_the_same_key_for_another_amount_is_refused(api: Api) -> None:
    api.post(URL, {"credits": 500}, idempotency_key="once")
    answer = api.post(URL, {"credits": 501}, idempotency_key="once")
    assert answer.refusal() == (422, "idempotency-key-reused")
    assert balance(api)["balance"] == 500


def test_without_a_key_nothing_is_granted(api: Api) -> None:
    assert api.post(URL, {"credits": 500}).refusal() == (422, "idempotency-key-missing")
    assert api.get("/v1/customer-by-external-id/user_1").status == 404


def test_the_key_works_for_ever(api: Api, acme: Character, superuser_sql: Any) -> None:
    # given a grant whose stored answer is gone
    first = api.post(URL, {"credits": 500}, idempotency_key="once")
    superuser_sql.execute(
        "UPDATE customers_idempotency_record SET status = NULL, body = NULL WHERE environment_id = %s",
        [acme.test.id],
    )
    # when
    again = api.post(URL, {"credits": 500}, idempotency_key="once")
    # then
    assert again.status == 201
    assert again["duplicate"] is True
    assert again["block"]["id"] == first["block"]["id"]
    assert again["ledger_entry_id"] == first["ledger_entry_id"]
    assert balance(api)["balance"] == 500


def test_a_grant_first_repays_overdraft_by_the_same_entry(api: Api) -> None:
    # given a customer at -2000
    give(api, 1000)
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    api.post("/v1/customer-by-external-id/user_1/credits/adjust", {"delta": -3000}, idempotency_key="down")
    assert balance(api)["balance"] == -2000
    # when
    answer = give(api, 5000)
    # then
    assert answer["balance"] == 3000
    assert answer["block"]["original_amount"] == 3000
    entry = history(api)[0]
    assert entry["amount"] == 5000
    assert entry["allocations"] == [
        {"block_id": None, "amount": 2000},
        {"block_id": answer["block"]["id"], "amount": 3000},
    ]


def test_a_block_dated_ahead_counts_only_from_then(api: Api) -> None:
    # when
    answer = give(api, 700, effective_at="2999-01-01T00:00:00Z", expires_at="2999-02-01T00:00:00Z")
    # then
    assert (answer["balance"], answer["ledger_entry_id"]) == (0, None)
    assert answer["block"]["status"] == "pending"
    assert history(api) == []
    assert balance(api, query="?as_of=2998-12-31T23:59:59Z")["balance"] == 0
    assert balance(api, query="?as_of=2999-01-01T00:00:00Z")["balance"] == 700
    assert balance(api, query="?as_of=2999-02-01T00:00:00Z")["balance"] == 0


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("credits", 0, "min-value"),
        ("credits", -5, "min-value"),
        ("credits", 1.5, "invalid"),
        ("credits", "100", "invalid"),
        ("credits", True, "invalid"),
        ("credits", None, "null"),
        ("credits", 10**15 + 1, "max-value"),
        ("priority", 101, "max-value"),
        ("priority", -1, "min-value"),
        ("source", "gift", "invalid-choice"),
        ("expires_at", "tomorrow", "invalid"),
        ("expires_at", "2030-01-01T00:00:00", "invalid"),
        ("expires_at", 1893456000, "invalid"),
        ("metric_keys", [], "min-length"),
        ("reason", "x" * 1001, "max-length"),
        ("metadata", "text", "invalid"),
        ("metadata", {f"k{n}": 1 for n in range(51)}, "metadata-too-large"),
        ("metadata", {"k": "x" * 9000}, "metadata-too-large"),
        ("expires_on", "2030-01-01T00:00:00Z", "unknown-field"),
    ],
)
def test_bad_input_is_named_and_nothing_is_granted(api: Api, field: str, value: Any, code: str) -> None:
    answer = api.post(URL, {"credits": 100, field: value}, idempotency_key="bad")
    assert answer.refusal() == (422, "validation-failed")
    assert [(error["field"], error["code"]) for error in answer["errors"]] == [(field, code)]
    assert api.get("/v1/customer-by-external-id/user_1").status == 404


def test_a_number_of_thousands_of_digits_is_refused(api: Api) -> None:
    answer = api.post(URL, b'{"credits": ' + b"9" * 5000 + b"}", idempotency_key="long")
    assert answer.refusal() == (422, "validation-failed")
    assert api.get("/v1/customer-by-external-id/user_1").status == 404


def test_a_nul_character_is_refused(api: Api) -> None:
    answer = api.post(URL, b'{"credits": 100, "reason": "a\\u0000b"}', idempotency_key="nul")
    assert answer.status == 422
    assert api.get("/v1/customer-by-external-id/user_1").status == 404


def test_a_balance_beyond_exact_numbers_is_refused(api: Api) -> None:
    # given nine times the largest grant
    for _ in range(9):
        give(api, 10**15)
    # when
    answer = api.post(URL, {"credits": 1}, idempotency_key="one-more")
    # then
    assert answer.refusal() == (422, "balance-too-large")
    assert balance(api)["balance"] == 9 * 10**15


def test_the_other_tenant_sees_nothing_of_it(api: Api, rival: Character) -> None:
    give(api, 100)
    assert Api(rival.test.secret).get("/v1/customer-by-external-id/user_1/credits").status == 404


def test_the_live_environment_sees_nothing_of_it(api: Api, acme: Character) -> None:
    give(api, 100)
    assert api.get("/v1/customer-by-external-id/user_1/credits", key=acme.live.secret).status == 404


def test_webhook_events_tell_of_it_in_order(api: Api, acme: Character, superuser_sql: Any) -> None:
    give(api, 100)
    events = superuser_sql.execute(
        "SELECT sequence, event, payload->>'amount' FROM customers_outbox_event WHERE environment_id = %s ORDER BY 1",
        [acme.test.id],
    ).fetchall()
    assert events == [(1, "customer.created", None), (2, "credit.granted", "100")]
