"""Advancing in one jump or in many random ones leaves the same ledger."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import CreditBlock, Hold, LedgerEntry
from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import uuid7
from customers.models import OutboxEvent
from customers.services.test_clock import clock_advance, clock_advance_to_next, clock_set
from tests.conftest import World, make_character
from tests.oracle.kernel import KernelAccount, app_connection, customer_make, environment_see

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
# Behind the last thing that can be due: a block of 400 minutes that starts after 400.
END = 900
EXAMPLES = int(os.environ.get("PURSER_CLOCK_EXAMPLES", "5"))

# Few instants, so that things meet: holds end and blocks die and begin at the same one.
minutes = st.integers(1, 20).map(lambda n: n * 20)
grants = st.tuples(
    st.integers(1, 500),
    st.none() | minutes,
    st.none() | minutes,
    st.sampled_from([0, 5, 10]),
    st.integers(0, 2),
)
holds = st.tuples(st.integers(1, 200), minutes, st.integers(0, 2))
#: To a minute, or (None) to whatever is due next.
jumps = st.lists(st.none() | st.integers(0, END), max_size=12)


def lived(life: tuple[Any, Any], stops: list[int | None]) -> tuple[World, list[Any]]:
    """A world of its own with these grants and holds, advanced over these stops to the end; what is left in it."""
    world = make_character("Clocked").test
    with app_connection() as connection, environment_scope(world.id):
        environment_see(connection, world.id)
        clock_set(caller=world.caller, frozen_time=START, now=system_now())
        accounts = [
            KernelAccount(connection, world.id, customer_make(connection, world.id)) for _ in range(3)
        ]
        begin(accounts, life)
        present = START
        for stop in stops:
            if stop is None:
                moved = clock_advance_to_next(caller=world.caller, now=present)
            else:
                to = max(present, START + stop * MINUTE)
                moved = clock_advance(caller=world.caller, to=to, now=present)
            present = moved.frozen_time
        if present < START + END * MINUTE:
            clock_advance(caller=world.caller, to=START + END * MINUTE, now=present)
        return world, [left(account.customer) for account in accounts]


def begin(accounts: list[KernelAccount], life: tuple[Any, Any]) -> None:
    given_, held = life
    # In the order in which they are made, in every life: what is alike otherwise burns by its id.
    ids = (UUID(int=number) for number in count(uuid7().int & ~0xFFFF))
    for credits, starts, lasts, priority, who in given_:
        begins = START + starts * MINUTE if starts else None
        ends = (begins or START) + lasts * MINUTE if lasts else None
        accounts[who].grant(
            block=next(ids), credits=credits, priority=priority, starts=begins, ends=ends, now=START
        )
    for amount, ttl, who in held:
        accounts[who].hold(
            hold=next(ids), amount=amount, metric="tokens", ends=START + ttl * MINUTE, now=START
        )


def left(customer: UUID) -> dict[str, Any]:
    entries = LedgerEntry.objects.filter(account_id=customer).order_by("sequence")
    blocks = CreditBlock.objects.filter(account_id=customer).order_by("id")
    holds_ = Hold.objects.filter(account_id=customer).order_by("id")
    events = OutboxEvent.objects.filter(customer_id=customer).order_by("sequence")
    return {
        "entries": [
            (each.sequence, each.kind, each.amount_mc, each.balance_after_mc, each.occurred_at)
            for each in entries
        ],
        "blocks": [(each.state, each.original_mc, each.remaining_mc, each.held_mc) for each in blocks],
        "holds": [(each.state, each.amount_mc, each.ended_at) for each in holds_],
        "events": [(each.sequence, each.event, each.occurred_at) for each in events],
    }


@settings(
    max_examples=int(os.environ.get("PURSER_CLOCK_EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(life=st.tuples(st.lists(grants, min_size=1, max_size=12), st.lists(holds, max_size=5)), stops=jumps)
def test_the_way_makes_no_difference(life: tuple[Any, Any], stops: list[int | None]) -> None:
    one, at_once = lived(life, [])
    other, in_jumps = lived(life, stops)

    assert in_jumps == at_once
    for world in (one, other):
        assert ledger_verify(environment_id=world.id).findings == []
