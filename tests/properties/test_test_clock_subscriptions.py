"""A subscription lives alike whether a clock goes through its life at once, in jumps, or calls make up for it late."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import LedgerEntry
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from subscriptions.models import Subscription, SubscriptionPeriod
from tests.clock import clock_set
from tests.conftest import Api, make_character
from tests.making import balance, make_metric, use
from tests.subscriptions.deals import BEGIN, make_variant, subscribe

DAY = timedelta(days=1)
#: Days.
END = 40
#: Each is three lives; nightly runs set more.
EXAMPLES = int(os.environ.get("PURSER_CLOCK_EXAMPLES", "4"))

templates = st.fixed_dictionaries(
    {
        "credits_mc": st.sampled_from([50_000, 100_000]),
        "grant_interval": st.sampled_from(["billing_cycle", "billing_cycle", "weekly", "weekly", "daily"]),
        "rollover_percentage": st.sampled_from([0, 0, 50, 100]),
        "expires_at_interval_end": st.booleans(),
        "priority": st.sampled_from([0, 10]),
    }
)
terms = st.fixed_dictionaries(
    {
        "billing_cycle": st.sampled_from(["weekly", "monthly", "monthly"]),
        "billing_mode": st.sampled_from(["postpaid", "postpaid", "prepaid"]),
        "trial_days": st.sampled_from([0, 0, 5]),
    }
)
contracts = st.none() | st.integers(20, 38)
#: On which days something is used, and how much.
uses = st.lists(st.tuples(st.integers(0, END), st.integers(1, 40)), max_size=6)
stops = st.lists(st.integers(0, END), max_size=8)

Way = Callable[[Api, Any, int], None]


def text(day: int) -> str:
    return (BEGIN + day * DAY).isoformat().replace("+00:00", "Z")


def advanced(api: Api, _world: Any, day: int) -> None:
    answer = api.post("/v1/test-clock/advance", {"to": text(day)})
    assert answer.status == 200, answer


def advanced_over(over: list[int]) -> Way:
    def way(api: Api, world: Any, day: int) -> None:
        present = api.get("/v1/test-clock")["now"]
        for stop in sorted(over):
            if present < text(stop) < text(day):
                advanced(api, world, stop)
        advanced(api, world, day)

    return way


def jumped(api: Api, world: Any, day: int) -> None:
    """Nobody does what is due, until somebody calls."""
    clock_set(world, BEGIN + day * DAY)
    balance(api)


def lived(way: Way, life: dict[str, Any]) -> dict[str, Any]:
    world = make_character("Clocked").test
    api = Api(world.secret)
    clock_set(world, BEGIN)
    make_metric(api)
    variant = make_variant(world, *life["templates"], **life["terms"])
    contract = {} if life["contract"] is None else {"contract_end": text(life["contract"])}
    subscribe(api, world, variant, begin=None, **contract)
    for number, (day, units) in enumerate(sorted(life["uses"])):
        way(api, world, day)
        assert use(api, units, idempotency_key=f"use-{number}").status in {202, 402, 403}
    way(api, world, END)
    assert ledger_verify(environment_id=world.id).findings == []
    return left(world)


def left(world: Any) -> dict[str, Any]:
    with environment_scope(world.id):
        subscription = Subscription.objects.get()
        events = OutboxEvent.objects.filter(customer_id=subscription.customer_id).order_by("sequence")
        return {
            "state": (subscription.status, subscription.failure, subscription.next_due_at),
            "periods": [
                (each.starts_at, each.ends_at, each.usage_summary)
                for each in SubscriptionPeriod.objects.order_by("starts_at")
            ],
            "entries": [
                (each.kind, each.amount_mc, each.balance_after_mc, each.occurred_at)
                for each in LedgerEntry.objects.order_by("sequence")
            ],
            "events": [(each.event, each.occurred_at) for each in events],
        }


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    life=st.fixed_dictionaries(
        {
            "templates": st.lists(templates, min_size=1, max_size=2),
            "terms": terms,
            "contract": contracts,
            "uses": uses,
        }
    ),
    over=stops,
)
def test_the_way_makes_no_difference(life: dict[str, Any], over: list[int]) -> None:
    at_once = lived(advanced, life)

    assert lived(advanced_over(over), life) == at_once
    assert lived(jumped, life) == at_once
