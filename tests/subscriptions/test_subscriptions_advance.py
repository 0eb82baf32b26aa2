"""The scheduler's pass over everything that is due: each once, in order, and nobody waits for what cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError

from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from subscriptions.models import GrantRun, Subscription, SubscriptionPeriod
from subscriptions.services import due_work
from subscriptions.services.due_work import subscriptions_advance
from tests.conftest import Api, Character
from tests.subscriptions.deals import BUDGET, PREPAID, Deal, make_variant, subscribe

HOURLY: dict[str, Any] = {"credits_mc": 10, "grant_interval": "hourly", "expires_at_interval_end": True}


@pytest.fixture(autouse=True)
def _ledger_stays_in_order(acme: Character, superuser_sql: psycopg.Connection[Any]) -> Iterator[None]:
    """And nothing of others is due: the pass goes over all environments without a clock."""
    superuser_sql.execute(
        "UPDATE subscriptions_subscription SET next_due_at = NULL WHERE next_due_at IS NOT NULL"
    )
    yield
    done = ledger_verify(environment_id=acme.test.id)
    assert done.ok, done.findings


@pytest.fixture
def began() -> datetime:
    """No clock of its own here: now is now."""
    return system_now()


def deal_of(api: Api, acme: Character, who: str, *templates: dict[str, Any], **terms: Any) -> Deal:
    variant = make_variant(acme.test, *(templates or (BUDGET,)), **terms)
    return subscribe(api, acme.test, variant, who=who, begin=None)


def rows(acme: Character, deal: Deal) -> tuple[list[SubscriptionPeriod], list[GrantRun]]:
    with environment_scope(acme.test.id):
        periods = SubscriptionPeriod.objects.filter(subscription__customer__external_id=deal.who)
        runs = GrantRun.objects.filter(subscription__customer__external_id=deal.who)
        return list(periods.order_by("starts_at")), list(runs.order_by("starts_at"))


def failure_of(acme: Character, deal: Deal) -> str:
    with environment_scope(acme.test.id):
        return Subscription.objects.get(customer__external_id=deal.who).failure


@pytest.mark.parametrize("away", [timedelta(hours=36), timedelta(hours=70)])
def test_after_an_absence_every_interval_was_given_once_in_order_and_dated(
    api: Api, acme: Character, began: datetime, away: timedelta
) -> None:
    deal = deal_of(api, acme, "user_1", HOURLY)
    start = rows(acme, deal)[1][0].starts_at

    subscriptions_advance(now=began + away)
    subscriptions_advance(now=began + away)

    hours = int(away / timedelta(hours=1))
    _, runs = rows(acme, deal)
    expected = [start + timedelta(hours=n) for n in range(hours + 1)]
    assert [run.starts_at for run in runs] == [each for each in expected if each <= began + away]
    assert [run.created_at for run in runs] == [run.starts_at for run in runs]
    assert [run.id for run in runs] == sorted(run.id for run in runs)


def test_after_a_year_every_period_has_come_and_gone(api: Api, acme: Character, began: datetime) -> None:
    deals = [deal_of(api, acme, f"user_{n}") for n in range(3)]

    subscriptions_advance(now=began + timedelta(days=370))

    for deal in deals:
        periods, runs = rows(acme, deal)
        assert [period.starts_at for period in periods] == [run.starts_at for run in runs]
        assert [period.ends_at for period in periods[:-1]] == [period.starts_at for period in periods[1:]]
        assert len(periods) == 13
        renewed = [instant for _, instant in deal.told("renewed")]
        assert renewed == sorted(renewed)
        assert len(renewed) == 12


def test_one_with_much_to_make_up_for_lets_others_pass(
    api: Api, acme: Character, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one with 70 hours to do, of which the first was due first
    slow = deal_of(api, acme, "slow", HOURLY)
    quick = deal_of(api, acme, "quick", {**BUDGET, "grant_interval": "daily"})
    order: list[UUID] = []
    step = due_work._step

    def watched(subscription: Subscription, at: datetime) -> None:
        order.append(subscription.customer_id)
        step(subscription, at)

    monkeypatch.setattr(due_work, "_step", watched)
    # when
    subscriptions_advance(now=began + timedelta(hours=70, minutes=1))
    # then the other's turn comes after one transaction of the first
    with environment_scope(acme.test.id):
        [quick_id] = Subscription.objects.filter(customer__external_id="quick").values_list("customer_id")[0]
    assert order.index(quick_id) == 50
    assert (len(rows(acme, slow)[1]), len(rows(acme, quick)[1])) == (71, 3)


def test_what_the_database_refuses_is_left_for_the_next_run_and_holds_up_nobody(
    api: Api, acme: Character, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given more than one page of which some fail
    deals = [deal_of(api, acme, f"user_{n}") for n in range(5)]
    monkeypatch.setattr(due_work, "_SUBSCRIPTIONS_OF_A_BATCH", 2)
    tries: list[UUID] = []
    step = due_work._step
    with environment_scope(acme.test.id):
        failing = set(
            Subscription.objects.order_by("id").values_list("id", flat=True)[:3],
        )

    def unlucky(subscription: Subscription, at: datetime) -> None:
        tries.append(subscription.id)
        if subscription.id in failing:
            raise OperationalError("canceling statement due to lock timeout")
        step(subscription, at)

    with monkeypatch.context() as patch:
        patch.setattr(due_work, "_step", unlucky)
        # when
        done = subscriptions_advance(now=began + timedelta(days=32))
    # then each was tried once, the others are done, and nothing is parked
    assert (done, sorted(tries)) == (2, sorted(set(tries)))
    assert [len(rows(acme, deal)[0]) for deal in deals] == [1, 1, 1, 2, 2]
    assert {failure_of(acme, deal) for deal in deals} == {""}
    # and the next run does them
    assert subscriptions_advance(now=began + timedelta(days=32)) == 3
    assert [len(rows(acme, deal)[0]) for deal in deals] == [2] * 5


def test_one_that_cannot_even_be_parked_holds_up_nobody(
    api: Api, acme: Character, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = deal_of(api, acme, "broken"), deal_of(api, acme, "sound")

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("nothing works here")

    step = due_work._step
    with environment_scope(acme.test.id):
        broken_id = Subscription.objects.get(customer__external_id="broken").id
    monkeypatch.setattr(due_work, "_park", fails)
    monkeypatch.setattr(due_work, "_step", lambda s, at: fails() if s.id == broken_id else step(s, at))

    assert subscriptions_advance(now=began + timedelta(days=32)) == 1

    assert (len(rows(acme, broken)[0]), len(rows(acme, sound)[0])) == (1, 2)


def test_work_that_never_ends_is_parked(
    api: Api, acme: Character, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless, sound = deal_of(api, acme, "endless", **PREPAID), deal_of(api, acme, "sound")
    # given a notice that forgets that it was given
    monkeypatch.setitem(due_work._DEEDS, "renewal_due", lambda _work: None)

    subscriptions_advance(now=began + timedelta(days=32))

    assert "does not come to an end" in failure_of(acme, endless)
    assert len(rows(acme, sound)[0]) == 2


def test_a_planned_change_rolls_nothing_over(api: Api, acme: Character, began: datetime) -> None:
    """Nor what a schedule of the old variant would have carried on at the same instant."""
    rolling = {**BUDGET, "grant_interval": "daily", "rollover_percentage": 100}
    deal = deal_of(api, acme, "user_1", rolling, billing_cycle="daily")
    other = make_variant(acme.test, {"credits_mc": 7}, billing_cycle="daily")
    changed = deal.act("change", {"plan_variant_id": other.public_id, "effective": "period_end"})
    assert changed.status == 200, changed

    subscriptions_advance(now=began + timedelta(hours=25))

    with environment_scope(acme.test.id):
        assert GrantRun.objects.filter(rolled_mc__gt=0).count() == 0
    kinds = [entry["kind"] for entry in api.get("/v1/customer-by-external-id/user_1/credits/history")["data"]]
    assert kinds == ["grant", "expire", "grant"]
