"""`/v1/reserve`: credits set aside for usage that is under way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from customers.kernel.database import call_function, environment_scope
from customers.models import Customer, OutboxEvent
from metering.models import Reservation, ReservationStep, UsageEvent
from metering.services import reservations as service
from tests.clock import clock_set
from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, make_rule, use

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `gpu` at 50 mc a unit, and user_1 with 10,000 mc."""
    make_metric(api, key="gpu", cost_type="per_unit", unit_cost=50)
    give(api, 10000)
    return api


def reserve(api: Api, units: Any = 100, *, by: str = "user_1", key: str | None = None, **more: Any) -> Answer:
    body = {
        "external_customer_id": by,
        "billable_metric_key": "gpu",
        "estimated_units": units,
        **more,
    }
    return api.post("/v1/reserve", body, idempotency_key=key or f"reserve-{uuid4().hex}")


def step(api: Api, reserved: Answer, what: str, body: Any = None, *, key: str | None = None) -> Answer:
    path = f"/v1/reserve/{reserved['reservation_id']}/{what}"
    return api.post(path, body, idempotency_key=key or f"{what}-{uuid4().hex}")


def balances(answer: Answer | dict[str, Any]) -> tuple[int, int, int]:
    return answer["balance"], answer["reserved_balance"], answer["effective_balance"]


def test_reserving_sets_credits_aside(priced: Api) -> None:
    # when
    answer = reserve(priced, 100, ttl_seconds=60, metadata={"job": 7})
    # then
    assert answer.status == 201
    assert answer["reservation_id"].startswith("res_")
    assert (answer["status"], answer["reserved_amount"], answer["duplicate"]) == ("active", 5000, False)
    assert (answer["estimated_units"], answer["actual_units"], answer["cost"]) == (100, None, None)
    assert answer["metadata"] == {"job": 7}
    assert balances(answer) == (10000, 5000, 5000)
    assert balances(balance(priced)) == (10000, 5000, 5000)
    lives = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(answer["created_at"])
    assert lives == timedelta(seconds=60)
    # and: not a movement
    assert [entry["kind"] for entry in history(priced)] == ["grant"]


def test_five_minutes_unless_told(priced: Api) -> None:
    answer = reserve(priced)
    lives = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(answer["created_at"])
    assert lives == timedelta(seconds=300)


@pytest.mark.parametrize("ttl_seconds", [0, -1, 30 * 24 * 3600 + 1])
def test_a_time_to_live_has_bounds(priced: Api, ttl_seconds: int) -> None:
    answer = reserve(priced, ttl_seconds=ttl_seconds)
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == "ttl_seconds"


@pytest.mark.parametrize("units", [0, -1, "0", "-0.5"])
def test_something_must_be_expected(priced: Api, units: Any) -> None:
    answer = reserve(priced, units)
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == "estimated_units"


def test_more_than_there_is_is_refused_and_leaves_nothing(priced: Api, acme: Character) -> None:
    # when
    answer = reserve(priced, 201)
    # then
    assert answer.refusal() == (402, "insufficient-credits")
    assert answer["effective_balance"] == 10000
    assert balances(balance(priced)) == (10000, 0, 10000)
    with environment_scope(acme.test.id):
        assert Reservation.objects.count() == 0
        assert not OutboxEvent.objects.filter(event__startswith="reservation").exists()


def test_a_refused_call_makes_no_customer(priced: Api) -> None:
    assert reserve(priced, by="stranger").refusal() == (402, "insufficient-credits")
    assert priced.get("/v1/customer-by-external-id/stranger").status == 404


def test_what_costs_nothing_makes_a_customer(api: Api) -> None:
    make_metric(api, key="gpu", cost_type="per_unit", unit_cost=0)
    answer = reserve(api, by="newcomer")
    assert (answer.status, answer["reserved_amount"]) == (201, 0)
    assert api.get("/v1/customer-by-external-id/newcomer")["display_name"] is None


def test_without_a_key_nothing_happens(priced: Api) -> None:
    body = {"external_customer_id": "user_1", "billable_metric_key": "gpu", "estimated_units": 1}
    assert priced.post("/v1/reserve", body).refusal() == (422, "idempotency-key-missing")
    reserved = reserve(priced)
    for what in ("commit", "release"):
        path = f"/v1/reserve/{reserved['reservation_id']}/{what}"
        assert priced.post(path).refusal() == (422, "idempotency-key-missing")


def test_the_same_key_is_the_same_reservation(priced: Api) -> None:
    # given
    first = reserve(priced, 10, key="job-1")
    # when
    again = reserve(priced, 10, key="job-1")
    # then
    assert (again.status, again["duplicate"]) == (201, True)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert {**again.json, "duplicate": False} == first.json
    assert balance(priced)["reserved_balance"] == 500
    # and
    assert reserve(priced, 11, key="job-1").refusal() == (422, "idempotency-key-reused")
    give(priced, 1000, to="user_2")
    assert reserve(priced, 10, key="job-1", by="user_2").refusal() == (422, "idempotency-key-reused")


