"""The seven aggregations: the vectors, by hand and from the database; and both on random events."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel.ids import uuid7
from metering.engine.aggregation import Measured, aggregate, nearest_rank
from tests.conftest import Api, make_character
from tests.making import give, make_rule, use

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "aggregations.json").read_text())
DAY = datetime(2026, 4, 3, tzinfo=UTC)
KINDS = ("sum", "count", "max", "min", "last", "unique_count", "percentile")


def measured(values: list[str], users: list[Any]) -> list[Measured]:
    return [
        Measured(id=uuid7(), units=Decimal(value), occurred_at=DAY + timedelta(minutes=minute), property=user)
        for minute, (value, user) in enumerate(zip(values, users, strict=True))
    ]


def terms(name: str) -> tuple[str, str | None]:
    """`percentile(95)` → ("percentile", "95")."""
    found = re.fullmatch(r"(\w+)(?:\((\w+)\))?", name)
    assert found is not None
    return found[1], found[2]


@pytest.mark.parametrize("name", VECTORS["expect"])
def test_the_vectors_by_hand(name: str) -> None:
    kind, term = terms(name)
    percentile = Decimal(term) if term and kind == "percentile" else None
    events = measured(VECTORS["values"], VECTORS["user_ids"])
    assert aggregate(kind, events, percentile=percentile) == Decimal(VECTORS["expect"][name])


@pytest.mark.parametrize("kind", VECTORS["empty"])
def test_nothing_is_nothing(kind: str) -> None:
    assert aggregate(kind, [], percentile=Decimal(50)) == Decimal(VECTORS["empty"][kind])


@pytest.mark.parametrize(
    ("percentile", "expected"), [("0", 1), ("7", 7), ("7.1", 8), ("29", 29), ("99.99", 100), ("100", 100)]
)
def test_the_rank_is_exact(percentile: str, expected: int) -> None:
    values = [Decimal(value) for value in range(100, 0, -1)]
    assert nearest_rank(values, percentile=Decimal(percentile)) == expected


def metric(api: Api, key: str, kind: str, percentile: str | None = None) -> None:
    body: dict[str, Any] = {"key": key, "aggregation": kind}
    if kind == "unique_count":
        body["aggregation_property"] = "user_id"
    if kind == "percentile":
        body["percentile"] = percentile
    assert api.post("/v1/metrics", body).status == 201
    make_rule(api, key=key, cost_type="flat", unit_cost=0)


def compute(api: Api, key: str, **period: str) -> dict[str, Any]:
    body = {"external_customer_id": "user_1", "metric_key": key, **period}
    answer = api.post("/v1/usage/compute", body)
    assert answer.status == 200, answer
    return dict(answer.json)


APRIL = {"period_start": "2026-04-01T00:00:00Z", "period_end": "2026-05-01T00:00:00Z"}


@pytest.mark.parametrize("name", VECTORS["expect"])
def test_the_vectors_from_the_database(api: Api, name: str) -> None:
    kind, term = terms(name)
    metric(api, "m", kind, term)
    for minute, (value, user) in enumerate(zip(VECTORS["values"], VECTORS["user_ids"], strict=True)):
        stamp = f"2026-04-03T00:{minute:02}:00Z"
        properties = {} if user is None else {"user_id": user}
        assert use(api, value, metric="m", timestamp=stamp, properties=properties).status == 202

    found = compute(api, "m", **APRIL)

    assert (str(found["quantity"]), found["event_count"]) == (VECTORS["expect"][name], 6)
    assert found["aggregation"] == kind


@pytest.mark.parametrize(
    ("percentile", "expected"),
    # As a float 0.07 * 100 is above 7, and 0.57 * 100 below 57.
    [("0", 1), ("7", 7), ("7.0000000001", 8), ("29", 29), ("57", 57), ("99.9999999999", 100), ("100", 100)],
)
def test_the_rank_from_the_database_is_exact(api: Api, percentile: str, expected: int) -> None:
    metric(api, "m", "percentile", percentile)
    events = [
        {
            "external_customer_id": "user_1",
            "metric_key": "m",
            "value": value,
            "timestamp": "2026-04-03T00:00:00Z",
            "idempotency_key": f"rank_{value}",
        }
        for value in range(100, 0, -1)
    ]
    give(api, 1)
    assert api.post("/v1/events/batch", {"events": events}).status == 207

    assert compute(api, "m", **APRIL)["quantity"] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_period_without_events_from_the_database(api: Api, kind: str) -> None:
    metric(api, "m", kind, "50")
    give(api, 1)
    found = compute(api, "m", **APRIL)
    assert (found["quantity"], found["event_count"], found["late_event_count"], found["cost"]) == (0, 0, 0, 0)


_UNITS = st.decimals(min_value="0.0000000001", max_value="99999", places=10)
_USERS = st.sampled_from([None, "a", "1", 1, 1.5, True, "true", "", ["a"], {"a": 1}])
#: Minutes from noon; most near each other, so that instants meet.
_EVENT = st.tuples(_UNITS, st.integers(-3000, 0) | st.integers(-5, 0), _USERS)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=st.lists(_EVENT, max_size=12),
    period=st.tuples(st.integers(-3200, 1), st.integers(1, 3300)),
    percentile=st.decimals(min_value=0, max_value=100, places=2),
)
def test_the_database_aggregates_as_written_by_hand(events: Any, period: Any, percentile: Decimal) -> None:
    api = Api(make_character("Aggregates").test.secret)
    for kind in KINDS:
        metric(api, kind, kind, str(percentile))
    begin, end = DAY + timedelta(minutes=period[0]), DAY + timedelta(minutes=period[0] + period[1])
    stored: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    for units, minute, user in events:
        instant = DAY + timedelta(minutes=minute)
        for kind in KINDS:
            answer = use(
                api,
                str(units),
                metric=kind,
                timestamp=instant.isoformat(),
                properties={} if user is None else {"user_id": user},
            )
            assert answer.status == 202, answer
            if begin <= instant < end:
                number = UUID(int=len(stored[kind]))
                value = Decimal(str(user)) if isinstance(user, float) else user
                stored[kind].append(Measured(id=number, units=units, occurred_at=instant, property=value))
    if not events:
        give(api, 1)

    for kind in KINDS:
        found = compute(api, kind, period_start=begin.isoformat(), period_end=end.isoformat())
        assert Decimal(str(found["quantity"])) == aggregate(kind, stored[kind], percentile=percentile), kind
        assert found["event_count"] == len(stored[kind])
