"""`POST …/credits/refund`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.kernel.instants import instant_text
from customers.models import IdempotencyRecord, OutboxEvent
from tests.clock import clock_set
from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, use

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
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


def test_a_dead_block_gives_its_terms_and_its_life_to_what_comes_back(api: Api, acme: Character) -> None:
    # given: 3,000 for a day and for one metric, 1,000 for an hour, 2,000 for ever; all burned by 11:00
    make_metric(api)
    clock_set(acme.test, NOON - timedelta(hours=2))
    day, hour = instant_text(NOON + timedelta(hours=22)), instant_text(NOON - timedelta(hours=1))
    give(api, 1000, priority=10, expires_at=hour)
    give(api, 3000, priority=7, expires_at=day, metric_keys=["api_call"])
    home = give(api, 2000)["block"]["id"]
    event = use(api, 6)["event_id"]
    # when two of the three are dead
    clock_set(acme.test, NOON + timedelta(hours=24))
    answer = refund(api, event_id=event, amount=5500)
    # then: last burned first: 2,000 go home, 3,000 live for a day again, 500 for an hour
    assert answer["block"]["original_amount"] == 3000
    shown = balance(api, query="?include_blocks=true")["blocks"]
    assert [
        (block["remaining_amount"], block["priority"], block["metric_keys"], block["expires_at"])
        for block in shown
    ] == [
        (500, 10, None, instant_text(NOON + timedelta(hours=25))),
        (3000, 7, ["api_call"], instant_text(NOON + timedelta(hours=48))),
        (2000, 0, None, None),
    ]
    assert shown[2]["id"] == home
    assert [part["amount"] for part in history(api)[0]["allocations"]] == [2000, 3000, 500]
    # and the key shows the same block again
    with environment_scope(acme.test.id):
        assert ledger_verify(environment_id=acme.test.id).findings == []
    # and they die in their turn
    clock_set(acme.test, NOON + timedelta(hours=25))
    assert balance(api)["balance"] == 5000


def test_a_refund_sent_again_shows_the_block_it_made(api: Api, acme: Character) -> None:
    make_metric(api)
    clock_set(acme.test, NOON)
    give(api, 1000, expires_at=instant_text(NOON + timedelta(hours=1)))
    give(api, 1000, priority=1, expires_at=instant_text(NOON + timedelta(hours=1)))
    event = use(api, 2)["event_id"]
    clock_set(acme.test, NOON + timedelta(hours=1))
    first = refund(api, event_id=event, key="again")
    # when the answer itself is no longer kept
    with environment_scope(acme.test.id):
        IdempotencyRecord.objects.filter(key="again").update(status=None, body=None)
    again = refund(api, event_id=event, key="again")
    assert first["block"]["priority"] == 0
    assert (again["block"]["id"], again["duplicate"]) == (first["block"]["id"], True)


def test_credits_for_one_metric_do_not_repay_overdraft_by_coming_back(api: Api, acme: Character) -> None:
    # given: 1,000 for one metric are burned and dead, and 2,000 overdrawn
    make_metric(api)
    clock_set(acme.test, NOON)
    api.post("/v1/customers", {"external_id": "user_1", "overage_policy": "allow"})
    give(api, 1000, expires_at=instant_text(NOON + timedelta(hours=1)), metric_keys=["api_call"])
    event = use(api, 1)["event_id"]
    use(api, 2)
    clock_set(acme.test, NOON + timedelta(hours=1))
    # when
    answer = refund(api, event_id=event)
    # then
    assert (answer["block"]["original_amount"], answer["block"]["metric_keys"]) == (1000, ["api_call"])
    assert answer["balance"] == -1000
