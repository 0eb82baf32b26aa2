"""`GET …/credits?as_of=`: any instant, past or future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from customers.kernel.instants import instant_text
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.making import balance, give, make_metric, use

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def as_of(api: Api, minutes: float, **query: str) -> dict[str, Any]:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return balance(api, query=f"?as_of={instant_text(at(minutes))}{more}")


def numbers(shown: dict[str, Any]) -> tuple[int, int, int]:
    return shown["balance"], shown["reserved_balance"], shown["lifetime_earned"]


@pytest.fixture
def life(api: Api, acme: Character) -> Api:
    """An hour: a grant, usage, a hold that is committed, one that runs out, a block that starts, one that expires."""
    make_metric(api)

    def reserve(units: int, key: str, seconds: int) -> str:
        body = {
            "external_customer_id": "user_1",
            "billable_metric_key": "api_call",
            "estimated_units": units,
            "ttl_seconds": seconds,
        }
        return str(api.post("/v1/reserve", body, idempotency_key=key)["reservation_id"])

    clock_set(acme.test, at(0))
    give(api, 10000)
    give(api, 3000, effective_at=instant_text(at(30)))
    give(api, 500, expires_at=instant_text(at(40)), priority=0, metric_keys=["other"])
    clock_set(acme.test, at(5))
    use(api, 1)
    clock_set(acme.test, at(10))
    held = reserve(4, "held", 3600)
    reserve(2, "lost", 300)
    clock_set(acme.test, at(20))
    api.post(f"/v1/reserve/{held}/commit", {"actual_units": 3}, idempotency_key="c")
    return api


def test_each_instant_as_it_was_though_nobody_settled_anything(life: Api, acme: Character) -> None:
    # given: an hour later, no worker ran, nothing was touched since
    clock_set(acme.test, at(60))
    # then
    assert numbers(as_of(life, -1)) == (0, 0, 0)
    assert numbers(as_of(life, 0)) == (10500, 0, 10500)
    assert numbers(as_of(life, 5)) == (9500, 0, 10500)
    assert numbers(as_of(life, 9.99)) == (9500, 0, 10500)
    assert numbers(as_of(life, 10)) == (9500, 6000, 10500)
    # the lost hold ends at 15 minutes and 5 seconds
    assert numbers(as_of(life, 15)) == (9500, 6000, 10500)
    assert numbers(as_of(life, 15.1)) == (9500, 4000, 10500)
    assert numbers(as_of(life, 20)) == (6500, 0, 10500)
    assert numbers(as_of(life, 30)) == (9500, 0, 13500)
    assert numbers(as_of(life, 39.99)) == (9500, 0, 13500)
    assert numbers(as_of(life, 40)) == (9000, 0, 13500)
    # and: the same when it was done meanwhile
    use(life, 1)
    assert numbers(as_of(life, 15)) == (9500, 6000, 10500)
    assert numbers(as_of(life, 39.99)) == (9500, 0, 13500)
    assert numbers(balance(life)) == (8000, 0, 13500)


def test_blocks_as_they_were(life: Api, acme: Character) -> None:
    clock_set(acme.test, at(60))
    use(life, 9)

    def blocks(minutes: float, **query: str) -> list[tuple[str, int, int, int]]:
        return [
            (block["status"], block["original_amount"], block["remaining_amount"], block["held_amount"])
            for block in as_of(life, minutes, **query)["blocks"]
        ]

    assert blocks(12, include_blocks="true") == [("live", 500, 500, 0), ("live", 10000, 9000, 6000)]
    assert blocks(12, include="all") == [
        ("live", 500, 500, 0),
        ("live", 10000, 9000, 6000),
        ("pending", 3000, 3000, 0),
    ]
    assert blocks(35, include_blocks="true") == [
        ("live", 500, 500, 0),
        ("live", 10000, 6000, 0),
        ("live", 3000, 3000, 0),
    ]
    assert sorted(blocks(59, include="all")) == [
        ("expired", 500, 0, 0),
        ("live", 3000, 3000, 0),
        ("live", 10000, 6000, 0),
    ]


def test_a_conversion_counts_what_it_granted_as_earned(api: Api, acme: Character) -> None:
    clock_set(acme.test, at(0))
    give(api, 1000)
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    clock_set(acme.test, at(1))
    body = {"external_customer_id": "user_1", "price": 1500, "credits": 700}
    assert api.post("/v1/credits/convert", body, idempotency_key="cv")["balance"] == 200
    clock_set(acme.test, at(2))
    assert numbers(as_of(api, 0.5)) == (1000, 0, 1000)
    assert numbers(as_of(api, 1.5)) == (200, 0, 1700) == numbers(balance(api))


def test_the_past_and_the_present_meet(life: Api, acme: Character) -> None:
    clock_set(acme.test, at(25))
    past, present = as_of(life, 24.999), balance(life)
    assert numbers(past) == numbers(present)
    assert "version" in present
    assert "version" not in past
    assert numbers(as_of(life, 41)) == (9000, 0, 13500)


def test_what_is_no_instant_is_refused(api: Api) -> None:
    give(api, 1)
    answer = api.get("/v1/customer-by-external-id/user_1/credits?as_of=yesterday")
    assert answer.refusal() == (422, "validation-failed")
    answer = api.get("/v1/customer-by-external-id/nobody/credits?as_of=2020-01-01T00:00:00Z")
    assert answer.refusal() == (404, "customer-not-found")
