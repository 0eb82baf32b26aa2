"""Group commit: what waits for each other is recorded together, and nobody suffers from another's event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event
from typing import Any

import psycopg
import pytest
from django.test import override_settings

from customers.kernel import groups as module
from customers.kernel.clock import elapsed_seconds, system_now
from metering.services import group_commit, usage_batch
from metering.services.group_commit import GroupCommit
from metering.services.usage import UsageInput, UsageRecorded, UsageWish, usage_record
from metering.services.usage_batch import usages_record
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, make_rule, use


@pytest.fixture(autouse=True)
def grouped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One lane, and all the patience that a test needs to have a group come together."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60)
    with override_settings(USAGE_GROUP_COMMIT=True, USAGE_GROUP_COMMIT_LANES=1):
        yield


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, and user_1 with 100,000 mc."""
    make_metric(api)
    give(api, 100_000)
    return api


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each set-based call took."""
    sizes: list[int] = []

    def watched(*, wishes: Any, **arguments: Any) -> Any:
        sizes.append(len(wishes))
        return usages_record(wishes=wishes, **arguments)

    monkeypatch.setattr(group_commit, "usages_record", watched)
    return sizes


@pytest.fixture
def busy_lane(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The first call alone does not end before the returned function is called: a group forms behind it."""
    go_on = Event()

    def slow(**arguments: Any) -> UsageRecorded:
        if arguments["usage"].key == "first":
            assert go_on.wait(20)
        return usage_record(**arguments)

    monkeypatch.setattr(group_commit, "usage_record", slow)
    return go_on.set


def wish(world: Any, key: str, *, units: int = 1, who: str = "user_1", metric: str = "api_call") -> UsageWish:
    usage = UsageInput(by="external", reference=who, metric_key=metric, units=units, key=key)
    return UsageWish(caller=world.caller, usage=usage)


def waiting(commit: GroupCommit, count: int) -> None:
    pause = Event()
    for _ in range(2000):
        if len(commit.groups._waiting) == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{len(commit.groups._waiting)} wait, not {count}")


def recorded(commit: GroupCommit, each: UsageWish, now: datetime) -> Any:
    try:
        return commit.record(each, now)
    except Exception as refusal:
        return refusal


