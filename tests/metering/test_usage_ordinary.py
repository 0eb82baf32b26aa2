"""Many events in one round trip, when nothing about them is out of the ordinary; else the long way."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from threading import Event
from typing import Any

import psycopg
import pytest

from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import call_function, environment_scope
from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, OutboxEvent
from metering.services import quotes, usage_batch, usage_ordinary
from metering.services.usage import UsageInput, UsageWish
from metering.services.usage_batch import usages_record
from metering.services.usage_decisions import Decisions
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, make_rule, use
from tests.oracle.kernel import KernelAccount, app_connection, call, environment_see, superuser_connection

ONE_CALL = ["metering_usage_many_v1"]
LONG_WAY = ["metering_usage_open_v1", "metering_usage_store_v1"]


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, user_1 with 10,000 mc, user_2 with 5,000 mc."""
    make_metric(api)
    give(api, 10_000)
    give(api, 5_000, to="user_2")
    return api


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the database's functions that recording called."""
    called: list[str] = []

    def watched(name: str, **arguments: Any) -> Any:
        called.append(name)
        return call_function(name, **arguments)

    monkeypatch.setattr(usage_batch, "call_function", watched)
    monkeypatch.setattr(usage_ordinary, "call_function", watched)
    return called


@pytest.fixture
def debits(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """For each call, which of the functions that debit many accounts it went through."""
    seen: list[set[str]] = []

    def watched(name: str, **arguments: Any) -> Any:
        with superuser_connection() as superuser, superuser.transaction():
            superuser.execute("SET LOCAL track_functions = 'pl'")
            answer = call(superuser, name, **arguments)
            rows = superuser.execute(
                "SELECT funcname FROM pg_stat_xact_user_functions WHERE funcname LIKE 'billing\\_debit\\_%'"
            )
            seen.append({row.funcname for row in rows})
        return answer

    monkeypatch.setattr(usage_ordinary, "call_function", watched)
    return seen


def event(units: Any = 1, *, by: str = "user_1", metric: str = "api_call", **more: Any) -> dict[str, Any]:
    return {"external_customer_id": by, "billable_metric_key": metric, "units": units, **more}


def send(api: Api, *events: Any, key: str = "batch") -> list[Any]:
    answer = api.post("/v1/usage/batch", {"events": list(events)}, idempotency_key=key)
    assert answer.status == 202, answer
    return [each.get("error", {}).get("code", each["status"]) for each in answer["results"]]


def test_events_of_several_customers_are_one_call(priced: Api, calls: list[str]) -> None:
    # when
    outcomes = send(priced, event(1), event(2, by="user_2"), event(3), event("0.5", by="user_2"), event(1))
    # then each is booked in the order sent, after the one before
    assert (outcomes, calls) == (["accepted"] * 5, ONE_CALL)
    assert [(each["amount"], each["balance_after"]) for each in history(priced)[:3]] == [
        (-1000, 5000),
        (-3000, 6000),
        (-1000, 9000),
    ]
    assert [(each["amount"], each["balance_after"]) for each in history(priced, of="user_2")[:2]] == [
        (-500, 2500),
        (-2000, 3000),
    ]


def test_a_customer_named_by_id_is_as_ordinary(priced: Api, calls: list[str]) -> None:
    customer = priced.get("/v1/customer-by-external-id/user_1")["id"]
    by_id = {"customer_id": customer, "billable_metric_key": "api_call", "units": 4}
    assert send(priced, by_id, event(1, by="user_2")) == ["accepted", "accepted"]
    assert calls == ONE_CALL
    assert balance(priced)["balance"] == 6000


def test_who_can_pay_for_nothing_is_refused_in_the_same_call(priced: Api, calls: list[str]) -> None:
    # given
    use(priced, 5, by="user_2")
    make_metric(priced, key="free", cost_type="flat", unit_cost=0)
    # when
    answer = priced.post(
        "/v1/usage/batch",
        {
            "events": [
                event(1),
                event(1, by="user_2"),
                event(7, by="user_2", metric="free"),
                event(9, by="user_2"),
            ]
        },
        idempotency_key="batch",
    )
    # then only what costs is refused, and it leaves nothing behind
    assert [each["status"] for each in answer["results"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert [each["error"]["code"] for each in answer["results"] if "error" in each] == [
        "insufficient-credits"
    ] * 2
    assert answer["results"][1]["error"]["effective_balance"] == 0
    assert calls == ONE_CALL
    assert balance(priced, of="user_2")["balance"] == 0
    assert [each["amount"] for each in history(priced)[:1]] == [-1000]
    # and the refused keys are free
    give(priced, 1000, to="user_2")
    assert send(priced, event(1, by="user_2", idempotency_key="batch:1")) == ["accepted"]


def test_who_can_pay_for_some_is_decided_event_by_event(priced: Api, calls: list[str]) -> None:
    outcomes = send(priced, event(4, by="user_2"), event(2, by="user_2"), event(1, by="user_2"))
    assert outcomes == ["accepted", "insufficient-credits", "accepted"]
    assert calls == ONE_CALL + LONG_WAY
    assert balance(priced, of="user_2")["balance"] == 0


def test_debits_over_several_blocks_and_into_overdraft_are_one_call(priced: Api, calls: list[str]) -> None:
    # given blocks of 10,000 and 2,000 of which the second burns first, and overage allowed
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    give(priced, 2_000, priority=9)
    # when
    assert send(priced, event(1), event(3), event(10), event(1)) == ["accepted"] * 4
    # then
    assert calls == ONE_CALL
    entries = history(priced)[:4]
    assert [[part["amount"] for part in each["allocations"]] for each in reversed(entries)] == [
        [-1000],
        [-1000, -2000],
        [-8000, -2000],
        [-1000],
    ]
    assert balance(priced)["balance"] == -3000


def test_what_first_blocks_pay_and_nobody_is_told_of_takes_one_look_at_each_account(
    priced: Api, debits: list[set[str]]
) -> None:
    # given a threshold that is not reached
    priced.patch("/v1/customer-by-external-id/user_2", {"low_balance_threshold": 1000})
    # when
    assert send(priced, event(4), event(2, by="user_2"), event(1, by="user_2"), event(6)) == ["accepted"] * 4
    # then
    assert debits == [{"billing_debit_plain"}]
    assert [balance(priced, of=who)["balance"] for who in ("user_1", "user_2")] == [0, 2000]


def test_one_account_with_more_to_it_has_all_of_them_looked_at_again(
    priced: Api, acme: Character, debits: list[set[str]]
) -> None:
    # given that user_2's first block is small, and that their balance is low below 3,000
    give(priced, 500, to="user_2", priority=9)
    priced.patch("/v1/customer-by-external-id/user_2", {"low_balance_threshold": 3000})
    # when the first block does not pay, when the threshold is reached, and when nothing is left to be told of
    for number, units in enumerate([1, 2, 1]):
        sent = (event(1, idempotency_key=f"{number}"), event(units, by="user_2"))
        assert send(priced, *sent, key=f"batch-{number}") == ["accepted", "accepted"]
    # then
    assert debits == [
        {"billing_debit_plain", "billing_debit_many"},
        {"billing_debit_many", "billing_debit_each", "billing_debit_book"},
        {"billing_debit_plain"},
    ]
    with environment_scope(acme.test.id):
        told = OutboxEvent.objects.filter(event="credit.balance_low")
        assert [each.payload["balance"] for each in told] == [2500]
    assert [len(each["allocations"]) for each in history(priced, of="user_2")[:3]] == [1, 1, 2]
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_what_an_event_carries_is_stored(priced: Api, calls: list[str]) -> None:
    # given
    odd = 'a "b" \\ {c}, NULL'
    told: dict[str, Any] = {
        "timestamp": "2026-04-03T09:01:00.25Z",
        "properties": {"model": 'gpt "5"\\', "ratio": 0.25, "lines": "one\ntwo", "none": None},
        "metadata": {"note": "größer, {so}", "empty": ""},
    }
    # when
    assert (
        send(
            priced,
            event(1, idempotency_key=odd, **told),
            event(1, idempotency_key="plain"),
            event(2, metadata={}),
        )
        == ["accepted"] * 3
    )
    assert calls == ONE_CALL
    # then
    stored = {each["idempotency_key"]: each for each in priced.get("/v1/events")["data"]}
    assert {name: stored[odd][name] for name in told} == told
    assert stored["plain"]["properties"] in (None, {})
    # and sent again, alone or together, it is the same event
    assert use(priced, 1, idempotency_key=odd, **told)["duplicate"] is True
    assert send(priced, event(1, idempotency_key=odd, **told), event(1, idempotency_key="new")) == [
        "duplicate",
        "accepted",
    ]


@pytest.mark.parametrize("name", ["NULL", "null", "{}", '"', "\\", "a,b", " ", "日本語"])
def test_customers_may_be_called_anything(priced: Api, calls: list[str], name: str) -> None:
    # given a customer who has an account by now
    priced.post("/v1/customers", {"external_id": name, "overage_policy": "allow"})
    assert send(priced, event(1, by=name), key="first") == ["accepted"]
    calls.clear()
    # then
    assert send(priced, event(1), event(1, by=name)) == ["accepted", "accepted"]
    assert calls == ONE_CALL


def test_a_customer_not_seen_with_a_price_of_their_own_and_a_stranger_take_the_long_way(
    priced: Api, calls: list[str]
) -> None:
    # given
    make_metric(priced, key="own")
    customer = priced.get("/v1/customer-by-external-id/user_1")["id"]
    make_rule(priced, key="own", cost_type="flat", unit_cost=7, customer_id=customer)
    # then
    assert send(priced, event(3, metric="own"), key="1") == ["accepted"]
    assert calls == LONG_WAY
    calls.clear()
    assert send(priced, event(1, by="stranger"), event(1), key="2") == ["insufficient-credits", "accepted"]
    assert calls == [*ONE_CALL, "metering_usage_open_v1"]
    # and seen, they are ordinary
    calls.clear()
    assert send(priced, event(3, metric="own"), event(1, metric="own"), key="3") == ["accepted"] * 2
    assert calls == ONE_CALL
    assert balance(priced)["balance"] == 10_000 - 7 - 1000 - 14


TIERS = [
    {"up_to": 2, "credit_cost": 10},
    {"up_to": "6.5", "credit_cost": 3},
    {"up_to": None, "credit_cost": 1},
]


@pytest.fixture
def tiered(priced: Api) -> Api:
    """`tiered`: two units at 10 mc, the next 4.5 at 3 mc, all others at 1 mc."""
    make_metric(priced, key="tiered", cost_type="tiered", tiers=TIERS)
    return priced


def costs(api: Api, *, of: str = "user_1", latest: int) -> list[int]:
    return [-each["amount"] for each in reversed(history(api, of=of)[:latest])]


def test_who_was_not_seen_in_the_cycle_is_taken_to_have_used_nothing(tiered: Api, calls: list[str]) -> None:
    assert send(tiered, event(1, metric="tiered"), event(1, metric="tiered", by="user_2")) == ["accepted"] * 2
    assert calls == ONE_CALL
    assert costs(tiered, latest=1) == costs(tiered, of="user_2", latest=1) == [10]


def test_events_of_one_customer_go_up_the_tiers_one_behind_the_other(tiered: Api, calls: list[str]) -> None:
    # given a batch that crosses both borders, with another customer's between
    sent = [event(units, metric="tiered") for units in (1, 2, "0.5", 3, 1)]
    sent.insert(2, event(1, metric="tiered", by="user_2"))
    # when
    assert send(tiered, *sent, key="1") == ["accepted"] * 6
    # then
    assert calls == ONE_CALL
    assert costs(tiered, latest=5) == [10, 13, 2, 9, 1]
    # and the next goes on from there, in one call again
    calls.clear()
    assert (
        send(tiered, event(4, metric="tiered"), event(1, metric="tiered", by="user_2"), key="2")
        == ["accepted"] * 2
    )
    assert calls == ONE_CALL
    assert (costs(tiered, latest=1), costs(tiered, of="user_2", latest=1)) == ([4], [10])


def test_events_remember_where_their_customer_stood(tiered: Api, acme: Character, superuser_sql: Any) -> None:
    send(tiered, event(1, metric="tiered"), event("2.5", metric="tiered"), key="1")
    send(tiered, event(1, metric="tiered"), key="2")
    rows = superuser_sql.execute(
        "SELECT units, cost_mc, cycle_units, cycle_charged_mc FROM metering_usage_event"
        " WHERE environment_id = %s ORDER BY id",
        [acme.test.caller.environment_id],
    ).fetchall()
    assert [tuple(map(float, row)) for row in rows] == [(1, 10, 0, 0), (2.5, 15, 1, 10), (1, 3, 3.5, 25)]


def test_who_stands_in_another_tier_than_taken_is_priced_anew(
    tiered: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given user_1 at three units, of which this process saw nothing
    send(tiered, event(3, metric="tiered"), key="1")
    monkeypatch.setattr(quotes, "_guesses", {})
    calls.clear()
    # when
    assert (
        send(tiered, event(1, metric="tiered"), event(1, metric="tiered", by="user_2"), key="2")
        == ["accepted"] * 2
    )
    # then
    assert calls == ONE_CALL * 2
    assert (costs(tiered, latest=1), costs(tiered, of="user_2", latest=1)) == ([3], [10])


def test_who_moved_inside_a_tier_meanwhile_pays_the_same_in_one_call(
    tiered: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given user_1 seen at seven units, and at nine by another process
    send(tiered, event(7, metric="tiered"), key="1")
    seen = dict(quotes._guesses)
    send(tiered, event(2, metric="tiered"), key="2")
    monkeypatch.setattr(quotes, "_guesses", seen)
    calls.clear()
    # when
    assert send(tiered, event(1, metric="tiered"), event(5, metric="tiered"), key="3") == ["accepted"] * 2
    # then
    assert calls == ONE_CALL
    assert costs(tiered, latest=2) == [1, 5]
    assert list(quotes._guesses.values())[-1].cycle_units == 15


def test_volume_prices_hold_at_one_place_only(
    priced: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given all units at the rate of the last
    make_metric(priced, key="volume", cost_type="tiered", tier_mode="volume", tiers=TIERS)
    send(priced, event(1, metric="volume"), event(2, metric="volume"), key="1")
    assert costs(priced, latest=1) == [10]
    seen = dict(quotes._guesses)
    send(priced, event(1, metric="volume"), key="2")
    monkeypatch.setattr(quotes, "_guesses", seen)
    calls.clear()
    # when
    assert send(priced, event(1, metric="volume"), key="3") == ["accepted"]
    # then it is priced for where the customer is
    assert calls == ONE_CALL * 2
    assert costs(priced, latest=3) == [10, 2, 3]


def test_who_was_taken_for_somebody_else_is_decided_the_long_way(
    priced: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a price seen for user_2, when the name comes to mean somebody else
    make_metric(priced, key="own")
    customer = priced.get("/v1/customer-by-external-id/user_2")["id"]
    make_rule(priced, key="own", cost_type="flat", unit_cost=7, customer_id=customer)
    monkeypatch.setattr(quotes, "_guesses", {})
    send(priced, event(1, metric="own", by="user_2"), key="1")
    send(priced, event(1, metric="own"), key="2")
    other, key = quotes._guesses
    monkeypatch.setitem(quotes._guesses, key, quotes._guesses[other])
    calls.clear()
    # when
    assert send(priced, event(1, metric="own"), key="3") == ["accepted"]
    # then
    assert calls == ONE_CALL + LONG_WAY
    assert costs(priced, latest=1) == [1000]


def test_who_can_pay_for_some_in_tiers_is_decided_event_by_event(tiered: Api, calls: list[str]) -> None:
    use(tiered, 5, by="user_2")
    give(tiered, 13, to="user_2")
    calls.clear()
    # when two units are 20 mc, one is 10 mc, and a third is 3 mc
    sent = [event(units, metric="tiered", by="user_2") for units in (2, 1, 1)]
    assert send(tiered, *sent) == ["insufficient-credits", "accepted", "insufficient-credits"]
    # then
    assert calls[:1] == ONE_CALL
    assert costs(tiered, of="user_2", latest=1) == [10]
    assert balance(tiered, of="user_2")["balance"] == 3


def test_who_can_pay_for_nothing_in_tiers_leaves_the_counter_where_it_was(
    tiered: Api, calls: list[str]
) -> None:
    use(tiered, 5, by="user_2")
    # when
    assert send(tiered, event(1, metric="tiered", by="user_2"), event(1, metric="tiered")) == [
        "insufficient-credits",
        "accepted",
    ]
    # then
    give(tiered, 100, to="user_2")
    send(tiered, event(2, metric="tiered", by="user_2"), key="2")
    assert costs(tiered, of="user_2", latest=1) == [20]


def test_one_key_twice_in_a_batch_takes_the_long_way(priced: Api, calls: list[str]) -> None:
    again = event(1, idempotency_key="same")
    assert send(priced, again, again) == ["accepted", "duplicate"]
    assert calls == LONG_WAY


def test_prices_by_property_are_each_found(priced: Api, calls: list[str]) -> None:
    rates = {
        "a": {"cost_type": "per_unit", "unit_cost": 3},
        "*": {"cost_type": "per_unit", "unit_cost": 5},
    }
    make_metric(priced, key="rated", dimension="model", rates=rates)
    sent = [event(1, metric="rated", properties={"model": model}) for model in ("a", "b", "a")]
    assert send(priced, *sent) == ["accepted"] * 3
    assert calls == ONE_CALL
    assert [each["amount"] for each in history(priced)[:3]] == [-3, -5, -3]


def test_a_new_price_counts_at_once(priced: Api, calls: list[str]) -> None:
    send(priced, event(1), key="1")
    make_rule(priced, cost_type="flat", unit_cost=10)
    send(priced, event(1), event(1), key="2")
    assert [each["amount"] for each in history(priced)[:3]] == [-10, -10, -1000]


def test_only_who_is_out_of_the_ordinary_takes_the_long_way(
    priced: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one who can pay for some of their events, and one who is not there
    decided = []
    decide = Decisions.decide

    def watched(self: Any, wish: UsageWish, event_id: Any) -> Any:
        decided.append((wish.usage.reference, wish.usage.units))
        return decide(self, wish, event_id)

    monkeypatch.setattr(Decisions, "decide", watched)
    # when
    outcomes = send(
        priced, event(1), event(4, by="user_2"), event(2, by="nobody"), event(3), event(2, by="user_2")
    )
    # then
    assert outcomes == [
        "accepted",
        "accepted",
        "insufficient-credits",
        "accepted",
        "insufficient-credits",
    ]
    assert calls == ONE_CALL + LONG_WAY
    assert decided == [("user_2", 4), ("nobody", 2), ("user_2", 2)]
    assert (balance(priced)["balance"], balance(priced, of="user_2")["balance"]) == (6000, 1000)


def test_two_batches_with_the_same_keys_record_each_once(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    # given keys that several batches carry at once, for customers that do not wait for each other
    world, now = acme.test, system_now()
    for number in range(8):
        give(priced, 100_000, to=f"crowd_{number}")

    def deed(index: int) -> list[Any]:
        wishes = [
            UsageWish(
                caller=world.caller,
                usage=UsageInput(
                    by="external",
                    reference=f"crowd_{index}",
                    metric_key="api_call",
                    units=1,
                    key=f"k{number}",
                ),
            )
            for number in range(20)
        ]
        return usages_record(environment_id=world.id, wishes=wishes, now=now)

    # when
    outcomes = together(8, deed)
    # then each key made one event, whoever came first
    taken = sum(balance(priced, of=f"crowd_{number}")["balance"] for number in range(8))
    assert taken == 8 * 100_000 - 20 * 1000
    codes = [getattr(each, "code", "accepted") for some in outcomes for each in some]
    assert (codes.count("accepted"), codes.count("idempotency-key-reused")) == (20, 140)


def test_batches_that_share_customers_in_any_order_spend_each_credit_once(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    # given ten customers with 20 credits each, and eight clients that want 32 of each
    for number in range(10):
        give(priced, 20_000, to=f"crowd_{number}")

    def deed(index: int) -> list[str]:
        found = []
        for turn in range(4):
            order = range(10) if (index + turn) % 2 else range(9, -1, -1)
            events = [event(1, by=f"crowd_{number}") for number in order]
            found += send(priced, *events, key=f"{index}-{turn}")
        return found

    # when
    outcomes = [each for some in together(8, deed) for each in some]
    # then
    assert (outcomes.count("accepted"), outcomes.count("insufficient-credits")) == (200, 120)
    assert [balance(priced, of=f"crowd_{number}")["balance"] for number in range(10)] == [0] * 10


def test_who_holds_an_account_holds_up_its_own_events_only(
    priced: Api,
    acme: Character,
    calls: list[str],
    together: Callable[..., list[Any]],
    superuser_sql: psycopg.Connection[Any],
) -> None:
    # given that somebody holds the account of user_1
    world, told = acme.test, Event()
    superuser_sql.autocommit = False
    superuser_sql.execute(
        "SELECT FROM billing_credit_account a JOIN customers_customer c ON c.id = a.customer_id "
        "WHERE c.external_id = 'user_1' FOR UPDATE OF a"
    )
    early: list[Any] = []

    def tell(outcomes: Any) -> None:
        early.extend(outcomes)
        told.set()

    def deed(index: int) -> Any:
        if index:
            assert told.wait(20)
            # then the events of the other are there already
            found = balance(priced, of="user_2")["balance"]
            superuser_sql.rollback()
            return found
        wishes = [
            UsageWish(
                caller=world.caller,
                usage=UsageInput(
                    by="external", reference=who, metric_key="api_call", units=units, key=f"k{units}"
                ),
            )
            for who, units in (("user_1", 1), ("user_2", 2), ("user_1", 3), ("user_2", Decimal("1.0")))
        ]
        return usages_record(environment_id=world.id, wishes=wishes, now=system_now(), tell=tell)

    # when
    outcomes, meanwhile = together(2, deed)
    # then all are recorded, each once
    assert meanwhile == 2000
    assert [each and each.cost_mc for each in early] == [None, 2000, None, 1000]
    assert [each.cost_mc for each in outcomes] == [1000, 2000, 3000, 1000]
    assert calls == ONE_CALL * 2
    assert balance(priced)["balance"] == 6000
    assert ledger_verify(environment_id=world.id).findings == []


def test_a_catalogue_that_moves_between_some_events_and_others_spoils_no_answer(
    priced: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a price that changes after the events of user_1, and before those of user_2 who can pay for some only
    def moved(name: str, **arguments: Any) -> Any:
        answer = call_function(name, **arguments)
        monkeypatch.setattr(usage_ordinary, "call_function", call_function)
        make_rule(priced, cost_type="flat", unit_cost=10)
        return answer

    monkeypatch.setattr(usage_ordinary, "call_function", moved)
    events = [event(1), event(4, by="user_2"), event(2, by="user_2")]
    # then those are asked for again
    assert send(priced, *events) == ["accepted", "unavailable", "unavailable"]
    assert balance(priced, of="user_2")["balance"] == 5000
    # and for the new price they have them
    assert send(priced, *events) == ["duplicate", "accepted", "accepted"]
    assert (balance(priced)["balance"], balance(priced, of="user_2")["balance"]) == (9000, 4980)


def test_a_database_that_goes_away_between_some_events_and_others_spoils_no_answer(
    priced: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    def gone(*_: Any, **__: Any) -> Any:
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(usage_batch, "_recorded", gone)
    events = [event(1), event(4, by="user_2"), event(2, by="user_2")]
    # then
    assert send(priced, *events) == ["accepted", "unavailable", "unavailable"]
    monkeypatch.undo()
    assert send(priced, *events) == ["duplicate", "accepted", "insufficient-credits"]
    assert (balance(priced)["balance"], balance(priced, of="user_2")["balance"]) == (9000, 1000)


def test_a_call_that_waited_for_an_account_goes_by_what_it_then_is(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    # given that somebody grants credits that burn first, and has not committed
    world, first = acme.test, uuid7()
    with environment_scope(world.id):
        customer = Customer.objects.get(external_id="user_1")
    with app_connection() as connection, superuser_connection() as superuser:
        environment_see(connection, world.id)
        connection.autocommit = False
        KernelAccount(connection, world.id, customer.id).grant(
            block=first, credits=5_000, priority=9, now=system_now()
        )
        holder = connection.info.backend_pid

        def deed(index: int) -> Any:
            if index == 0:
                return send(priced, event(1), event(1, by="user_2"))
            deadline = time.monotonic() + 20
            while not superuser.execute(
                "SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", (holder,)
            ).fetchall():
                assert time.monotonic() < deadline
            return connection.commit()

        # when
        outcomes = together(2, deed)[0]
    # then
    assert outcomes == ["accepted", "accepted"]
    debit = history(priced)[0]
    assert [(part["block_id"], part["amount"]) for part in debit["allocations"]] == [
        (typeid("blk", first), -1000)
    ]
    assert debit["balance_after"] == 14_000
    assert ledger_verify(environment_id=world.id).findings == []
