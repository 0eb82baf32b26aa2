"""Prepaid products as tenants build them, lived through the API under a test clock: a chat app with a daily free
allowance, an image generator with monthly credits that roll over and topups, and an agent that holds credits."""

from __future__ import annotations

from typing import Any

import pytest

from billing.services.verification import ledger_verify
from tests.conftest import Api, Character
from tests.making import balance, make_metric, use

BEGIN = "2026-03-01T00:00:00Z"


class Shop:
    """A tenant's backend that sells plans."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def done(self, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        answer = self.api.post(path, body, idempotency_key=key)
        assert answer.status < 300, answer
        return dict(answer.json)

    def sell(self, terms: dict[str, Any], *grants: dict[str, Any]) -> str:
        plan = self.done("/v1/plans", {"name": "Plan"})["id"]
        variant = self.done(f"/v1/plans/{plan}/variants", {"name": "Variant", **terms})["id"]
        for grant in grants:
            self.done(f"/v1/plans/{plan}/variants/{variant}/credit-grants", grant)
        return str(variant)

    def subscribe(self, who: str, variant: str) -> str:
        self.done("/v1/customers", {"external_id": who})
        body = {"external_customer_id": who, "plan_variant_id": variant}
        return str(self.done("/v1/subscriptions", body)["id"])

    def until(self, instant: str) -> None:
        self.done("/v1/test-clock/advance", {"to": instant})

    def told(self, *names: str) -> list[str]:
        events = self.api.get("/v1/webhook-events?limit=100")["data"]
        return [event["event"] for event in events if event["event"] in names]


@pytest.fixture
def shop(api: Api, acme: Character) -> Any:
    made = Shop(api)
    made.done("/v1/test-clock", {"frozen_time": BEGIN})
    yield made
    done = ledger_verify(environment_id=acme.test.id)
    assert done.ok, done.findings


def test_a_chat_app_gives_ten_messages_a_day_and_sells_more(shop: Shop, api: Api) -> None:
    # given: ten messages a day that are gone at its end, and a topup that is not
    make_metric(api, key="message")
    free = shop.sell(
        {"billing_cycle": "monthly", "billing_mode": "postpaid"},
        {"credits": 10_000, "grant_interval": "daily", "expires": "interval_end"},
    )
    shop.subscribe("ada", free)
    shop.done("/v1/topup/grant", {"external_customer_id": "ada", "credits": 5_000}, key="topup-1")
    # when
    answers = [use(api, 1, by="ada", metric="message").status for _ in range(16)]
    # then the day's messages burn first, the topup after them
    assert answers == [202] * 15 + [402]
    shop.until("2026-03-02T00:00:00Z")
    assert balance(api, of="ada")["balance"] == 10_000
    shop.until("2026-03-31T12:00:00Z")
    assert balance(api, of="ada")["balance"] == 10_000
    checked = api.get("/v1/customer-by-external-id/ada/entitlements/message?units=11")
    assert (checked["allowed"], checked["reason"], checked["affordable_units"]) == (
        False,
        "insufficient_credits",
        10,
    )


def test_an_image_generator_sells_months_that_roll_over(shop: Shop, api: Api) -> None:
    # given: 100 images a month, half of what is left rolls over, within 120
    make_metric(api, key="image")
    pro = shop.sell(
        {
            "billing_cycle": "monthly",
            "billing_mode": "prepaid",
            "renewal_due_days": 3,
            "grace_period_days": 5,
        },
        {
            "credits": 100_000,
            "expires": "interval_end",
            "rollover_percentage": 50,
            "accumulation_cap": 120_000,
        },
    )
    subscription = shop.subscribe("grace", pro)
    use(api, 30, by="grace", metric="image")
    # when the tenant charges the card at renewal_due and renews, twice for safety
    shop.until("2026-03-29T00:00:00Z")
    assert shop.told("subscription.renewal_due") == ["subscription.renewal_due"]
    renew = f"/v1/subscriptions/{subscription}/renew"
    first = shop.done(renew, {"external_payment_id": "pi_march"}, key="renew-march")
    assert shop.done(renew, {"external_payment_id": "pi_march"}, key="renew-march") == first
    shop.until("2026-04-01T00:00:00Z")
    # then
    assert balance(api, of="grace")["balance"] == 120_000
    # and when nobody pays for May
    shop.until("2026-05-01T00:00:00Z")
    assert api.get(f"/v1/subscriptions/{subscription}")["status"] == "overdue"
    shop.until("2026-05-06T00:00:00Z")
    assert api.get(f"/v1/subscriptions/{subscription}")["status"] == "expired"
    assert balance(api, of="grace")["balance"] == 0
    names = ("subscription.renewed", "subscription.overdue", "subscription.expired")
    assert shop.told(*names) == list(reversed(names))


def test_an_agent_holds_its_budget_across_the_end_of_a_period(shop: Shop, api: Api) -> None:
    # given
    make_metric(api, key="step")
    agent = shop.sell(
        {"billing_cycle": "monthly", "billing_mode": "postpaid"},
        {"credits": 50_000, "expires": "interval_end"},
    )
    shop.subscribe("robot", agent)
    shop.until("2026-03-31T23:50:00Z")
    body = {
        "external_customer_id": "robot",
        "billable_metric_key": "step",
        "estimated_units": 20,
        "ttl_seconds": 3600,
    }
    hold = shop.done("/v1/reserve", body, key="run-1")["reservation_id"]
    # when the period ends under way
    shop.until("2026-04-01T00:00:00Z")
    assert balance(api, of="robot")["effective_balance"] == 50_000
    # then the run is paid out of what it held, and what it did not use of a dead budget is gone
    shop.done(f"/v1/reserve/{hold}/commit", {"actual_units": 12}, key="run-1-done")
    now = balance(api, of="robot")
    assert (now["balance"], now["reserved_balance"]) == (50_000, 0)
