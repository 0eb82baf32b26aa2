"""`credit.consumed`: a debit leaves a narrow row, which becomes the event when it is handed out. What that must not
change: each is told once, under the names of its time, and with a number in the order in which things happened.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import ProgrammingError as Refused
from django.db import connection, transaction
from django.test import override_settings

from billing.models import LedgerEntry
from customers.kernel.clock import system_now
from customers.kernel.database import call_one, environment_scope
from customers.models import Customer, OutboxEvent, UntoldDebit
from customers.selectors.overview import customer_totals
from customers.services.webhook_dispatch import events_hand_out, webhooks_due
from metering.models import UsageEvent
from tests.conftest import Api, Character, World, run_together
from tests.making import give, history, make_metric, use

URL = "https://hooks.example.com/purser"


@pytest.fixture(autouse=True)
def _no_doorbell():
    with override_settings(WEBHOOKS_DOORBELL=False):
        yield


@pytest.fixture
def teller(api: Api) -> Api:
    """An endpoint names the event, and a unit costs a credit."""
    assert api.post("/v1/webhook-endpoints", {"url": URL, "events": ["credit.consumed"]}).status == 201
    make_metric(api)
    return api


@pytest.fixture
def world(acme: Character) -> World:
    return acme.test


def events_of(world: World, name: str = "user_1") -> list[OutboxEvent]:
    with environment_scope(world.id):
        customer = Customer.objects.get(external_id=name)
        return list(OutboxEvent.objects.filter(customer_id=customer.id).order_by("sequence"))


def told(world: World, name: str = "user_1") -> list[tuple[int | None, str]]:
    return [(event.sequence, event.event) for event in events_of(world, name)]


def consumed(world: World, name: str = "user_1") -> list[dict[str, Any]]:
    return [event.payload for event in events_of(world, name) if event.event == "credit.consumed"]


def untold(world: World) -> list[UntoldDebit]:
    with environment_scope(world.id):
        return list(UntoldDebit.objects.order_by("customer_id", "sequence"))


def hand_out(world: World, most: int = 1000) -> None:
    with environment_scope(world.id):
        call_one("SELECT customers_webhook_hand_out_v1($1, $2, $3)", [world.id, most, system_now()])


def test_a_debit_waits_without_a_number_and_is_told_when_it_is_handed_out(teller, world):
    give(teller, 5000)
    assert use(teller, 2).status == 202

    assert told(world) == [(1, "customer.created"), (2, "credit.granted")]
    assert (world.id, None) in webhooks_due()
    (waiting,) = untold(world)
    with environment_scope(world.id):
        entry = LedgerEntry.objects.get(kind="debit")
    assert (waiting.entry_id, waiting.sequence, waiting.amount_mc) == (entry.id, entry.sequence, 2000)

    assert events_hand_out(environment_id=world.id) == 2
    assert told(world) == [(1, "customer.created"), (2, "credit.granted"), (3, "credit.consumed")]
    assert untold(world) == []
    assert (world.id, None) not in webhooks_due()
    assert events_hand_out(environment_id=world.id) == 0


def test_the_home_page_counts_what_is_still_to_be_told(teller, world):
    give(teller, 5000)
    events_hand_out(environment_id=world.id)
    use(teller, 1)
    use(teller, 1)

    with environment_scope(world.id):
        totals = customer_totals(environment_id=world.id, wall_now=system_now())
    assert totals.waiting == 2
    assert totals.waiting_since == untold(world)[0].occurred_at


def test_names_are_those_of_the_debits_time_whenever_it_is_handed_out(teller, world):
    give(teller, 5000)
    path = "/v1/customer-by-external-id/"
    teller.patch(path + "user_1", {"display_name": "Ada"})
    use(teller, 1)
    teller.patch(path + "user_1", {"display_name": "Countess", "external_id": "user_9"})
    use(teller, 1, by="user_9")
    teller.patch(path + "user_9", {"email": "ada@example.com"})
    events_hand_out(environment_id=world.id)

    events = events_of(world, "user_9")
    assert [(event.sequence, event.event) for event in events] == [
        (1, "customer.created"),
        (2, "credit.granted"),
        (3, "customer.updated"),
        (4, "credit.consumed"),
        (5, "customer.updated"),
        (6, "credit.consumed"),
        (7, "customer.updated"),
    ]
    before, after = (event.payload for event in events if event.event == "credit.consumed")
    assert (before["external_customer_id"], before["customer"]["display_name"]) == ("user_1", "Ada")
    assert (after["external_customer_id"], after["customer"]["display_name"]) == ("user_9", "Countess")
    positions = [event.position for event in events]
    assert None not in positions
    assert positions == sorted(position or 0 for position in positions)


def test_what_a_debit_brings_about_comes_after_it(teller, world):
    give(teller, 5000)
    teller.patch("/v1/customer-by-external-id/user_1", {"low_balance_threshold": 2000})
    use(teller, 1)
    event = use(teller, 3)["event_id"]
    assert teller.post(f"/v1/events/{event}/void", {"reason": "twice"}, idempotency_key="v").status == 200
    events_hand_out(environment_id=world.id)

    assert [event for _, event in told(world)] == [
        *("customer.created", "credit.granted", "customer.updated"),
        *("credit.consumed", "credit.consumed", "credit.balance_low", "credit.refunded"),
    ]
    assert [number for number, _ in told(world)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_commit_of_a_reservation_names_it_as_the_api_does(teller, world):
    give(teller, 5000)
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 3}
    held = teller.post("/v1/reserve", body, idempotency_key="r")
    path = f"/v1/reserve/{held['reservation_id']}/commit"
    assert teller.post(path, {"actual_units": 2}, idempotency_key="c").status == 200
    events_hand_out(environment_id=world.id)

    (payload,) = consumed(world)
    assert payload["source"] == {"type": "reservation", "id": held["reservation_id"]}
    assert payload["amount"] == 2000
    assert [event for _, event in told(world)][2:] == [
        "reservation.created",
        "credit.consumed",
        "reservation.committed",
    ]


def test_a_batch_tells_each_of_its_debits_in_order(teller, world):
    for name in ("user_1", "user_2"):
        give(teller, 5000, to=name)
    events = [
        {"external_customer_id": name, "billable_metric_key": "api_call", "units": units}
        for name, units in (("user_1", 1), ("user_2", 2), ("user_1", 3), ("user_2", 9))
    ]
    answer = teller.post("/v1/usage/batch", {"events": events}, idempotency_key="b")
    assert (answer["accepted"], answer["rejected"]) == (3, 1)
    events_hand_out(environment_id=world.id)

    assert [(each["sequence"], each["amount"], each["balance"]) for each in consumed(world)] == [
        (3, 1000, 4000),
        (4, 3000, 1000),
    ]
    assert [(each["sequence"], each["amount"], each["balance"]) for each in consumed(world, "user_2")] == [
        (3, 2000, 3000)
    ]
    entries = [
        each["id"]
        for each in history(teller, query="?kind=debit") + history(teller, of="user_2", query="?kind=debit")
    ]
    names = [
        each["ledger_entry_id"] for name in ("user_1", "user_2") for each in reversed(consumed(world, name))
    ]
    assert names == entries


def test_what_is_refused_or_no_consumption_is_not_told(teller, world):
    give(teller, 1000)
    assert use(teller, 2).refusal() == (402, "insufficient-credits")
    body = {"delta": -500, "reason": "lost"}
    path = "/v1/customer-by-external-id/user_1/credits/adjust"
    assert teller.post(path, body, idempotency_key="a").status == 201

    assert untold(world) == []
    assert [event for _, event in told(world)][2:] == ["credit.adjusted"]


def test_an_endpoint_that_names_it_later_hears_of_what_comes_then(api, world):
    make_metric(api)
    give(api, 5000)
    use(api, 1)
    made = api.post("/v1/webhook-endpoints", {"url": URL, "events": ["credit.consumed"]})
    use(api, 2)
    assert api.delete(f"/v1/webhook-endpoints/{made['id']}").status == 204
    use(api, 1)
    events_hand_out(environment_id=world.id)

    # It was recorded when nobody wants it any more, too: the endpoint named it then.
    assert [each["amount"] for each in consumed(world)] == [2000]


def test_what_is_told_needs_neither_its_event_nor_its_entry(teller, world, superuser_sql):
    give(teller, 5000)
    use(teller, 1)
    with superuser_sql.transaction():
        superuser_sql.execute("SET LOCAL session_replication_role = replica")
        for table in (UsageEvent._meta.db_table, LedgerEntry._meta.db_table):
            superuser_sql.execute(f"DELETE FROM {table} WHERE environment_id = %s", [world.id])
    events_hand_out(environment_id=world.id)

    assert [each["balance"] for each in consumed(world)] == [4000]


def test_a_customer_whom_somebody_holds_is_told_of_later_and_the_others_now(teller, world):
    for name in ("user_1", "user_2"):
        give(teller, 5000, to=name)
        use(teller, 1, by=name)

    with environment_scope(world.id), transaction.atomic():
        Customer.objects.select_for_update().get(external_id="user_1")
        assert run_together(1, lambda _: hand_out(world)) == [None]
    assert [event for _, event in told(world, "user_2")][2:] == ["credit.consumed"]
    assert [event for _, event in told(world, "user_1")][2:] == []
    hand_out(world)
    assert [event for _, event in told(world, "user_1")][2:] == ["credit.consumed"]


def test_everybodys_turn_comes_however_much_there_is_of_one(teller, world):
    names = ("user_1", "user_2", "user_3")
    for name in names:
        give(teller, 50_000, to=name)
    hand_out(world)
    for name in ("user_1", "user_1", *names):
        use(teller, 1, by=name)

    # It goes on behind whom it told of last, which was the third.
    left = []
    for most in (1, 1, 2, 2):
        hand_out(world, most)
        left.append([len(consumed(world, name)) for name in names])
    assert left == [[1, 0, 0], [1, 1, 0], [2, 1, 1], [3, 1, 1]]


def test_thousands_that_waited_are_told_in_the_order_of_the_ledger(teller, world):
    give(teller, 5_000_000)
    wish = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    for number in range(25):
        answer = teller.post("/v1/usage/batch", {"events": [wish] * 100}, idempotency_key=f"b{number}")
        assert answer["accepted"] == 100
    assert events_hand_out(environment_id=world.id) == 2500

    found = consumed(world)
    assert [each["balance"] for each in found] == [5_000_000 - 1000 * number for number in range(1, 2501)]
    assert [each["sequence"] for each in found] == [*range(3, 2503)]


def test_another_environment_sees_none_and_the_application_writes_none(teller, world, acme, rival):
    give(teller, 5000)
    use(teller, 1)

    for other in (acme.live, rival.test):
        assert untold(other) == []
        assert events_hand_out(environment_id=other.id) == 0
    for statement in (
        "UPDATE customers_untold_debit SET amount_mc = 1",
        "DELETE FROM customers_untold_debit",
        "INSERT INTO customers_untold_debit SELECT * FROM customers_untold_debit",
    ):
        with (
            environment_scope(world.id),
            pytest.raises(Refused, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    assert len(untold(world)) == 1


def test_a_debit_is_numbered_before_what_happens_to_its_customer_next(teller, world):
    give(teller, 5000)
    use(teller, 1)
    give(teller, 1000)

    assert told(world)[2:] == [(3, "credit.consumed"), (4, "credit.granted")]
    assert [event.position for event in events_of(world)] == [None] * 4


def test_no_two_at_once_put_a_number_wrong(teller, world):
    """Usage, new names and handing out, all at once for a few customers."""
    names = ("user_1", "user_2")
    for name in names:
        give(teller, 10_000_000, to=name)

    def act(index: int) -> None:
        for number in range(14):
            deed(Api(world.secret), index, number, names[number % 2])

    def deed(api: Api, index: int, number: int, name: str) -> None:
        if index < 3:
            assert use(api, 1, by=name).status == 202
        elif index < 5:
            label = {"display_name": f"{index}.{number}"}
            assert api.patch(f"/v1/customer-by-external-id/{name}", label).status == 200
        else:
            events_hand_out(environment_id=world.id)

    assert run_together(7, act) == [None] * 7
    hand_out(world)

    for name in names:
        assert_consistent(events_of(world, name))
        assert [each["balance"] for each in consumed(world, name)] == [
            10_000_000 - 1000 * number for number in range(1, 22)
        ]


def assert_consistent(events: list[OutboxEvent]) -> None:
    """Numbers without gaps, in the order of listing; every event under the name the last change gave."""
    assert [event.sequence for event in events] == [*range(1, len(events) + 1)]
    assert [event.position for event in events] == sorted(event.position or 0 for event in events)
    shown = None
    for event in events:
        if event.event == "customer.updated":
            shown = event.payload["customer"]["display_name"]
        assert event.payload["customer"]["display_name"] == shown


def test_what_is_untold_is_found_by_its_index_though_nothing_waited_of_late(superuser_sql, world):
    superuser_sql.execute(
        "INSERT INTO customers_untold_debit (environment_id, customer_id, sequence, entry_id, amount_mc, source_type, "
        "source_id, balance_mc, reserved_mc, occurred_at) SELECT %s, purser_uuid7(), 1, purser_uuid7(), 1, 'event', "
        "purser_uuid7(), 1, 0, now() FROM generate_series(1, 5000)",
        [world.id],
    )
    superuser_sql.execute("DELETE FROM customers_untold_debit WHERE environment_id = %s", [world.id])
    superuser_sql.execute("VACUUM (ANALYZE) customers_untold_debit")

    plan = superuser_sql.execute(
        "EXPLAIN SELECT EXISTS (SELECT FROM customers_untold_debit d "
        "WHERE d.environment_id = %s AND d.customer_id = %s)",
        [world.id, world.id],
    ).fetchall()
    assert "Index Only Scan" in str(plan)
