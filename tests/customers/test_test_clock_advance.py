"""How a clock advances: instant by instant, committed as it goes, and nothing that is due twice or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billing.models import Hold, LedgerEntry
from billing.services.sweeps import accounts_settle
from billing.services.verification import ledger_verify
from customers.errors import Conflict, TestClockStuck
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Environment
from customers.services import due_work
from customers.services.due_work import Moment, due_work_register
from customers.services.test_clock import clock_advance, clock_set
from tests.conftest import Api, Character, World, run_together
from tests.making import balance, give, history, make_metric

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def frozen(world: World) -> datetime | None:
    return Environment.objects.get(id=world.id).frozen_at


@pytest.fixture
def clocked(api: Api) -> Api:
    assert api.post("/v1/test-clock", {"frozen_time": text(START)}).status == 200
    return api


class Bell:
    """A source of the test's own: things due at instants, in one environment."""

    def __init__(self, world: World, *instants: datetime) -> None:
        self.world = world
        self.due = sorted(instants)
        self.rung: list[datetime] = []
        self.fault: Callable[[datetime], None] | None = None

    def next_due(self, *, environment_id: UUID) -> Moment | None:
        mine = self.due if environment_id == self.world.id else []
        return Moment(at=mine[0], what="the bell") if mine else None

    def run(self, *, environment_id: UUID, at: datetime) -> int:
        if environment_id != self.world.id:
            return 0
        if self.fault is not None:
            self.fault(at)
        count = sum(instant <= at for instant in self.due)
        self.rung += [at] * count
        self.due = self.due[count:]
        return count


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(due_work, "_sources", list(due_work._sources))


class Deaf(Bell):
    """It is never done."""

    def run(self, *, environment_id: UUID, at: datetime) -> int:
        return 0


def registered(bell: Bell, name: str = "bells") -> Bell:
    due_work_register(name=name, next_due=bell.next_due, run=bell.run)
    return bell


@contextmanager
def within(world: World) -> Iterator[None]:
    with environment_scope(world.id):
        yield


def test_each_source_runs_at_each_instant_and_sees_that_time(clocked, acme, sources):
    seen: list[tuple[datetime, datetime | None]] = []
    bell = registered(Bell(acme.test, START + DAY, START + 3 * DAY, START + 9 * DAY))
    bell.fault = lambda at: seen.append((at, frozen(acme.test)))
    give(clocked, 1000, expires_at=text(START + 2 * DAY))

    answer = clocked.post("/v1/test-clock/advance", {"to": text(START + 5 * DAY)})

    assert (answer["instants"], answer["done"]) == (3, {"credits": 1, "bells": 2})
    assert answer["next_due_at"] == text(START + 9 * DAY)
    assert seen == [(START + day * DAY, START + day * DAY) for day in (1, 2, 3)]


def test_what_one_source_makes_due_for_another_is_done_at_the_same_instant(clocked, acme, sources):
    early, late = Bell(acme.test), Bell(acme.test, START + DAY)
    late.fault = lambda at: early.due.append(at) if late.due else None
    registered(early, "early")
    registered(late, "late")

    answer = clocked.post("/v1/test-clock/advance", {"to": text(START + 2 * DAY)})

    assert (answer["instants"], answer["done"]) == (1, {"early": 1, "late": 1})
    assert early.rung == late.rung == [START + DAY]


def test_a_source_that_finds_no_end_is_named_and_the_clock_stands_before_it(clocked, acme, sources):
    registered(Deaf(acme.test, START + 2 * DAY), "deaf bells")
    give(clocked, 1000, expires_at=text(START + DAY))
    give(clocked, 500, expires_at=text(START + 2 * DAY))

    answer = clocked.post("/v1/test-clock/advance", {"to": text(START + 5 * DAY)})

    assert answer.refusal() == (409, "test-clock-stuck")
    assert (answer["source"], answer["due_at"], answer["what"]) == (
        "deaf bells",
        text(START + 2 * DAY),
        "the bell",
    )
    # The first day is done, the second not even half.
    assert frozen(acme.test) == START + DAY
    with within(acme.test):
        assert [entry.amount_mc for entry in LedgerEntry.objects.filter(kind="expire")] == [-1000]


def test_work_that_is_refused_stops_the_clock_before_it_and_a_retry_goes_on(clocked, acme, sources):
    bell = registered(Bell(acme.test, START + 3 * DAY))

    def broken(at: datetime) -> None:
        if at >= START + 3 * DAY:
            raise Conflict("The bell is cracked.")

    bell.fault = broken
    for day in (1, 3, 4):
        give(clocked, 100, expires_at=text(START + day * DAY))
    wish = {"to": text(START + 5 * DAY)}

    refused = clocked.post("/v1/test-clock/advance", wish, idempotency_key="go")
    assert refused.refusal() == (409, "test-clock-stuck")
    assert (refused["source"], refused["cause"]) == ("bells", "conflict")
    assert "The bell is cracked." in refused["detail"]
    assert (frozen(acme.test), len(history(clocked))) == (START + DAY, 4)

    bell.fault = None
    again = clocked.post("/v1/test-clock/advance", wish, idempotency_key="go")
    assert (again.status, again["advanced_from"], again["instants"]) == (200, text(START + DAY), 2)
    assert [entry["occurred_at"] for entry in history(clocked)][:3] == [
        text(START + day * DAY) for day in (4, 3, 1)
    ]
    assert bell.rung == [START + 3 * DAY]


