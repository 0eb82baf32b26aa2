"""Subscriptions under a test clock: what is due happens before the answer, each thing at its own instant."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from subscriptions.services import due_work
from tests.conftest import Api, Character
from tests.making import balance, history, make_metric, use
from tests.subscriptions.deals import BUDGET, PREPAID, Deal, make_variant, subscribe

NEW_YEAR = "2026-01-01T00:00:00Z"


@pytest.fixture
def clocked(api: Api, acme: Character) -> Any:
    assert api.post("/v1/test-clock", {"frozen_time": NEW_YEAR}).status == 200
    yield api
    assert ledger_verify(environment_id=acme.test.id).findings == []


def advance(api: Api, to: str) -> dict[str, Any]:
    answer = api.post("/v1/test-clock/advance", {"to": to})
    assert answer.status == 200, answer
    return dict(answer.json)


def test_a_year_of_a_monthly_contract_with_usage_in_seconds(clocked: Api, acme: Character) -> None:
    began = time.monotonic()
    make_metric(clocked)
    variant = make_variant(acme.test, BUDGET)
    deal = subscribe(clocked, acme.test, variant, begin=None, contract_end="2027-01-01T00:00:00Z")
    for month in range(1, 13):
        # on the tenth, and so many units as the month has number
        advance(clocked, f"2026-{month:02}-10T08:00:00Z")
        assert use(clocked, month).status == 202
    done = advance(clocked, "2027-06-01T00:00:00Z")
    assert time.monotonic() - began < 60

    assert (done["frozen_time"], done["next_due_at"]) == ("2027-06-01T00:00:00Z", None)
    assert deal.look()["status"] == "contract_ended"
    starts = [f"2026-{month:02}-01T00:00:00Z" for month in range(1, 13)] + ["2027-01-01T00:00:00Z"]
    assert deal.told("renewed") == [("renewed", start) for start in starts[1:12]]
    assert deal.told("contract_ending_soon", "contract_ended") == [
        ("contract_ending_soon", "2026-12-02T00:00:00Z"),
        ("contract_ended", "2027-01-01T00:00:00Z"),
    ]
    periods = clocked.get(f"/v1/subscriptions/{deal.id}/periods")["data"][::-1]
    assert [(each["start"], each["end"]) for each in periods] == list(pairwise(starts))
    used = [each["usage_summary"]["by_billable_metric"]["api_call"]["units"] for each in periods]
    assert used == list(range(1, 13))
    # Each month's budget is granted at its start and leaves at its end.
    entries = [(each["kind"], each["occurred_at"]) for each in history(clocked, query="?limit=100")[::-1]]
    assert [at for kind, at in entries if kind == "grant"] == starts[:12]
    assert [at for kind, at in entries if kind == "expire"] == starts[1:]
    assert balance(clocked)["balance"] == 0


def test_the_clock_shows_and_stops_at_what_comes_next(clocked: Api, acme: Character) -> None:
    deal = subscribe(clocked, acme.test, make_variant(acme.test, BUDGET, **PREPAID), begin=None)
    due = clocked.get("/v1/test-clock")["due"]
    assert due[0] == {
        "type": "subscriptions",
        "at": "2026-01-29T00:00:00Z",
        "what": "the subscription of user_1",
    }

    stops = [clocked.post("/v1/test-clock/advance-to-next", {})["frozen_time"] for _ in range(3)]

    assert stops == ["2026-01-29T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-04T00:00:00Z"]
    assert deal.told("renewal_due", "overdue", "expired") == list(
        zip(("renewal_due", "overdue", "expired"), stops, strict=True)
    )
    assert clocked.get("/v1/test-clock")["due"] == []


def test_rollover_at_the_end_comes_before_expiry_at_the_same_instant(clocked: Api, acme: Character) -> None:
    make_metric(clocked)
    subscribe(clocked, acme.test, make_variant(acme.test, {**BUDGET, "rollover_percentage": 50}), begin=None)
    assert use(clocked, 40).status == 202

    done = advance(clocked, "2026-02-01T00:00:00Z")

    assert (done["instants"], done["done"]["subscriptions"]) == (1, 1)
    # 60 were left: half of it rolled over, the rest died, and the new budget came.
    assert balance(clocked)["balance"] == 130_000
    kinds = [entry["kind"] for entry in history(clocked)]
    assert kinds.index("expire") < kinds.index("rollover")


def test_what_fails_is_parked_and_the_clock_goes_on(
    clocked: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = make_variant(acme.test, BUDGET)
    broken = subscribe(clocked, acme.test, variant, begin=None, who="broken")
    sound = subscribe(clocked, acme.test, variant, begin=None, who="sound")
    plain = due_work._step

    def step(subscription: Any, at: Any) -> None:
        if subscription.public_id == broken.id:
            raise ValueError("a broken rule")
        plain(subscription, at)

    with monkeypatch.context() as patch:
        patch.setattr(due_work, "_step", step)
        done = advance(clocked, "2026-03-15T00:00:00Z")

    assert done["frozen_time"] == "2026-03-15T00:00:00Z"
    assert (broken.look()["failure"], broken.look()["failed_at"]) == (
        "ValueError: a broken rule",
        "2026-02-01T00:00:00Z",
    )
    assert len(sound.told("renewed")) == 2
    # when it is mended and retried, it catches up with every period
    assert broken.act("retry").status == 200
    assert [at for _, at in broken.told("renewed")] == ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]


def test_a_clock_is_not_set_to_before_a_subscriptions_life(clocked: Api, acme: Character) -> None:
    advance(clocked, "2026-01-10T00:00:00Z")
    subscribe(clocked, acme.test, make_variant(acme.test), begin=None)

    answer = clocked.post("/v1/test-clock", {"frozen_time": "2026-01-09T00:00:00Z"})

    assert answer.refusal() == (409, "test-clock-behind-facts")
    assert answer["latest_fact"] == "a subscription's life"


def test_many_subscriptions_due_at_one_instant_are_advanced_in_one(
    clocked: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subscriptions.services.due_source._CUSTOMERS_OF_A_BATCH", 4)
    variant = make_variant(acme.test, BUDGET)
    deals: list[Deal] = [
        subscribe(clocked, acme.test, variant, begin=None, who=f"user_{number}") for number in range(10)
    ]

    done = advance(clocked, "2026-02-01T00:00:00Z")

    assert (done["instants"], done["done"]["subscriptions"]) == (1, 10)
    assert {deal.look()["current_period_start"] for deal in deals} == {"2026-02-01T00:00:00Z"}
    with environment_scope(acme.test.id):
        assert OutboxEvent.objects.filter(event="subscription.renewed").count() == 10
