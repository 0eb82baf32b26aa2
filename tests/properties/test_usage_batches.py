"""A batch means what its events mean one by one: the same lives in twin environments, sent singly and in batches, must
leave the same rows."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from customers.errors import DomainError
from customers.kernel.clock import system_now
from customers.kernel.database import call_function
from customers.kernel.ids import uuid7
from metering.services.usage import UsageInput, UsageRecorded, UsageWish, usage_record
from metering.services.usage_batch import usages_record
from tests.conftest import Api, World, make_character
from tests.making import give, make_metric, make_rule

#: How many lives; nightly runs set more.
LIVES = int(os.environ.get("PURSER_BATCH_LIVES", "20"))

TIERS = [
    {"up_to": 7, "credit_cost": 9},
    {"up_to": 20, "credit_cost": 4},
    {"up_to": None, "credit_cost": "0.5"},
]
METRICS: dict[str, dict[str, Any]] = {
    "unit": {"cost_type": "per_unit", "unit_cost": 3},
    "tier": {"cost_type": "tiered", "tiers": TIERS},
    "volume": {"cost_type": "tiered", "tier_mode": "volume", "tiers": TIERS},
    "pack": {"cost_type": "package", "package_size": 5, "package_cost": 11},
    "free": {"cost_type": "per_unit", "unit_cost": 0},
    "rates": {
        "dimension": "model",
        "rates": {"a": {"cost_type": "tiered", "tiers": TIERS}, "*": {"cost_type": "flat", "unit_cost": 2}},
    },
}
PEOPLE = ("plain", "scoped", "told", "allowed", "notified", "suspended", "new_1", "new_2")


@dataclass(frozen=True)
class Block:
    credits: int
    priority: int
    seconds: int | None
    metrics: tuple[str, ...] | None


@dataclass(frozen=True)
class Event:
    who: str
    metric: str
    units: Any
    key: int
    model: str | None


blocks = st.builds(
    Block,
    credits=st.integers(1, 120),
    priority=st.sampled_from([0, 5, 10]),
    seconds=st.sampled_from([None, None, 3600, 7200]),
    metrics=st.none(),
)
scoped_blocks = st.builds(
    Block,
    credits=st.integers(1, 120),
    priority=st.sampled_from([0, 5, 10]),
    seconds=st.sampled_from([None, 3600]),
    metrics=st.sampled_from([None, ("unit",), ("tier", "unit"), ("pack",)]),
)
events = st.builds(
    Event,
    who=st.sampled_from(PEOPLE),
    metric=st.sampled_from([*METRICS, *METRICS, "unknown"]),
    units=st.sampled_from([1, 2, 3, 5, 8, "0.25", "2.5"]),
    key=st.integers(0, 30),
    model=st.sampled_from([None, "a", "b"]),
)
batches = st.lists(st.lists(events, min_size=1, max_size=25), min_size=1, max_size=4)
#: Nothing that the one call for ordinary events does not take, but for customers who can pay for some. From the second
#: batch on it is known where they stand.
ordinary_events = st.builds(
    Event,
    who=st.sampled_from(["plain", "allowed", "notified", "told"]),
    metric=st.sampled_from(["unit", "free", "tier", "tier", "volume", "pack"]),
    units=st.sampled_from([1, 2, 3, 5, 8, "0.25", "2.5"]),
    key=st.integers(0, 10_000),
    model=st.sampled_from([None, "a"]),
)
ordinary_batches = st.lists(
    st.lists(ordinary_events, min_size=1, max_size=12, unique_by=lambda event: event.key),
    min_size=1,
    max_size=6,
)


@dataclass(frozen=True)
class Life:
    wallets: dict[str, list[Block]]
    hold: int
    #: Whether an endpoint names `credit.consumed`.
    tells: bool
    batches: list[list[Event]]


lives = st.builds(
    Life,
    wallets=st.fixed_dictionaries(
        {
            "plain": st.lists(blocks, min_size=1, max_size=12),
            "scoped": st.lists(scoped_blocks, min_size=1, max_size=5),
            "told": st.lists(blocks, min_size=1, max_size=3),
            "allowed": st.lists(blocks, max_size=2),
            "notified": st.lists(blocks, max_size=2),
            "suspended": st.lists(blocks, min_size=1, max_size=1),
        }
    ),
    hold=st.integers(0, 40),
    tells=st.booleans(),
    batches=st.one_of(batches, ordinary_batches),
)


@settings(
    max_examples=LIVES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A life takes a tenth of a second: making a failing one small would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(life=lives)
def test_a_batch_leaves_what_its_events_would_have_left_one_by_one(life: Life) -> None:
    # given twins: two environments with the same catalogue, customers and credits
    tenant = make_character("Twins")
    begin = system_now()
    for world in (tenant.live, tenant.test):
        begin_life(world, life, begin)
    now = system_now()
    # when the same events come one by one to the one, in batches to the other
    for number, batch in enumerate(life.batches):
        at = now + timedelta(minutes=40 * number)
        singly = [one_by_one(tenant.live, each, at) for each in batch]
        together = usages_record(
            environment_id=tenant.test.id,
            wishes=[UsageWish(caller=tenant.test.caller, usage=usage(each)) for each in batch],
            now=at,
        )
        # then the answers are the same
        assert [told(each) for each in together] == [told(each) for each in singly]
        for world in (tenant.live, tenant.test):
            settle(world, at)
    # and so are the rows
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], row_factory=dict_row) as connection:
        connection.execute("SELECT customers_debits_tell(environment_id, id) FROM customers_customer")
        left, right = (rows_of(connection, world) for world in (tenant.live, tenant.test))
    for table, rows in left.items():
        assert differences(rows, right[table]) == [], table


def differences(left: list[str], right: list[str]) -> list[Any]:
    """What differs, field by field."""
    found: list[Any] = []
    for one, other in zip_longest(left, right):
        if one is None or other is None:
            found.append((one, other))
        elif one != other:
            fields, others = json.loads(one), json.loads(other)
            found.append(
                {name: (fields[name], others[name]) for name in fields if fields[name] != others[name]}
            )
    return found


def begin_life(world: World, life: Life, begin: datetime) -> None:
    api = Api(world.secret)
    for key, terms in METRICS.items():
        make_metric(api, key=key, **terms)
    for who, wallet in life.wallets.items():
        customer = api.post("/v1/customers", {"external_id": who})["id"]
        for block in wallet:
            more: dict[str, Any] = {"priority": block.priority}
            if block.seconds:
                more["expires_at"] = (begin + timedelta(seconds=block.seconds)).isoformat()
            if block.metrics:
                more["metric_keys"] = list(block.metrics)
            give(api, block.credits, to=who, **more)
        if who == "scoped":
            make_rule(api, key="unit", cost_type="per_unit", unit_cost=2, customer_id=customer)
        if who == "plain" and life.hold:
            call_function(
                "billing_hold_create_v1",
                environment=world.id,
                account=customer,
                hold=uuid7(),
                amount=life.hold,
                metric="unit",
                expires_at=begin + timedelta(minutes=50),
                metadata={},
                actor="key:test",
                key=None,
                request="",
                now=begin + timedelta(seconds=30),
            )
    path = "/v1/customer-by-external-id/"
    api.patch(path + "told", {"low_balance_threshold": 30})
    api.patch(path + "allowed", {"overage_policy": "allow", "overage_limit": 150})
    api.patch(path + "notified", {"overage_policy": "notify"})
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE billing_credit_account SET usage_suspended = 'subscription_paused' FROM customers_customer c "
            "WHERE c.id = customer_id AND c.environment_id = %s AND c.external_id = 'suspended'",
            [world.id],
        )
        connection.execute(
            "UPDATE customers_environment SET tells_consumption = %s WHERE id = %s", [life.tells, world.id]
        )


def settle(world: World, now: datetime) -> None:
    """A batch brings all its customers up to date, single events only those that come as far as the database."""
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as connection:
        connection.execute(
            "SELECT billing_account_settle_v1(environment_id, customer_id, %s) FROM billing_credit_account "
            "WHERE environment_id = %s",
            [now, world.id],
        )


def usage(event: Event) -> UsageInput:
    return UsageInput(
        by="external",
        reference=event.who,
        metric_key=event.metric,
        units=Decimal(event.units) if isinstance(event.units, str) else event.units,
        key=f"event-{event.key}",
        properties={"model": event.model} if event.model else None,
        metadata={"n": event.key} if event.key % 3 == 0 else None,
    )


def one_by_one(world: World, event: Event, now: datetime) -> Any:
    try:
        return usage_record(caller=world.caller, usage=usage(event), now=now)
    except DomainError as refusal:
        return refusal


def told(outcome: Any) -> Any:
    if isinstance(outcome, UsageRecorded):
        return outcome.cost_mc, outcome.duplicate
    return outcome.code, {name: value for name, value in outcome.extra.items() if name != "event_id"}


QUERIES = {
    "events": "SELECT e.*, c.external_id AS who FROM metering_usage_event e JOIN customers_customer c "
    "ON c.id = e.customer_id WHERE e.environment_id = %s ORDER BY e.received_at, e.id",
    "entries": "SELECT e.*, c.external_id AS who FROM billing_ledger_entry e JOIN customers_customer c "
    "ON c.id = e.account_id WHERE e.environment_id = %s ORDER BY c.external_id, e.sequence",
    "blocks": "SELECT e.*, c.external_id AS who FROM billing_credit_block e JOIN customers_customer c "
    "ON c.id = e.account_id WHERE e.environment_id = %s ORDER BY e.created_at, e.id",
    "holds": "SELECT e.*, c.external_id AS who FROM billing_hold e JOIN customers_customer c "
    "ON c.id = e.account_id WHERE e.environment_id = %s ORDER BY e.id",
    "accounts": "SELECT e.*, c.external_id AS who FROM billing_credit_account e JOIN customers_customer c "
    "ON c.id = e.customer_id WHERE e.environment_id = %s AND e.version > 0 ORDER BY c.external_id",
    "counters": "SELECT e.*, c.external_id AS who, m.key FROM metering_cycle_counter e JOIN customers_customer c "
    "ON c.id = e.customer_id JOIN metering_metric m ON m.id = e.metric_id WHERE e.environment_id = %s "
    "ORDER BY c.external_id, m.key, e.value",
    "outbox": "SELECT e.*, c.external_id AS who FROM customers_outbox_event e JOIN customers_customer c "
    "ON c.id = e.customer_id WHERE e.environment_id = %s AND e.event <> 'credit.granted' "
    "ORDER BY c.external_id, e.sequence",
    "customers": "SELECT external_id, event_sequence, deleted_at FROM customers_customer WHERE environment_id = %s "
    "ORDER BY external_id",
}
#: What twins cannot share: names of things, and instants the wall clock set.
PRIVATE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[a-z]{3}_[0-9a-z]{26}\b"
)
OWN = {"created_at", "recorded_xid", "environment", "sealed_xid"}


def rows_of(connection: psycopg.Connection[Any], world: World) -> dict[str, list[str]]:
    """Every row as text, names replaced by the order in which they appear."""
    names: dict[str, str] = {}
    found = {}
    for table, query in QUERIES.items():
        rows = connection.execute(query, [world.id]).fetchall()
        found[table] = [_text(row, names) for row in rows]
    return found


def _text(row: dict[str, Any], names: dict[str, str]) -> str:
    kept = {name: _plain(value) for name, value in sorted(row.items()) if name not in OWN}
    payload = kept.get("payload")
    if isinstance(payload, dict):
        kept["payload"] = {k: v for k, v in payload.items() if k not in ("created_at", "environment")}
        if row["event"].startswith("customer."):
            kept.pop("occurred_at", None)
    if row.get("kind") == "grant" or "original_mc" in row:
        # Made through the API, at whatever moment it was then; and by a random key.
        for name in ("occurred_at", "effective_at", "idempotency_key"):
            kept.pop(name, None)
    if "balance_mc" in row:
        kept.pop("last_entry_at", None)  # of a grant perhaps; debits are compared as entries
    text = json.dumps(kept, default=str, sort_keys=True)
    return PRIVATE.sub(lambda found: names.setdefault(found[0], f"<{len(names)}>"), text)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes | memoryview) else value