def test_a_key_answers_even_when_the_metric_is_inactive_by_now(priced: Api) -> None:
    first = reserve(priced, 10, key="job-1")
    assert priced.patch("/v1/billable-metrics/gpu", {"status": "inactive"}).status == 200
    assert reserve(priced, 10, key="job-2").refusal() == (422, "metric-inactive")
    assert reserve(priced, 10, key="job-1")["reservation_id"] == first["reservation_id"]


def test_committing_less_gives_the_rest_back(priced: Api, acme: Character) -> None:
    # given
    reserved = reserve(priced, 100, metadata={"job": 7})
    # when
    answer = step(priced, reserved, "commit", {"actual_units": 80}, key="done-1")
    # then
    assert answer.status == 200
    assert (answer["status"], answer["actual_units"]) == ("committed", 80)
    assert (answer["cost"], answer["released_amount"]) == (4000, 1000)
    assert balances(answer) == (6000, 0, 6000)
    # and: one debit, whose source is the reservation
    entry = history(priced)[0]
    assert (entry["kind"], entry["amount"], entry["id"]) == ("debit", -4000, answer["ledger_entry_id"])
    assert entry["source"] == {"type": "reservation", "id": reserved["reservation_id"]}
    assert entry["idempotency_key"] == "done-1"
    # and: an event like any other
    with environment_scope(acme.test.id):
        event = UsageEvent.objects.get()
        assert (event.public_id, int(event.units), event.cost_mc) == (answer["event_id"], 80, 4000)
        assert event.idempotency_key == f"§reservation:{reserved['reservation_id']}"
        assert event.metadata == {"job": 7}


def test_committing_without_a_body_takes_the_estimate(priced: Api) -> None:
    answer = step(priced, reserve(priced, "12.5"), "commit")
    assert (answer.status, answer["actual_units"], answer["cost"], answer["released_amount"]) == (
        200,
        "12.5",
        625,
        0,
    )


def test_committing_nothing_debits_nothing(priced: Api) -> None:
    answer = step(priced, reserve(priced), "commit", {"actual_units": 0})
    assert (answer["cost"], answer["released_amount"], answer["ledger_entry_id"]) == (0, 5000, None)
    assert answer["event_id"].startswith("evt_")
    assert balances(answer) == (10000, 0, 10000)


def test_committing_more_takes_from_what_is_free(priced: Api) -> None:
    answer = step(priced, reserve(priced, 100), "commit", {"actual_units": 150})
    assert (answer["cost"], answer["released_amount"]) == (7500, 0)
    assert balances(answer) == (2500, 0, 2500)


def test_committing_more_than_there_is_keeps_the_hold(priced: Api, acme: Character) -> None:
    # given
    reserved = reserve(priced, 100)
    # when
    answer = step(priced, reserved, "commit", {"actual_units": 201}, key="too-much")
    # then
    assert answer.refusal() == (402, "insufficient-credits")
    assert balances(balance(priced)) == (10000, 5000, 5000)
    assert priced.get(f"/v1/reserve/{reserved['reservation_id']}")["status"] == "active"
    with environment_scope(acme.test.id):
        assert UsageEvent.objects.count() == 0
        assert ReservationStep.objects.count() == 0
    # and: after a topup the same key works
    give(priced, 1000)
    assert step(priced, reserved, "commit", {"actual_units": 201}, key="too-much")["cost"] == 10050


def test_with_allow_it_overdraws(priced: Api) -> None:
    reserved = reserve(priced, 200)
    assert priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"}).status == 200
    answer = step(priced, reserved, "commit", {"actual_units": 250})
    assert balances(answer) == (-2500, 0, -2500)


def test_a_reservation_ends_once(priced: Api) -> None:
    committed = reserve(priced, 10)
    step(priced, committed, "commit", key="c1")
    for what in ("commit", "release"):
        assert step(priced, committed, what).refusal() == (409, "reservation-ended")
    assert step(priced, committed, "extend", {"ttl_seconds": 5}).refusal() == (409, "reservation-ended")
    released = reserve(priced, 10)
    step(priced, released, "release")
    assert step(priced, released, "commit").refusal() == (409, "reservation-ended")
    assert balances(balance(priced)) == (9500, 0, 9500)


