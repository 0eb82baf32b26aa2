"""`POST /v1/events/{id}/void`: the event stays and no longer counts, and its debit comes back, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, use
from tests.metering.rolling import roll

TIERS = [{"up_to": 10, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, and user_1 with 10,000 mc."""
    make_metric(api)
    give(api, 10_000)
    return api


def void(api: Api, event_id: str, *, key: str = "void-1", reason: str = "a test client") -> Any:
    return api.post(f"/v1/events/{event_id}/void", {"reason": reason}, idempotency_key=key)


def test_a_voided_event_gives_its_debit_back_and_says_so(priced: Api) -> None:
    # given
    event_id = use(priced, 3)["event_id"]
    block_id = history(priced)[0]["allocations"][0]["block_id"]
    # when
    answer = void(priced, event_id)
    # then
    assert answer.status == 200
    assert (answer["status"], answer["cost"]) == ("voided", 3000)
    refund = history(priced)[0]
    assert (refund["kind"], refund["amount"]) == ("refund", 3000)
    assert refund["allocations"] == [{"block_id": block_id, "amount": 3000}]
    assert (refund["reason"], refund["metadata"]) == ("a test client", {"voided_event_id": event_id})
    assert answer["void"] == {
        "reason": "a test client",
        "refunded": 3000,
        "ledger_entry_id": refund["id"],
        "actor": answer["void"]["actor"],
        "voided_at": answer["void"]["voided_at"],
    }
    assert balance(priced)["balance"] == 10_000
    assert priced.get(f"/v1/events/{event_id}")["status"] == "voided"
    assert [each["id"] for each in priced.get("/v1/events?voided=true")["data"]] == [event_id]
    assert priced.get("/v1/events?voided=false")["data"] == []


def test_twice_is_409_unless_replayed(priced: Api) -> None:
    event_id = use(priced, 3)["event_id"]
    first = void(priced, event_id)
    again = void(priced, event_id)
    assert (again.status, again.bytes) == (200, first.bytes)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert void(priced, event_id, key="void-2").refusal() == (409, "event-voided")
    assert balance(priced)["balance"] == 10_000


def test_its_key_works_for_ever(priced: Api, acme: Character, superuser_sql: Any) -> None:
    # given the stored answer is long gone
    event_id = use(priced, 3)["event_id"]
    void(priced, event_id)
    superuser_sql.execute(
        "UPDATE customers_idempotency_record SET status = NULL, body = NULL WHERE environment_id = %s",
        [acme.test.id],
    )
    # then
    again = void(priced, event_id)
    assert (again.status, again["status"], again["duplicate"]) == (200, "voided", True)
    assert balance(priced)["balance"] == 10_000


def test_the_events_own_key_still_finds_it(priced: Api) -> None:
    event_id = use(priced, 3, idempotency_key="e")["event_id"]
    void(priced, event_id)
    again = use(priced, 3, idempotency_key="e")
    assert (again["event_id"], again["duplicate"]) == (event_id, True)
    assert balance(priced)["balance"] == 10_000


def test_what_was_refunded_before_does_not_come_back_twice(priced: Api) -> None:
    # given a part refunded by hand
    event_id = use(priced, 3)["event_id"]
    entry_id = history(priced)[0]["id"]
    body = {"ledger_entry_id": entry_id, "amount": 1000}
    assert (
        priced.post("/v1/customer-by-external-id/user_1/credits/refund", body, idempotency_key="r").status
        == 201
    )
    # when
    answer = void(priced, event_id)
    # then
    assert answer["void"]["refunded"] == 2000
    assert balance(priced)["balance"] == 10_000


def test_an_event_that_cost_nothing_leaves_a_trace_only(priced: Api) -> None:
    make_metric(priced, key="ping", cost_type="per_unit", unit_cost=0)
    event_id = use(priced, 1, metric="ping")["event_id"]
    answer = void(priced, event_id)
    assert (answer["status"], answer["void"]["refunded"], answer["void"]["ledger_entry_id"]) == (
        "voided",
        0,
        None,
    )
    assert [each["kind"] for each in history(priced)] == ["grant"]


def test_tiers_go_back_by_a_voided_event(api: Api) -> None:
    # given eight units of the first tier
    make_metric(api, cost_type="tiered", tiers=TIERS)
    give(api, 1000)
    use(api, 2)
    event_id = use(api, 6)["event_id"]
    # when six of them are voided
    void(api, event_id)
    # then there is room for eight again
    assert use(api, 9)["estimated_cost"] == 81


def test_counters_made_anew_leave_voided_events_out(api: Api, acme: Character, superuser_sql: Any) -> None:
    make_metric(api, cost_type="tiered", tiers=TIERS)
    give(api, 1000)
    use(api, 2)
    void(api, use(api, 6)["event_id"])
    superuser_sql.execute("DELETE FROM metering_cycle_counter WHERE environment_id = %s", [acme.test.id])
    assert use(api, 9)["estimated_cost"] == 81


def test_rates_by_property_go_back_each_for_itself(api: Api) -> None:
    make_metric(api, dimension="model", rates={"*": {"cost_type": "tiered", "tiers": TIERS}})
    give(api, 1000)
    event_id = use(api, 10, properties={"model": "a"})["event_id"]
    use(api, 10, properties={"model": "b"})
    void(api, event_id)
    assert use(api, 1, properties={"model": "a"})["estimated_cost"] == 10
    assert use(api, 1, properties={"model": "b"})["estimated_cost"] == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_reports_leave_voided_events_out(priced: Api, when: str) -> None:
    # given the hours know the event, or not yet
    span = "customer-by-external-id/user_1/usage?metric=api_call&from=2026-04-01T00:00:00Z&to=2026-04-02T00:00:00Z"
    use(priced, 2, timestamp="2026-04-01T09:10:00Z")
    event_id = use(priced, 5, timestamp="2026-04-01T09:20:00Z")["event_id"]
    if when == "after":
        roll()
    # when
    void(priced, event_id)
    roll()
    # then
    rows = priced.get(f"/v1/{span}&group_by=day")["data"]
    assert [row["quantity"] for row in rows] == [2]


def test_reasons_and_ids_are_checked(priced: Api) -> None:
    event_id = use(priced, 1)["event_id"]
    assert priced.post(f"/v1/events/{event_id}/void", {"reason": "x"}).refusal() == (
        422,
        "idempotency-key-missing",
    )
    assert priced.post(f"/v1/events/{event_id}/void", {}, idempotency_key="a").refusal() == (
        422,
        "validation-failed",
    )
    assert void(priced, "evt_01k7x3s9c5ef6v8b2n4m6q8r0t", key="b").refusal() == (404, "event-not-found")
    assert balance(priced)["balance"] == 9000


def test_many_at_once_void_it_once(priced: Api, together: Callable[..., list[Any]]) -> None:
    event_id = use(priced, 3)["event_id"]
    answers = together(8, lambda n: void(priced, event_id, key=f"void-{n}"))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert balance(priced)["balance"] == 10_000
    assert [each["kind"] for each in history(priced)] == ["refund", "debit", "grant"]


def test_the_ledger_stays_provable(priced: Api, acme: Character) -> None:
    void(priced, use(priced, 3)["event_id"])
    use(priced, 2)
    assert ledger_verify(environment_id=acme.test.id).findings == []
