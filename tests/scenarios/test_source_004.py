"""Source 004 from beginning to end, as printed: a metric, a price plan, a customer, a subscription, an event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.subscriptions.pricing import GROWTH

APRIL_3 = datetime(2026, 4, 3, 9, 45, tzinfo=UTC)


def named(answer: Any, *members: str) -> dict[str, Any]:
    """These members of an answer."""
    return {member: answer[member] for member in members}


def metric_created(api: Api) -> None:
    """Step 1."""
    answer = api.post(
        "/v1/metrics",
        {
            "key": "api_calls",
            "name": "API Calls",
            "aggregation": "sum",
            "description": "Total API calls made during the billing period",
        },
    )
    assert answer.status == 201, answer
    assert answer["id"].startswith("met_")
    assert named(answer, "key", "name", "aggregation", "status") == {
        "key": "api_calls",
        "name": "API Calls",
        "aggregation": "sum",
        "status": "active",
    }


def price_plan_created(api: Api) -> None:
    """Step 2."""
    answer = api.post("/v1/price-plans", GROWTH)
    assert answer.status == 201, answer
    assert named(answer, "id", "version", "name", "status", "currency", "billing_period") == {
        "id": "plan_growth",
        "version": 1,
        "name": "Growth",
        "status": "active",
        "currency": "usd",
        "billing_period": "monthly",
    }


def customer_created(api: Api) -> None:
    """Step 3."""
    answer = api.post(
        "/v1/customers",
        {
            "id": "cust_acme",
            "name": "Acme Corp",
            "email": "billing@acme.io",
            "payment_provider": "stripe",
            "payment_provider_customer_id": "cus_stripe_acme123",
        },
    )
    assert answer.status == 201, answer
    assert named(answer, "id", "name", "email", "payment_provider") == {
        "id": "cust_acme",
        "name": "Acme Corp",
        "email": "billing@acme.io",
        "payment_provider": "stripe",
    }


def subscription_created(api: Api) -> None:
    """Step 4."""
    answer = api.post(
        "/v1/subscriptions",
        {"customer_id": "cust_acme", "plan_id": "plan_growth", "start_date": "2026-04-01T00:00:00Z"},
    )
    assert answer.status == 201, answer
    assert answer["id"].startswith("sub_")
    assert named(answer, "customer_id", "plan_id", "plan_version", "status", "start_date") == {
        "customer_id": "cust_acme",
        "plan_id": "plan_growth",
        "plan_version": 1,
        "status": "active",
        "start_date": "2026-04-01T00:00:00Z",
    }


def event_sent(api: Api) -> None:
    """Step 5."""
    answer = api.post(
        "/v1/events",
        {
            "customer_id": "cust_acme",
            "metric_key": "api_calls",
            "value": 1,
            "timestamp": "2026-04-03T09:30:00Z",
            "idempotency_key": "req_7f8a9b2c3d4e5f6a",
        },
    )
    assert answer.status == 202, answer


def test_a_customer_of_a_price_plan_sends_events(api: Api, acme: Character) -> None:
    # given
    clock_set(acme.test, APRIL_3)
    metric_created(api)
    price_plan_created(api)
    customer_created(api)
    # when
    subscription_created(api)
    event_sent(api)
    # then
    looks = api.get("/v1/customers/cust_acme/subscriptions")["data"][0]
    assert (looks["current_period_start"], looks["current_period_end"]) == (
        "2026-04-01T00:00:00Z",
        "2026-05-01T00:00:00Z",
    )
    usage = api.post(
        "/v1/usage/compute",
        {
            "customer_id": "cust_acme",
            "metric_key": "api_calls",
            "period_start": "2026-04-01T00:00:00Z",
            "period_end": "2026-05-01T00:00:00Z",
        },
    )
    assert usage["quantity"] == 1