@pytest.mark.parametrize(
    ("what", "body"), [("commit", {"actual_units": 3}), ("release", None), ("extend", {"ttl_seconds": 900})]
)
def test_each_step_may_be_sent_again(priced: Api, what: str, body: Any) -> None:
    # given
    reserved = reserve(priced, 10)
    first = step(priced, reserved, what, body, key="step-1")
    # when
    again = step(priced, reserved, what, body, key="step-1")
    # then
    assert (again.status, again["duplicate"]) == (200, True)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert {**again.json, "duplicate": False} == first.json
    # and: for another reservation the key is taken
    assert step(priced, reserve(priced, 10), what, body, key="step-1").refusal() == (
        422,
        "idempotency-key-reused",
    )


def test_one_key_may_reserve_and_commit(priced: Api) -> None:
    reserved = reserve(priced, 10, key="job-1")
    assert step(priced, reserved, "extend", {"ttl_seconds": 400}, key="job-1").status == 200
    assert step(priced, reserved, "commit", key="job-1").status == 200


def test_releasing_gives_everything_back(priced: Api) -> None:
    answer = step(priced, reserve(priced, 100), "release")
    assert (answer["status"], answer["released_amount"], answer["cost"]) == ("released", 5000, None)
    assert balances(answer) == (10000, 0, 10000)
    assert [entry["kind"] for entry in history(priced)] == ["grant"]


def test_extending_counts_from_now_and_never_shortens(priced: Api, acme: Character) -> None:
    clock_set(acme.test, NOON)
    reserved = reserve(priced, 10, ttl_seconds=100)
    clock_set(acme.test, NOON + timedelta(seconds=50))
    longer = step(priced, reserved, "extend", {"ttl_seconds": 200})
    assert longer["expires_at"] == "2030-01-01T12:04:10Z"
    shorter = step(priced, reserved, "extend", {"ttl_seconds": 1})
    assert shorter["expires_at"] == "2030-01-01T12:04:10Z"


def test_time_runs_out_five_seconds_late_and_without_any_worker(priced: Api, acme: Character) -> None:
    clock_set(acme.test, NOON)
    kept, lost = reserve(priced, 10, ttl_seconds=60), reserve(priced, 20, ttl_seconds=60)
    # when: within the grace
    clock_set(acme.test, NOON + timedelta(seconds=64))
    assert balances(balance(priced)) == (10000, 1500, 8500)
    assert step(priced, kept, "commit").status == 200
    # when: at its end
    clock_set(acme.test, NOON + timedelta(seconds=65))
    # then: reads know, though nobody has done anything
    assert balances(balance(priced)) == (9500, 0, 9500)
    shown = priced.get(f"/v1/reserve/{lost['reservation_id']}")
    assert (shown["status"], shown["ended_at"]) == ("expired", "2030-01-01T12:01:05Z")
    assert (shown["released_amount"], shown["reserved_balance"]) == (1000, 0)
    for what in ("commit", "release"):
        assert step(priced, lost, what).refusal() == (410, "reservation-expired")
    assert step(priced, lost, "extend", {"ttl_seconds": 60}).refusal() == (410, "reservation-expired")


def test_the_price_is_pinned(priced: Api) -> None:
    # given
    reserved = reserve(priced, 100)
    make_rule(priced, key="gpu", cost_type="per_unit", unit_cost=9999)
    # then
    assert step(priced, reserved, "commit", {"actual_units": 110})["cost"] == 5500


def test_another_process_prices_the_same(priced: Api) -> None:
    # given: made by a process that this one is not
    reserved = reserve(priced, 100)
    service._known.clear()
    # then
    answer = step(priced, reserved, "commit", {"actual_units": 33})
    assert (answer.status, answer["cost"]) == (200, 1650)


def test_tiers_count_from_where_the_cycle_stands_at_the_commit(api: Api) -> None:
    # given: 10 mc up to 100 units, then 1
    make_metric(
        api,
        key="gpu",
        cost_type="tiered",
        tiers=[{"up_to": 100, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}],
    )
    give(api, 10000)
    reserved = reserve(api, 150)
    assert reserved["reserved_amount"] == 1050
    assert use(api, 60, metric="gpu")["estimated_cost"] == 600
    # when
    answer = step(api, reserved, "commit")
    # then: 40 units at 10, 110 at 1
    assert (answer["cost"], answer["released_amount"]) == (510, 540)
    # and: the counter has moved on
    assert use(api, 7, metric="gpu")["estimated_cost"] == 7
    service._known.clear()
    assert step(api, reserve(api, 10), "commit", {"actual_units": 5})["cost"] == 5


def test_rates_by_a_property_are_remembered_with_the_reservation(api: Api) -> None:
    rates = {
        "small": {"cost_type": "per_unit", "unit_cost": 1},
        "large": {"cost_type": "per_unit", "unit_cost": 7},
    }
    make_metric(api, key="gpu", cost_type="rates", dimension="model", rates=rates)
    give(api, 1000)
    assert reserve(api, 10).refusal() == (422, "no-rate-for-property")
    reserved = reserve(api, 10, properties={"model": "large"})
    assert reserved["reserved_amount"] == 70
    assert step(api, reserved, "commit", {"actual_units": 9})["cost"] == 63


