"""Whatever is done to a subscription, its price terms tile its life, and its periods tile its time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.errors import DomainError
from customers.kernel.database import environment_scope
from customers.services.customers import customer_create
from subscriptions.models import LIVE_STATES, PriceTerm, Subscription, SubscriptionPeriod
from subscriptions.services.actions import subscription_cancel, subscription_pause, subscription_resume
from subscriptions.services.changes import subscription_change
from subscriptions.services.due_work import subscription_catch_up
from subscriptions.services.price_plans import PriceTerms, price_plan_create
from subscriptions.services.sales import PricePlanNamed
from subscriptions.services.subscriptions import subscription_create
from tests.conftest import Character, World
from tests.subscriptions.deals import BEGIN

PLANS = {"a": "monthly", "b": "monthly", "w": "weekly"}
DEEDS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(sorted(PLANS)), st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(["pause", "resume", "cancel", "cancel_now"])),
)


@pytest.fixture
def world(acme: Character) -> World:
    with environment_scope(acme.test.id):
        for key, period in PLANS.items():
            terms = PriceTerms(currency="usd", billing_period=period, charges=[])
            price_plan_create(caller=acme.test.caller, key=key, name=key, terms=terms, now=BEGIN)
    return acme.test


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    back=st.integers(min_value=0, max_value=200),
    deeds=st.lists(st.tuples(st.integers(min_value=0, max_value=30 * 86400), DEEDS), max_size=8),
)
def test_terms_and_periods_tile_time(
    world: World, back: int, deeds: list[tuple[int, tuple[object, ...]]]
) -> None:
    now, start = BEGIN, BEGIN - timedelta(days=back)
    with environment_scope(world.id):
        customer = customer_create(caller=world.caller, external_id=uuid4().hex, now=now)
        subscription = subscription_create(
            caller=world.caller,
            customer=customer,
            offer=PricePlanNamed(key="a"),
            start_date=start,
            now=now,
        ).subscription
        for seconds, deed in deeds:
            now += timedelta(seconds=seconds)
            _do(world, subscription, deed, now)
        now += timedelta(days=40)
        subscription_catch_up(environment_id=world.id, customer_id=customer.id, now=now)
        _check(Subscription.objects.get(id=subscription.id), start)


def _do(world: World, subscription: Subscription, deed: tuple[object, ...], now: datetime) -> None:
    named: dict[str, Any] = {"caller": world.caller, "subscription_id": subscription.id, "now": now}
    try:
        match deed:
            case ("change", str(key), bool(at_once), bool(prorate)):
                subscription_change(
                    **named,
                    offer=PricePlanNamed(key=key),
                    effective="immediate" if at_once else "period_end",
                    prorate=prorate,
                )
            case ("pause",):
                subscription_pause(**named)
            case ("resume",):
                subscription_resume(**named)
            case ("cancel",):
                subscription_cancel(**named)
            case _:
                subscription_cancel(**named, immediately=True)
    except DomainError:
        """Refused in this state; nothing has happened."""


def _check(subscription: Subscription, start: datetime) -> None:
    terms = list(PriceTerm.objects.filter(subscription=subscription).order_by("starts_at"))
    periods = list(SubscriptionPeriod.objects.filter(subscription=subscription).order_by("starts_at"))
    assert terms[0].starts_at == periods[0].starts_at == start
    assert all(one.ends_at == two.starts_at for one, two in pairwise(terms))
    assert all(one.ends_at == two.starts_at for one, two in pairwise(periods))
    is_live = subscription.status in LIVE_STATES
    assert terms[-1].ends_at == (None if is_live else subscription.ended_at)
    assert periods[-1].ends_at == (subscription.current_period_end if is_live else subscription.ended_at)
    if is_live:
        assert terms[-1].version_id == subscription.variant.price_plan_version_id
