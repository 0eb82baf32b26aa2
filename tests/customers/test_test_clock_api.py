"""A test environment's own time: set, advanced, removed; everything due on the way is done, each at its instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Environment, OutboxEvent
from tests.conftest import Api, World
from tests.making import balance, give, history, make_metric, use

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(days: float = 0, *, seconds: int = 0) -> str:
    instant = START + timedelta(days=days, seconds=seconds)
    return instant.isoformat().replace("+00:00", "Z")


@pytest.fixture
def clocked(api: Api) -> Api:
    """Acme's test environment on New Year's Day."""
    assert api.post("/v1/test-clock", {"frozen_time": at()}).status == 200
    return api


def advance(api: Api, days: float, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/test-clock/advance", {"to": at(days)}, **more)
    assert answer.status == 200, answer
    return dict(answer.json)


def told(world: World, event: str) -> list[OutboxEvent]:
    """Webhook events recorded, in order."""
    with environment_scope(world.id):
        return list(OutboxEvent.objects.filter(event=event).order_by("sequence"))


def present(api: Api) -> str | None:
    frozen: str | None = api.get("/v1/test-clock")["frozen_time"]
    return frozen


def test_an_environment_goes_by_the_systems_time_until_a_clock_is_set(api):
    assert api.get("/v1/test-clock")["frozen_time"] is None

    answer = api.post("/v1/test-clock", {"frozen_time": "2026-01-01T01:00:00+01:00"})

    assert answer.status == 200
    assert answer["frozen_time"] == "2026-01-01T00:00:00Z"
    assert (answer["instants"], answer["next_due_at"]) == (0, None)
    assert api.get("/v1/test-clock").json == {
        "frozen_time": "2026-01-01T00:00:00Z",
        "now": "2026-01-01T00:00:00Z",
        "due": [],
    }


def test_time_stands_still(clocked):
    give(clocked, 1000)

    assert [entry["occurred_at"] for entry in history(clocked)] == [at()]
    assert balance(clocked)["as_of"] == at()
    assert clocked.get("/v1/customer-by-external-id/user_1")["created_at"] == at()


def test_everything_due_up_to_and_including_the_instant_is_done_at_its_own_time(clocked, acme):
    give(clocked, 1000, expires_at=at(10))
    give(clocked, 500, effective_at=at(5))
    give(clocked, 300, expires_at=at(20))

    assert advance(clocked, 20) == {
        "frozen_time": at(20),
        "advanced_from": at(),
        "instants": 3,
        "done": {"credits": 3},
        "next_due_at": None,
    }
    moved = [(entry["kind"], entry["amount"], entry["occurred_at"]) for entry in history(clocked)][:3]
    assert moved == [("expire", -300, at(20)), ("expire", -1000, at(10)), ("grant", 500, at(5))]
    expired = told(acme.test, "credit.expired")
    assert [event.occurred_at for event in expired] == [
        START + timedelta(days=10),
        START + timedelta(days=20),
    ]
    assert balance(clocked)["balance"] == 500
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_a_hold_ends_with_its_grace(clocked, acme):
    make_metric(clocked)
    give(clocked, 5000)
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "estimated_units": 2,
        "ttl_seconds": 3600,
    }
    held = clocked.post("/v1/reserve", body, idempotency_key="hold-1")
    assert held.status == 201

    assert advance(clocked, 1 / 24)["next_due_at"] == at(seconds=3605)
    assert balance(clocked)["reserved_balance"] == 2000
    assert advance(clocked, 1)["done"] == {"credits": 1}
    assert balance(clocked)["reserved_balance"] == 0
    ended = clocked.get(f"/v1/reserve/{held['reservation_id']}")
    assert (ended["status"], ended["ended_at"]) == ("expired", at(seconds=3605))
    (event,) = told(acme.test, "reservation.expired")
    assert event.occurred_at == START + timedelta(seconds=3605)


def test_what_is_due_a_microsecond_later_is_left_alone(clocked):
    give(clocked, 1000, expires_at="2026-01-11T00:00:00.000001Z")

    assert advance(clocked, 10)["done"] == {}
    assert balance(clocked)["balance"] == 1000


def test_advancing_to_the_next_event_stops_there(clocked):
    give(clocked, 1000, expires_at=at(10))
    give(clocked, 300, expires_at=at(20), to="user_2")
    due = clocked.get("/v1/test-clock")["due"]
    assert due == [{"type": "credits", "at": at(10), "what": "the credits of user_1"}]

    answers = [clocked.post("/v1/test-clock/advance-to-next", {}) for _ in range(3)]

    assert [(each["frozen_time"], each["instants"]) for each in answers] == [
        (at(10), 1),
        (at(20), 1),
        (at(20), 0),
    ]
    assert (balance(clocked)["balance"], balance(clocked, of="user_2")["balance"]) == (0, 0)


def test_a_retry_of_advance_to_next_goes_no_further(clocked):
    give(clocked, 1000, expires_at=at(10))
    give(clocked, 300, expires_at=at(20))

    first, again = (
        clocked.post("/v1/test-clock/advance-to-next", {}, idempotency_key="step-1") for _ in range(2)
    )

    assert again.bytes == first.bytes
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert present(clocked) == at(10)


def test_an_advance_sent_twice_advances_once_and_answers_the_same(clocked):
    give(clocked, 1000, expires_at=at(10))
    first = clocked.post("/v1/test-clock/advance", {"to": at(15)}, idempotency_key="a")
    advance(clocked, 30)

    again = clocked.post("/v1/test-clock/advance", {"to": at(15)}, idempotency_key="a")
    other = clocked.post("/v1/test-clock/advance", {"to": at(40)}, idempotency_key="a")

    assert (again.status, again.bytes, present(clocked)) == (200, first.bytes, at(30))
    assert other.refusal() == (422, "idempotency-key-reused")


def test_a_refused_advance_is_not_remembered(api):
    assert api.post("/v1/test-clock/advance", {"to": at(1)}, idempotency_key="a").refusal() == (
        409,
        "test-clock-missing",
    )
    api.post("/v1/test-clock", {"frozen_time": at()})

    assert api.post("/v1/test-clock/advance", {"to": at(1)}, idempotency_key="a").status == 200


def test_time_never_runs_backwards(clocked):
    advance(clocked, 10)

    answer = clocked.post("/v1/test-clock/advance", {"to": at(9)})

    assert answer.refusal() == (409, "test-clock-backwards")
    assert (answer["frozen_time"], present(clocked)) == (at(10), at(10))
    assert advance(clocked, 10)["instants"] == 0


@pytest.mark.parametrize(
    ("fact", "what"),
    [
        (lambda api: give(api, 1000), "a movement of the credits of user_1"),
        (lambda api: give(api, 1000, effective_at=at(30)), "a grant of credits that start later"),
        (make_metric, "a metering rule"),
    ],
)
def test_a_clock_is_not_set_to_before_what_has_happened(clocked, fact, what):
    advance(clocked, 10)
    fact(clocked)

    answer = clocked.post("/v1/test-clock", {"frozen_time": at(9)})

    assert answer.refusal() == (409, "test-clock-behind-facts")
    assert (answer["latest_fact"], answer["latest_fact_at"], present(clocked)) == (what, at(10), at(10))
    assert clocked.post("/v1/test-clock", {"frozen_time": at(10)}).status == 200


def test_an_event_that_was_only_metered_is_a_fact_too(clocked):
    clocked.post("/v1/metrics", {"key": "seen", "name": "Seen"})
    give(clocked, 1)
    advance(clocked, 10)
    event = {"external_customer_id": "user_1", "metric_key": "seen", "value": 1, "idempotency_key": "e"}
    assert clocked.post("/v1/events", event).status == 202

    answer = clocked.post("/v1/test-clock", {"frozen_time": at(9)})

    assert (answer.refusal(), answer["latest_fact"]) == ((409, "test-clock-behind-facts"), "a usage event")


def test_with_nothing_after_it_a_clock_may_be_set_back(clocked):
    give(clocked, 1000)
    advance(clocked, 10)

    assert clocked.post("/v1/test-clock", {"frozen_time": at(3)})["frozen_time"] == at(3)
    assert present(clocked) == at(3)


def test_setting_a_clock_forward_skips_nothing(clocked):
    give(clocked, 1000, expires_at=at(10))

    answer = clocked.post("/v1/test-clock", {"frozen_time": at(365)})

    assert (answer["frozen_time"], answer["instants"], answer["done"]) == (at(365), 1, {"credits": 1})
    assert history(clocked)[0]["occurred_at"] == at(10)


def test_a_removed_clock_gives_the_systems_time_back(clocked, acme):
    give(clocked, 1000)

    assert clocked.delete("/v1/test-clock").status == 204
    assert present(clocked) is None
    assert Environment.objects.get(id=acme.test.id).frozen_at is None
    assert balance(clocked)["as_of"] > "2026-11"
    assert clocked.delete("/v1/test-clock").refusal() == (409, "test-clock-missing")


def test_a_clock_stays_while_something_lies_in_the_systems_future(clocked):
    advance(clocked, 365 * 100)
    give(clocked, 1000)

    assert clocked.delete("/v1/test-clock").refusal() == (409, "test-clock-behind-facts")
    assert present(clocked) == at(365 * 100)


def test_a_live_environment_has_none(acme):
    live = Api(acme.live.secret)

    answers = [
        live.get("/v1/test-clock"),
        live.post("/v1/test-clock", {"frozen_time": at()}),
        live.post("/v1/test-clock/advance", {"to": at()}),
        live.post("/v1/test-clock/advance-to-next", {}),
        live.delete("/v1/test-clock"),
    ]

    assert {answer.refusal() for answer in answers} == {(403, "test-clock-on-live")}
    assert Environment.objects.get(id=acme.live.id).frozen_at is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"frozen_time": "yesterday"},
        {"frozen_time": "2026-01-01T00:00:00"},
        {"frozen_time": "1969-12-31T23:59:59Z"},
        {"frozen_time": "3000-01-01T00:00:00Z"},
        {"frozen_time": 1767225600},
        {"frozen_time": at(), "to": at()},
    ],
)
def test_what_is_no_time_is_refused(api, body):
    assert api.post("/v1/test-clock", body).refusal() == (422, "validation-failed")
    assert present(api) is None


def test_another_tenants_time_is_his_own(clocked, rival):
    advance(clocked, 10)

    assert present(Api(rival.test.secret)) is None


def test_it_takes_the_scope_of_subscriptions(api, acme):
    made = api.post("/v1/api-keys", {"name": "usage only", "scopes": ["usage:write", "catalog:write"]})
    narrow = Api(made["secret"])

    assert narrow.get("/v1/test-clock").refusal() == (403, "scope-missing")
    assert narrow.post("/v1/test-clock", {"frozen_time": at()}).refusal() == (403, "scope-missing")
    assert present(api) is None


def test_who_moved_the_time_and_why_is_audited(clocked, acme):
    clocked.post("/v1/test-clock/advance", {"to": at(3), "reason": "the third day"})
    clocked.delete("/v1/test-clock")

    with environment_scope(acme.test.id):
        records = list(AuditRecord.objects.filter(action__startswith="test_clock.").order_by("id"))
    assert [(record.action, record.changes["frozen_time"], record.reason) for record in records] == [
        ("test_clock.set", [None, at()], ""),
        ("test_clock.advanced", [at(), at(3)], "the third day"),
        ("test_clock.removed", [at(3), None], ""),
    ]
    assert {record.actor for record in records} == {acme.test.caller.actor}


def test_usage_is_counted_where_the_clock_stands(clocked):
    make_metric(clocked)
    give(clocked, 5000)
    advance(clocked, 40)

    assert use(clocked, 2).status == 202
    assert history(clocked)[0]["occurred_at"] == at(40)
