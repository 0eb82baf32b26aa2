"""`POST …/credits/refund`."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, use

URL = "/v1/customer-by-external-id/user_1/credits/refund"


@pytest.fixture
def spent(api: Api) -> str:
    """user_1 burned 3,000 of a free 1,000 and a paid 9,000; the event's id."""
    make_metric(api)
    give(api, 1000, priority=1)
    give(api, 9000)
    return str(use(api, 3)["event_id"])


def refund(api: Api, *, key: str | None = None, **body: Any) -> Answer:
    return api.post(URL, body, idempotency_key=key or uuid4().hex)


def test_an_event_is_given_back_where_it_came_from(api: Api, spent: str) -> None:
    # given
    debit = history(api)[0]
    # when
    answer = refund(api, event_id=spent, reason="failed")
    # then
    assert answer.status == 201
    assert (answer["amount"], answer["balance"], answer["block"]) == (3000, 10000, None)
    assert answer["refunded_entry_id"] == debit["id"]
    entry = history(api)[0]
    assert (entry["id"], entry["kind"], entry["amount"]) == (answer["ledger_entry_id"], "refund", 3000)
    assert (entry["reverses"], entry["reason"]) == (debit["id"], "failed")
    # last burned, first restored
    blocks = [part["block_id"] for part in debit["allocations"]]
    assert entry["allocations"] == [
        {"block_id": blocks[1], "amount": 2000},
        {"block_id": blocks[0], "amount": 1000},
    ]
    shown = balance(api, query="?include_blocks=true")
    assert [block["remaining_amount"] for block in shown["blocks"]] == [1000, 9000]
    assert shown["lifetime_earned"] == 10000


def test_in_parts_but_never_more_than_was_debited(api: Api, spent: str) -> None:
    entry = history(api)[0]["id"]
    assert refund(api, ledger_entry_id=entry, amount=500)["balance"] == 7500
    assert refund(api, ledger_entry_id=entry, amount=2501).refusal() == (422, "refund-exceeds-debit")
    assert refund(api, event_id=spent)["amount"] == 2500
    assert refund(api, event_id=spent).refusal() == (409, "nothing-left-to-refund")
    assert balance(api)["balance"] == 10000


def test_what_cannot_go_back_becomes_a_new_block(api: Api) -> None:
    make_metric(api)
    give(api, 5000, expires_at="2099-01-01T00:00:00Z", priority=7)
    event = use(api, 5)["event_id"]
    # what was overdrawn is repaid meanwhile
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    overdrawn = use(api, 2)["event_id"]
    give(api, 2000)
    answer = refund(api, event_id=overdrawn)
    assert (answer["block"]["source"], answer["block"]["original_amount"]) == ("refund", 2000)
    assert refund(api, event_id=event)["block"] is None
    assert balance(api)["balance"] == 7000


def test_a_reservation_s_commit_is_refunded_by_its_event(api: Api) -> None:
    make_metric(api)
    give(api, 5000)
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 2}
    reserved = api.post("/v1/reserve", body, idempotency_key="r")["reservation_id"]
    event = api.post(f"/v1/reserve/{reserved}/commit", idempotency_key="c")["event_id"]
    assert refund(api, event_id=event)["amount"] == 2000


@pytest.mark.parametrize(
    "body",
    [{}, {"event_id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t", "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t"}],
)
def test_it_says_what_is_given_back_once(api: Api, spent: str, body: dict[str, Any]) -> None:
    assert refund(api, **body).refusal() == (422, "validation-failed")


def test_what_is_no_debit_is_refused(api: Api, acme: Character, spent: str) -> None:
    grant = history(api)[-1]["id"]
    assert refund(api, ledger_entry_id=grant).refusal() == (422, "not-a-debit")
    assert refund(api, ledger_entry_id="led_01k7x3s9c5ef6v8b2n4m6q8r0t").refusal() == (
        404,
        "ledger-entry-not-found",
    )
    assert refund(api, event_id="evt_01k7x3s9c5ef6v8b2n4m6q8r0t").refusal() == (422, "event-not-debited")
    # another customer's
    give(api, 1000, to="user_2")
    other = use(api, 1, by="user_2")["event_id"]
    assert refund(api, event_id=other).refusal() == (422, "event-not-debited")
    assert api.post(URL, {"event_id": spent}).refusal() == (422, "idempotency-key-missing")
    assert balance(api)["balance"] == 7000


def test_a_webhook_tells_of_it(api: Api, acme: Character, spent: str) -> None:
    answer = refund(api, event_id=spent, amount=10, reason="goodwill")
    with environment_scope(acme.test.id):
        told = OutboxEvent.objects.get(event="credit.refunded").payload
    assert (told["amount"], told["reason"], told["balance"]) == (10, "goodwill", 7010)
    assert told["ledger_entry_id"] == answer["ledger_entry_id"]