def test_usage_cannot_take_a_reservation_s_key(priced: Api) -> None:
    reserved = reserve(priced)
    answer = use(priced, 1, metric="gpu", idempotency_key=f"§reservation:{reserved['reservation_id']}")
    assert answer.refusal() == (422, "validation-failed")


def test_webhooks_tell_of_each_turn(priced: Api, acme: Character) -> None:
    step(priced, reserve(priced, 100), "commit", {"actual_units": "80.5"})
    step(priced, reserve(priced, 10), "release")
    with environment_scope(acme.test.id):
        told = {
            event.event: event.payload
            for event in OutboxEvent.objects.filter(event__startswith="reservation")
        }
    assert told.keys() == {"reservation.created", "reservation.committed", "reservation.released"}
    committed = told["reservation.committed"]
    assert (committed["amount"], committed["reserved_amount"], committed["released_amount"]) == (
        4025,
        5000,
        975,
    )
    assert (committed["actual_units"], committed["billable_metric_key"]) == ("80.5", "gpu")
    assert committed["effective_balance"] == 5975


def test_the_list_shows_each_as_it_stands(priced: Api, acme: Character) -> None:
    clock_set(acme.test, NOON)
    committed, released = reserve(priced, 1), reserve(priced, 2)
    step(priced, committed, "commit")
    step(priced, released, "release")
    lapsed = reserve(priced, 3, ttl_seconds=10)
    clock_set(acme.test, NOON + timedelta(seconds=60))
    active = reserve(priced, 4)

    def listed(query: str = "") -> list[str]:
        answer = priced.get(f"/v1/customer-by-external-id/user_1/reservations{query}")
        assert answer.status == 200, answer
        return [row["reservation_id"] for row in answer["data"]]

    expected = [active, lapsed, released, committed]
    assert listed() == [answer["reservation_id"] for answer in expected]
    for status, answer in zip(("active", "expired", "released", "committed"), expected, strict=True):
        assert listed(f"?status={status}") == [answer["reservation_id"]]
    row = priced.get("/v1/customer-by-external-id/user_1/reservations?status=committed")["data"][0]
    assert (row["actual_units"], row["cost"]) == (1, 50)
    assert row["event_id"].startswith("evt_")
    assert priced.get("/v1/customer-by-external-id/user_1/reservations?state=x").status == 422


def test_another_tenant_finds_nothing(priced: Api, rival: Character) -> None:
    reserved = reserve(priced)
    theirs = Api(rival.test.secret)
    path = f"/v1/reserve/{reserved['reservation_id']}"
    assert theirs.get(path).refusal() == (404, "reservation-not-found")
    assert theirs.post(f"{path}/release", idempotency_key="x").refusal() == (404, "reservation-not-found")
    assert priced.get("/v1/reserve/res_nonsense").refusal() == (404, "reservation-not-found")
    assert balance(priced)["reserved_balance"] == 5000


def test_reserve_at_once_with_one_key_is_one_hold(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    answers = together(8, lambda _: reserve(Api(acme.test.secret), 10, key="at-once"))
    assert {answer.status for answer in answers} == {201}
    assert len({answer["reservation_id"] for answer in answers}) == 1
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 7
    assert balance(priced)["reserved_balance"] == 500


def test_commits_and_releases_at_once_end_it_once(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    reserved = reserve(priced, 10)
    whats = ("commit", "release") * 4
    answers = together(8, lambda index: step(Api(acme.test.secret), reserved, whats[index]))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert balance(priced)["reserved_balance"] == 0


def test_two_first_calls_make_one_customer(
    api: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    make_metric(api, key="gpu", cost_type="per_unit", unit_cost=0)
    answers = together(6, lambda _: reserve(Api(acme.test.secret), 1, by="newcomer"))
    assert {answer.status for answer in answers} == {201}
    with environment_scope(acme.test.id):
        assert Customer.objects.filter(external_id="newcomer").count() == 1


def test_each_call_is_one_round_trip(priced: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str, **arguments: Any) -> Any:
        calls.append(name)
        return original(name, **arguments)

    original = call_function
    monkeypatch.setattr(service, "call_function", counted)
    reserve(priced, 1)  # whatever is learned once
    calls.clear()
    reserved = reserve(priced, 10)
    step(priced, reserved, "extend", {"ttl_seconds": 400})
    step(priced, reserved, "commit", {"actual_units": 7})
    step(priced, reserve(priced, 10), "release")
    assert calls == [
        "metering_reserve_v1",
        "metering_reservation_extend_v1",
        "metering_reservation_commit_v1",
        "metering_reserve_v1",
        "metering_reservation_release_v1",
    ]
