"""Source 004 from beginning to end, as printed: a metric, a price plan, a customer, a subscription, events, an invoice
that is charged. Its own total, 6449, is not what its prices come to: that is 14,900."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.clock import clock_set
from tests.concurrency.clients import setting
from tests.conftest import Api, Character
from tests.subscriptions.pricing import GROWTH

#: Of how many events the 1,200,000 calls are told; 1200000 tells of each alone.
EVENTS = setting("PURSER_SOURCE_004_EVENTS", 1200)
CALLS = 1_200_000
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


def other_calls_sent(api: Api) -> None:
    """The rest of the 1,200,000, in batches as large as they may be."""
    each, odd = divmod(CALLS - 1, EVENTS - 1)
    values = [each + (index < odd) for index in range(EVENTS - 1)]
    assert sum(values) == CALLS - 1
    for first in range(0, len(values), 1000):
        events = [
            {
                "customer_id": "cust_acme",
                "metric_key": "api_calls",
                "value": value,
                "timestamp": f"2026-04-{index % 30 + 1:02}T{index % 24:02}:30:00Z",
                "idempotency_key": f"req_{index}",
            }
            for index, value in enumerate(values[first : first + 1000], start=first)
        ]
        answer = api.post("/v1/events/batch", {"events": events})
        assert answer.status == 207, answer
        assert {item["status"] for item in answer["results"]} == {"accepted"}


def invoice_created(api: Api) -> str:
    """Step 6, first half."""
    answer = api.post("/v1/invoices", {"customer_id": "cust_acme", "cutoff_date": "2026-04-30T23:59:59Z"})
    assert answer.status == 201, answer
    assert answer["id"].startswith("inv_")
    told = named(answer, "customer_id", "status", "total_amount", "currency", "period_start", "period_end")
    assert told == {
        "customer_id": "cust_acme",
        "status": "issued",
        "total_amount": 14_900,
        "currency": "usd",
        "period_start": "2026-04-01T00:00:00Z",
        "period_end": "2026-04-30T23:59:59Z",
    }
    lines = [
        {member: line[member] for member in ("description", "amount", "quantity")}
        for line in answer["line_items"]
    ]
    assert lines == [
        {"description": "API Calls — tiered usage (1,200,000 calls)", "amount": 10_000, "quantity": CALLS},
        {"description": "Growth base fee", "amount": 4900, "quantity": 1},
    ]
    return str(answer["id"])


def invoice_charged(api: Api, invoice: str) -> None:
    """Step 6, second half."""
    answer = api.post(f"/v1/invoices/{invoice}/charge", {})
    assert answer.status == 200, answer
    assert named(answer, "invoice_id", "status") == {"invoice_id": invoice, "status": "paid"}
    assert answer["payment_intent_id"].startswith("pi_")
    assert answer["charged_at"] == "2026-05-01T09:00:00Z"


def test_from_a_metric_to_a_paid_invoice(api: Api, acme: Character) -> None:
    # given
    clock_set(acme.test, APRIL_3)
    metric_created(api)
    price_plan_created(api)
    customer_created(api)
    subscription_created(api)
    event_sent(api)
    clock_set(acme.test, datetime(2026, 5, 1, 9, 0, tzinfo=UTC))
    other_calls_sent(api)
    # when
    invoice = invoice_created(api)
    invoice_charged(api, invoice)
    # then
    assert api.get(f"/v1/invoices/{invoice}")["status"] == "paid"
    trail = [event["type"] for event in api.get(f"/v1/invoices/{invoice}/events")["data"]]
    assert trail[:1] == ["invoice.paid"]
    assert trail[-2:] == ["invoice.issued", "invoice.created"]
    tiers = api.get(f"/v1/invoices/{invoice}/explain")["lines"][0]["breakdown"]
    assert [(tier["quantity"], tier["amount"]) for tier in tiers] == [
        ("100000", "0"),
        ("900000", "90"),
        ("200000", "10"),
    ]
