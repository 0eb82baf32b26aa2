"""Checks that would wait for each other are asked together, and each is answered as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.db import transaction
from django.test import override_settings

from customers.kernel import groups as module
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.groups import Groups, Tell
from customers.kernel.lanes import lanes
from metering.selectors.config import config_current
from metering.services import check_groups
from metering.services.check_groups import Check, check_ask
from tests.conftest import Api, Character, World, run_together
from tests.making import give, make_metric, make_rule, use


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in the web: connections are shared. And all the patience that a test needs to have a group come together."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60)
    lanes.close()
    with override_settings(DATABASE_LANES=True):
        yield
    lanes.close()


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, and user_1 with 5,000 mc."""
    make_metric(api)
    give(api, 5_000)
    return api


class Watched:
    """The groups of one test: how many checks each statement for several took, and a first one that takes its time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go_on = Event()
        self.groups: Groups[Check, Any] = Groups(alone=self._alone, together=self._together, most=32)

    def _alone(self, check: Check) -> Any:
        if check.reference == "first":
            assert self.go_on.wait(20)
        return check_groups._ask_alone(check)

    def _together(self, checks: Sequence[Check], tell: Tell[Any]) -> Sequence[Any]:
        self.sizes.append(len(checks))
        return check_groups._ask_together(checks, tell)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched()
    monkeypatch.setattr(check_groups, "_groups", made.groups)
    return made


def until(holds: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(4000):
        if holds():
            return
        pause.wait(0.005)
    raise AssertionError("it never came to that")


def check_of(
    world: World, reference: str = "user_1", *, key: str = "api_call", by: str = "external"
) -> Check:
    config = config_current(world.id)
    metric = config.metric(key)
    assert metric is not None
    return Check(world.id, config.version, by, reference, metric.id, key, None, system_now())


def behind_the_first(
    watched: Watched, checks: list[Check], *, meanwhile: Callable[[], object] = lambda: None
) -> list[Any]:
    """What those are told that are asked while a first check is under way."""

    def deed(index: int) -> Any:
        if index == len(checks) + 1:
            until(lambda: len(watched.groups._waiting) == len(checks))
            meanwhile()
            return watched.go_on.set()
        if index == 0:
            return check_ask(checks[0]._replace(reference="first"))
        until(lambda: watched.groups._under_way > 0)
        try:
            return check_ask(checks[index - 1])
        except psycopg.DataError as error:
            return error

    return run_together(len(checks) + 2, deed)[1:-1]


def test_alone_a_check_asks_for_itself(priced: Api, watched: Watched) -> None:
    for _ in range(3):
        assert priced.get("/v1/customer-by-external-id/user_1/entitlements/api_call")["allowed"]
    assert watched.sizes == []


def test_what_waits_is_asked_together_and_answered_as_if_alone(
    priced: Api,
    acme: Character,
    rival: Character,
    watched: Watched,
) -> None:
    # given customers of two tenants, names that need quoting, a stranger, and a catalogue that was another
    odd = 'a "quoted", {braced} \\ name, NULL, é'
    give(priced, 7_000, to=quote(odd, safe=""))
    theirs = Api(rival.test.secret)
    make_metric(theirs)
    give(theirs, 9_000)
    by_id = priced.get("/v1/customer-by-external-id/user_1")["id"]
    mine = check_of(acme.test)
    checks = [
        mine,
        check_of(acme.test, odd),
        check_of(rival.test),
        check_of(acme.test, "stranger"),
        mine._replace(reference=by_id, by="id"),
        mine._replace(config_version=mine.config_version - 1),
        mine._replace(reference="not an id", by="id"),
    ]
    # when
    answers = behind_the_first(watched, checks)
    # then
    assert watched.sizes == [len(checks)]
    assert [(each.status, each.balance) for each in answers[:5]] == [
        ("found", 5_000),
        ("found", 7_000),
        ("found", 9_000),
        ("customer-not-found", 0),
        ("found", 5_000),
    ]
    assert answers[5].status == "stale-config"
    assert answers == [check_groups._ask_alone(check) for check in checks]


def test_a_check_sees_what_was_acknowledged_before_it_was_asked(
    priced: Api,
    acme: Character,
    watched: Watched,
) -> None:
    # given checks that wait behind one that began long ago, when credits are used
    checks = [check_of(acme.test), check_of(acme.test)]
    answers = behind_the_first(watched, checks, meanwhile=lambda: use(priced, 2))
    # then
    assert watched.sizes == [2]
    assert [each.balance for each in answers] == [3_000] * 2


def test_one_that_cannot_be_asked_does_not_spoil_the_others(
    priced: Api,
    acme: Character,
    watched: Watched,
) -> None:
    checks = [check_of(acme.test), check_of(acme.test, "nul \x00"), check_of(acme.test)]

    sound, broken, other = behind_the_first(watched, checks)
    assert watched.sizes == [3]
    assert isinstance(broken, psycopg.DataError)
    assert [sound.balance, other.balance] == [5_000] * 2
    assert watched.groups._under_way == 0


def test_who_is_in_a_transaction_or_an_environment_asks_alone(
    priced: Api, acme: Character, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(check_groups, "_groups")
    with environment_scope(acme.test.id):
        assert check_ask(check_of(acme.test)).balance == 5_000
    with transaction.atomic():
        assert check_ask(check_of(acme.test)).balance == 5_000


def test_a_price_by_the_cycle_is_asked_alone(priced: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    tiers = [{"up_to": 2, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_rule(priced, cost_type="tiered", tiers=tiers)
    monkeypatch.delattr(check_groups, "_groups")
    found = priced.get("/v1/customer-by-external-id/user_1/entitlements/api_call")
    assert (found["allowed"], found["estimated_cost"]) == (True, 10)


def test_in_a_crowd_everyone_sees_their_own_last_write(
    priced: Api, watched: Watched, together: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    crowd, turns = 12, 10

    def life(number: int) -> list[tuple[int, int]]:
        who = f"crowd_{number}"
        give(priced, 1_000 * (turns + number), to=who)
        told = []
        for _ in range(turns):
            assert use(priced, 1, by=who).status == 202
            found = priced.get(f"/v1/customer-by-external-id/{who}/entitlements/api_call")
            told.append((found["balance"], found["affordable_units"]))
        return told

    for number, told in enumerate(together(crowd, life)):
        left = [turns + number - done for done in range(1, turns + 1)]
        assert told == [(1_000 * units, units) for units in left]
    assert max(watched.sizes, default=0) > 1