def test_an_interrupted_advance_leaves_the_clock_at_the_last_instant_that_is_done(clocked, acme, sources):
    bell = registered(Bell(acme.test, START + 2 * DAY))

    def killed(at: datetime) -> None:
        if at == START + 2 * DAY:
            raise SystemExit

    bell.fault = killed
    give(clocked, 100, expires_at=text(START + DAY))
    give(clocked, 100, expires_at=text(START + 2 * DAY))
    with pytest.raises(SystemExit), within(acme.test):
        clock_advance(caller=acme.test.caller, to=START + 5 * DAY, now=START)

    assert frozen(acme.test) == START + DAY
    bell.fault = None
    assert clocked.post("/v1/test-clock/advance", {"to": text(START + 5 * DAY)})["instants"] == 1
    assert [entry["amount"] for entry in history(clocked)] == [-100, -100, 100, 100]
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_two_advances_at_once_do_everything_once_and_end_at_the_later_time(clocked, acme):
    for day in range(1, 21):
        give(clocked, 100, expires_at=text(START + day * DAY), to=f"user_{day % 3}")

    def advance(index: int) -> Any:
        return Api(acme.test.secret).post(
            "/v1/test-clock/advance", {"to": text(START + (10 + 10 * (index % 2)) * DAY)}
        )

    answers = run_together(6, advance)

    assert {answer.status for answer in answers} <= {200, 409}
    assert any(answer.status == 200 and answer["frozen_time"] == text(START + 20 * DAY) for answer in answers)
    assert {answer.refusal()[1] for answer in answers if answer.status == 409} <= {"test-clock-backwards"}
    assert frozen(acme.test) == START + 20 * DAY
    with within(acme.test):
        expired = list(LedgerEntry.objects.filter(kind="expire").order_by("occurred_at"))
        assert [entry.occurred_at for entry in expired] == [START + day * DAY for day in range(1, 21)]
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_usage_while_the_clock_advances_neither_fails_nor_breaks_the_ledger(clocked, acme):
    make_metric(clocked, cost_type="flat", unit_cost=1)
    give(clocked, 1_000_000)
    for day in range(1, 40):
        give(clocked, 100, expires_at=text(START + day * DAY), priority=5)

    def deed(index: int) -> list[int]:
        api = Api(acme.test.secret)
        if index == 0:
            return [api.post("/v1/test-clock/advance", {"to": text(START + 50 * DAY)}).status]
        wish = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
        return [
            api.post("/v1/usage", {**wish, "idempotency_key": f"{index}-{turn}"}).status for turn in range(15)
        ]

    results = run_together(4, deed)

    assert results == [[200], [202] * 15, [202] * 15, [202] * 15]
    assert ledger_verify(environment_id=acme.test.id).findings == []
    assert history(clocked, query="?kind=debit&limit=100") != []


def test_sweeps_leave_the_environment_to_its_clock(clocked, acme):
    make_metric(clocked)
    give(clocked, 5000, expires_at=text(START + DAY))
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "estimated_units": 2,
        "ttl_seconds": 60,
    }
    assert clocked.post("/v1/reserve", body, idempotency_key="hold").status == 201

    accounts_settle(now=system_now() + 1000 * DAY)

    with within(acme.test):
        assert [hold.state for hold in Hold.objects.all()] == ["active"]
        assert LedgerEntry.objects.filter(kind="expire").count() == 0
    assert balance(clocked)["reserved_balance"] == 2000


def test_more_accounts_than_a_batch_are_settled_at_one_instant(clocked, acme, monkeypatch):
    monkeypatch.setattr("billing.services.due_source._ACCOUNTS_OF_A_BATCH", 3)
    for number in range(10):
        give(clocked, 100, expires_at=text(START + DAY), to=f"user_{number}")

    answer = clocked.post("/v1/test-clock/advance", {"to": text(START + DAY)})

    assert (answer["instants"], answer["done"]) == (1, {"credits": 10})
    assert {balance(clocked, of=f"user_{number}")["balance"] for number in range(10)} == {0}


def test_services_raise_what_they_say(acme):
    with within(acme.test):
        clock_set(caller=acme.test.caller, frozen_time=START, now=system_now())
    assert frozen(acme.test) == START
    assert issubclass(TestClockStuck, Conflict)


def test_a_clock_set_while_the_environment_lives_does_what_is_due_first(acme: Character, api: Api) -> None:
    give(api, 1000, expires_at=text(system_now() + DAY))

    answer = api.post("/v1/test-clock", {"frozen_time": text(system_now() + 2 * DAY)})

    assert (answer.status, answer["done"]) == (200, {"credits": 1})
    assert balance(api)["balance"] == 0