def behind_the_first(
    commit: GroupCommit,
    wishes: list[UsageWish],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> list[Any]:
    """The outcomes of one call, and of those that come while it is under way."""
    now = system_now()

    def deed(index: int) -> Any:
        if index == len(wishes):
            waiting(commit, len(wishes) - 1)
            return busy_lane()
        if index:
            until_under_way(commit)
        return recorded(commit, wishes[index], now)

    return together(len(wishes) + 1, deed)[:-1]


def test_alone_a_request_goes_its_own_way(priced: Api, groups: list[int]) -> None:
    for _ in range(3):
        assert use(priced, 1).status == 202
    assert groups == []
    assert balance(priced)["balance"] == 97_000


def test_what_waits_is_recorded_together_each_with_its_own_outcome(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> None:
    # given a call under way, and five that come meanwhile
    commit, world = GroupCommit(), acme.test
    wishes = [
        wish(world, "first"),
        wish(world, "a", units=2),
        wish(world, "b", units=1000),
        wish(world, "c", metric="nothing"),
        wish(world, "d", who="stranger"),
        wish(world, "e", units=3),
    ]

    # when it ends
    outcomes = behind_the_first(commit, wishes, busy_lane, together)
    # then
    assert groups == [5]
    told = [getattr(each, "code", None) or each.cost_mc for each in outcomes]
    assert told == [1000, 2000, "insufficient-credits", "metric-not-found", "insufficient-credits", 3000]
    assert balance(priced)["balance"] == 94_000
    assert {each["idempotency_key"] for each in history(priced) if each["kind"] == "debit"} == {
        "first",
        "a",
        "e",
    }


def until_under_way(commit: GroupCommit) -> None:
    pause = Event()
    while commit.groups._under_way == 0:
        pause.wait(0.005)


def test_a_group_that_fails_is_taken_apart(
    priced: Api,
    acme: Character,
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a database that takes no groups today
    def broken(**_arguments: Any) -> Any:
        raise RuntimeError("no groups today")

    monkeypatch.setattr(group_commit, "usages_record", broken)
    commit, now = GroupCommit(), system_now()

    def deed(index: int) -> Any:
        if index == 5:
            waiting(commit, 4)
            return busy_lane()
        if index:
            until_under_way(commit)
        return recorded(commit, wish(acme.test, "first" if index == 0 else f"k{index}"), now)

    # when
    outcomes = together(6, deed)[:-1]
    # then each was recorded singly, and the next call finds the lane free
    assert [each.duplicate for each in outcomes] == [False] * 5
    assert balance(priced)["balance"] == 95_000
    assert commit.groups._under_way == 0
    assert recorded(commit, wish(acme.test, "last"), now).duplicate is False


def test_environments_are_never_mixed(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> None:
    # given
    live = Api(acme.live.secret)
    make_metric(live)
    give(live, 100_000)
    commit, now = GroupCommit(), system_now()

    def deed(index: int) -> Any:
        if index == 7:
            waiting(commit, 6)
            return busy_lane()
        if index:
            until_under_way(commit)
        world = acme.live if index % 2 else acme.test
        return recorded(commit, wish(world, "first" if index == 0 else f"k{index}"), now)

    # when
    together(8, deed)
    # then
    assert groups == [3, 3]
    assert balance(priced)["balance"] == 96_000
    assert balance(live)["balance"] == 97_000


def test_one_key_in_one_group_is_one_event(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> None:
    commit, now = GroupCommit(), system_now()

    def deed(index: int) -> Any:
        if index == 4:
            waiting(commit, 3)
            return busy_lane()
        if index:
            until_under_way(commit)
        return recorded(commit, wish(acme.test, "first" if index == 0 else "same"), now)

    outcomes = together(5, deed)[:-1]
    assert groups == [3]
    assert sorted(each.duplicate for each in outcomes[1:]) == [False, True, True]
    assert len({each.event_id for each in outcomes[1:]}) == 1
    assert balance(priced)["balance"] == 98_000


def test_through_the_api_a_crowd_pays_exactly(priced: Api, together: Callable[..., list[Any]]) -> None:
    # given 100 credits, and 32 clients that want five each
    answers = together(32, lambda _: [use(priced, 1) for _ in range(5)])
    # then
    statuses = [answer.status for each in answers for answer in each]
    assert (statuses.count(202), statuses.count(402)) == (100, 60)
    assert balance(priced)["balance"] == 0


def test_a_new_price_counts_for_a_group_too(priced: Api, together: Callable[..., list[Any]]) -> None:
    make_rule(priced, cost_type="flat", unit_cost=10)
    answers = together(16, lambda _: use(priced, 7))
    assert {answer["estimated_cost"] for answer in answers} == {10}
    assert balance(priced)["balance"] == 100_000 - 160


def test_what_is_priced_by_the_customer_goes_beside_a_busy_lane_until_they_were_seen(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> None:
    # given a lane that is busy, and a metric with a price of user_2's own
    make_metric(priced, key="own")
    give(priced, 100_000, to="user_2")
    customer = priced.get("/v1/customer-by-external-id/user_2")["id"]
    make_rule(priced, key="own", cost_type="flat", unit_cost=7, customer_id=customer)
    commit, now, ended = GroupCommit(), system_now(), []

    def deed(index: int) -> Any:
        if index == 0:
            return recorded(commit, wish(acme.test, "first"), now)
        until_under_way(commit)
        outcome = recorded(commit, wish(acme.test, f"k{index}", metric="own", who=f"user_{index}"), now)
        ended.append(index)
        if len(ended) == 2:
            busy_lane()
        return outcome

    # when
    outcomes = together(3, deed)
    # then neither waited for it
    assert [each.cost_mc for each in outcomes] == [1000, 1000, 7]
    assert groups == []
    assert commit._apart == set()


def test_what_is_priced_by_the_cycle_or_a_customer_seen_before_is_recorded_together(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
) -> None:
    # given tiers that end after two units, a price of user_2's own, and an event of it seen
    tiers = [{"up_to": 2, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(priced, key="tiered", cost_type="tiered", tiers=tiers)
    make_metric(priced, key="own")
    give(priced, 100_000, to="user_2")
    customer = priced.get("/v1/customer-by-external-id/user_2")["id"]
    make_rule(priced, key="own", cost_type="flat", unit_cost=7, customer_id=customer)
    commit, world = GroupCommit(), acme.test
    recorded(commit, wish(world, "seen", metric="own", who="user_2"), system_now())
    wishes = [
        wish(world, "first"),
        *(wish(world, f"t{number}", metric="tiered") for number in range(3)),
        wish(world, "own", metric="own", who="user_2"),
        wish(world, "plain"),
    ]

    # when
    outcomes = behind_the_first(commit, wishes, busy_lane, together)
    # then the three stand one behind the other in the cycle
    assert groups == [5]
    assert sorted(each.cost_mc for each in outcomes[1:4]) == [1, 10, 10]
    assert [each.cost_mc for each in outcomes[4:]] == [7, 1000]
    assert balance(priced)["balance"] == 100_000 - 1000 - 21 - 1000
    assert balance(priced, of="user_2")["balance"] == 100_000 - 14


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> GroupCommit:
    """Three were answered just now, and there is all the time they need to come again."""
    monkeypatch.setattr(module, "RETURN_SECONDS", 60)
    monkeypatch.setattr(module, "LINGER_SECONDS", 60)
    commit = GroupCommit()
    commit.groups._crowd, commit.groups._moved_at = 3, elapsed_seconds()
    return commit


def test_who_was_answered_just_now_is_waited_for(
    priced: Api, acme: Character, groups: list[int], crowd: GroupCommit, together: Callable[..., list[Any]]
) -> None:
    # when they come again
    outcomes = together(3, lambda index: recorded(crowd, wish(acme.test, f"k{index}"), system_now()))
    # then they are one group
    assert groups == [3]
    assert [each.cost_mc for each in outcomes] == [1000] * 3
    assert (crowd.groups._under_way, crowd.groups._crowd, crowd.groups._lingering) == (0, 3, None)


def test_nobody_is_waited_for_longer_than_a_moment(
    priced: Api, acme: Character, groups: list[int], crowd: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.001)
    # when only one comes again
    assert recorded(crowd, wish(acme.test, "k"), system_now()).cost_mc == 1000
    # then it is alone, and the next one waits for nobody
    assert groups == []
    assert (crowd.groups._under_way, crowd.groups._crowd, crowd.groups._lingering) == (0, 1, None)


def test_who_was_here_long_ago_is_not_waited_for(
    priced: Api, acme: Character, groups: list[int], crowd: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETURN_SECONDS", 0)
    assert recorded(crowd, wish(acme.test, "k"), system_now()).cost_mc == 1000
    assert (groups, crowd.groups._crowd) == ([], 1)


def test_nobody_waits_behind_a_call_that_does_not_end(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a call that stands still, and two that wait behind it
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    commit, now, ended = GroupCommit(), system_now(), []

    def deed(index: int) -> Any:
        if index:
            until_under_way(commit)
        outcome = recorded(commit, wish(acme.test, f"k{index}" if index else "first"), now)
        ended.append(index)
        if len(ended) == 2:
            busy_lane()
        return outcome

    # when
    outcomes = together(3, deed)
    # then they were recorded first, and no more lanes stay open than before
    assert ended[-1] == 0
    assert [each.duplicate for each in outcomes] == [False] * 3
    assert commit.groups._under_way == 0
    assert balance(priced)["balance"] == 97_000


def test_an_account_that_is_locked_for_long_holds_up_only_its_own_events(
    priced: Api,
    acme: Character,
    groups: list[int],
    busy_lane: Callable[[], None],
    together: Callable[..., list[Any]],
    superuser_sql: psycopg.Connection[Any],
) -> None:
    # given a group of two customers, the account of one of them locked
    give(priced, 100_000, to="user_2")
    commit, now, ended = GroupCommit(), system_now(), []
    whose = {"first": "user_2", "locked": "user_1", "free": "user_2"}

    def deed(key: str | None) -> Any:
        if key is None:
            waiting(commit, 2)
            return busy_lane()
        if key != "first":
            until_under_way(commit)
        outcome = recorded(commit, wish(acme.test, key, who=whose[key]), now)
        ended.append(key)
        if len(ended) == 2:
            superuser_sql.rollback()
        return outcome

    superuser_sql.autocommit = False
    superuser_sql.execute(
        "SELECT FROM billing_credit_account a JOIN customers_customer c ON c.id = a.customer_id "
        "WHERE c.external_id = 'user_1' FOR UPDATE OF a"
    )
    # when
    outcomes = together(4, lambda index: deed([*whose, None][index]))[:-1]
    # then the other was not kept waiting for the lock's end
    assert groups == [2]
    assert ended == ["first", "free", "locked"]
    assert [each.cost_mc for each in outcomes] == [1000] * 3
    assert balance(priced)["balance"] == 99_000


def test_a_batch_waits_for_a_lock_however_long(
    priced: Api,
    together: Callable[..., list[Any]],
    superuser_sql: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given an account that somebody locks for longer than a group would wait
    superuser_sql.autocommit = False
    superuser_sql.execute("SELECT FROM billing_credit_account FOR UPDATE")
    gave_up = Event()
    patiently = usage_batch._recorded

    def watched(*arguments: Any, **more: Any) -> Any:
        gave_up.set()
        return patiently(*arguments, **more)

    monkeypatch.setattr(usage_batch, "_recorded", watched)

    def deed(index: int) -> Any:
        if index:
            assert gave_up.wait(20)
            return superuser_sql.rollback()
        event = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
        events = [event | {"idempotency_key": f"b{number}"} for number in range(2)]
        return priced.post("/v1/usage/batch", {"events": events}, idempotency_key="batch")

    # when
    answer = together(2, deed)[0]
    # then
    assert (answer.status, answer["accepted"]) == (202, 2)
    assert balance(priced)["balance"] == 98_000
