"""Schedulers, calls and actions that come at once for what is due: each thing happens once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from subscriptions.models import GrantRun, Subscription, SubscriptionPeriod
from subscriptions.services.due_work import subscription_catch_up, subscriptions_advance
from tests.clock import clock_set
from tests.concurrency.clients import setting
from tests.conftest import Api, Character, World, run_together
from tests.making import make_metric, use
from tests.subscriptions.deals import BEGIN, BUDGET, PREPAID, Deal, at, make_variant, subscribe

DEALS = setting("PURSER_RACING_SUBSCRIPTIONS", 12)
ROUNDS = setting("PURSER_RACING_ROUNDS", 4)
MONTH_END = "2026-02-28T12:00:01"


@pytest.fixture(autouse=True)
def _ledger_stays_in_order(acme: Character) -> Iterator[None]:
    yield
    with environment_scope(acme.test.id):
        assert not Subscription.objects.filter(failed_at__isnull=False).exists()
        Subscription.objects.update(next_due_at=None)
    assert ledger_verify(environment_id=acme.test.id).findings == []


def customer_of(deal: Deal) -> UUID:
    with environment_scope(deal.world.id):
        return Subscription.objects.get(customer__external_id=deal.who).customer_id


def periods_of(world: World) -> dict[Any, list[tuple[datetime, datetime]]]:
    found: dict[Any, list[tuple[datetime, datetime]]] = {}
    with environment_scope(world.id):
        for row in SubscriptionPeriod.objects.order_by("starts_at"):
            found.setdefault(row.subscription_id, []).append((row.starts_at, row.ends_at))
    return found


def runs_of(world: World) -> Counter[Any]:
    with environment_scope(world.id):
        return Counter(GrantRun.objects.values_list("subscription_id", "starts_at"))


def test_two_schedulers_at_once_do_everything_once(api: Api, acme: Character) -> None:
    # given some time without a scheduler, by the real clock
    variant = make_variant(acme.test, BUDGET, {**BUDGET, "grant_interval": "daily"}, billing_cycle="weekly")
    deals = [subscribe(api, acme.test, variant, who=f"user_{n}", begin=None) for n in range(DEALS)]
    now = system_now() + timedelta(days=15)
    # when
    told = run_together(2, lambda _index: subscriptions_advance(now=now))
    # then
    assert all(isinstance(count, int) for count in told), told
    tiles = periods_of(acme.test)
    assert [len(tile) for tile in tiles.values()] == [3] * DEALS
    for tile in tiles.values():
        assert [start for start, _ in tile][1:] == [end for _, end in tile][:-1]
    # three weeks' budgets, two of which begin with a day's, and sixteen days'
    runs = runs_of(acme.test)
    assert sum(runs.values()) == DEALS * (3 + 16)
    assert [len(deal.told("renewed")) for deal in deals] == [2] * DEALS


def test_a_renewal_races_the_scheduler_at_the_periods_end(api: Api, acme: Character) -> None:
    """It comes before the end or after it, when it is late; in both cases the next period is there, once."""
    variant = make_variant(acme.test, BUDGET, **PREPAID)
    deals = [subscribe(api, acme.test, variant, who=f"user_{n}") for n in range(ROUNDS)]
    late = at(MONTH_END)
    clock_set(acme.test, late)
    for deal in deals:
        customer_id = customer_of(deal)

        def race(index: int, deal: Deal = deal, customer_id: UUID = customer_id) -> Any:
            if index % 2:
                return subscription_catch_up(environment_id=acme.test.id, customer_id=customer_id, now=late)
            return Deal(api=Api(api.secret), world=acme.test, id=deal.id, who=deal.who).renew()

        answers = [answer for answer in run_together(6, race) if answer is not None]

        assert sorted(answer.status for answer in answers) == [200, 409, 409], answers
        # The winner made the present period, which cannot be renewed so early.
        assert {answer.refusal()[1] for answer in answers if answer.status == 409} == {"renewal-not-due"}
        assert [name for name, _ in deal.told("overdue", "renewed")] == ["overdue", "renewed"]
        assert deal.balance() == 100_000
    assert set(runs_of(acme.test).values()) == {1}
    assert [len(tile) for tile in periods_of(acme.test).values()] == [2] * ROUNDS


def test_a_change_races_usage_after_the_periods_end(api: Api, acme: Character) -> None:
    clock_set(acme.test, BEGIN)
    make_metric(api)
    small, large = make_variant(acme.test, BUDGET), make_variant(acme.test, {**BUDGET, "credits_mc": 300_000})
    deals = [subscribe(api, acme.test, small, who=f"user_{n}") for n in range(ROUNDS)]
    clock_set(acme.test, at(MONTH_END))
    for deal in deals:

        def race(index: int, deal: Deal = deal) -> Any:
            mine = Api(api.secret)
            if index % 3:
                return use(mine, 5, by=deal.who)
            body = {"plan_variant_id": large.public_id}
            return mine.post(f"/v1/subscriptions/{deal.id}/change", body, idempotency_key=uuid4().hex)

        answers = run_together(6, race)

        assert [answer.status for answer in answers[1:3] + answers[4:]] == [202] * 4
        changed = sorted((answers[0], answers[3]), key=lambda answer: answer.status)
        assert changed[0].status == 200
        assert changed[1].refusal() == (409, "same-plan-variant")
        # One second of the month is over, and with it its share, which is less than the smallest unit.
        given = changed[0]["credits_granted"]
        assert 199_999 <= given <= 200_000
        assert deal.balance() == 100_000 + given - 4 * 5_000
    assert set(runs_of(acme.test).values()) == {1}


def test_one_renewal_key_from_twenty_clients_is_one_renewal(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET, **PREPAID))
    deal.time("2026-02-26")

    answers = run_together(
        20,
        lambda _index: Api(api.secret).post(
            f"/v1/subscriptions/{deal.id}/renew", {"external_payment_id": "pi_1"}, idempotency_key="the-one"
        ),
    )

    assert {answer.status for answer in answers} == {200}
    assert {answer["is_renewed"] for answer in answers} == {True}
    with environment_scope(acme.test.id):
        assert SubscriptionPeriod.objects.count() == 2
    deal.work("2026-03-01")
    assert deal.told("renewed", "overdue") == [("renewed", "2026-02-28T12:00:00Z")]
    assert deal.balance() == 100_000


def test_twenty_renewals_with_keys_of_their_own_are_one(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET, **PREPAID), begin=BEGIN)
    deal.time("2026-02-26")

    answers = run_together(
        20,
        lambda _index: Deal(api=Api(api.secret), world=acme.test, id=deal.id, who=deal.who).renew(),
    )

    assert Counter(answer.status for answer in answers) == {200: 1, 409: 19}
    assert {answer.refusal()[1] for answer in answers if answer.status == 409} == {"already-renewed"}
