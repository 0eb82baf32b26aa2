"""A plan variant with a price plan: one subscription grants credits, and is invoiced in money."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.subscriptions.pricing import fee, make_price_plan

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, 0, 0, 1, tzinfo=UTC)


def both_sold(api: Api) -> str:
    """100 credits a month and 20 dollars; a call costs a credit, and a cent. The variant's id."""
    api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"})
    api.post(
        "/v1/metering-rules",
        {"billable_metric_key": "api_calls", "cost_type": "per_unit", "unit_cost": 1000},
    )
    calls = {"pricing_model": "per_unit", "metric_key": "api_calls", "unit_price": "0.01"}
    warned = make_price_plan(api, "plan_money", fee("20.00", description="Base fee"), calls)
    assert [warning["code"] for warning in warned["warnings"]] == ["priced-twice"]
    plan = api.post("/v1/plans", {"name": "Both", "features": {"sso": True}})["id"]
    variant = api.post(
        f"/v1/plans/{plan}/variants",
        {
            "name": "Monthly",
            "billing_cycle": "monthly",
            "billing_mode": "postpaid",
            "price_plan_id": "plan_money",
        },
    )
    assert variant.status == 201, variant
    grants = f"/v1/plans/{plan}/variants/{variant['id']}/credit-grants"
    assert api.post(grants, {"credits": 100_000, "expires": "interval_end"}).status == 201
    return str(variant["id"])


def test_usage_burns_credits_and_is_billed_in_money(api: Api, acme: Character) -> None:
    # given
    clock_set(acme.test, APRIL)
    variant = both_sold(api)
    api.post("/v1/customers", {"id": "cust_both"})
    made = api.post("/v1/subscriptions", {"customer_id": "cust_both", "plan_variant_id": variant})
    assert (made.status, made["plan_variant_id"], made["price_plan_id"], made["plan_version"]) == (
        201,
        variant,
        "plan_money",
        1,
    )
    assert (made["balance"], [warning["metric_key"] for warning in made["warnings"]]) == (
        100_000,
        ["api_calls"],
    )
    # when
    used = api.post(
        "/v1/usage",
        {"customer_id": "cust_both", "billable_metric_key": "api_calls", "units": 30},
        idempotency_key="call-1",
    )
    assert used.status == 202, used
    assert api.get("/v1/customers/cust_both/credits")["balance"] == 70_000
    clock_set(acme.test, MAY)
    # then the credits of the new period are there, and the old period has its invoice
    assert api.get("/v1/customers/cust_both/credits")["balance"] == 100_000
    invoice = api.post("/v1/invoices", {"customer_id": "cust_both", "cutoff_date": "2026-04-30T23:59:59Z"})
    assert invoice.status == 201, invoice
    assert (invoice["total_amount"], invoice["currency"]) == (2030, "usd")
    assert sorted((line["amount"], line["quantity"]) for line in invoice["line_items"]) == [
        (30, 30),
        (2000, 1),
    ]
    # and what the plan includes is told of both
    assert api.get("/v1/entitlements/check?customer_id=cust_both&feature_key=sso")["entitled"] is True


def test_a_move_to_a_variant_without_one_ends_the_money(api: Api, acme: Character) -> None:
    # given
    clock_set(acme.test, APRIL)
    both = both_sold(api)
    plan = api.post("/v1/plans", {"name": "Credits only"})["id"]
    terms = {"name": "Monthly", "billing_cycle": "monthly", "billing_mode": "postpaid"}
    alone = api.post(f"/v1/plans/{plan}/variants", terms)["id"]
    api.post("/v1/customers", {"id": "cust_both"})
    made = api.post("/v1/subscriptions", {"customer_id": "cust_both", "plan_variant_id": both})
    # when, after ten of thirty days
    clock_set(acme.test, datetime(2026, 4, 11, tzinfo=UTC))
    moved = api.post(f"/v1/subscriptions/{made['id']}/change", {"plan_variant_id": alone})
    assert (moved["plan_variant_id"], moved["price_plan_id"]) == (alone, None)
    clock_set(acme.test, MAY)
    # then a third of the fee is due, and from then on nothing is
    invoice = api.post("/v1/invoices", {"customer_id": "cust_both", "cutoff_date": "2026-04-30T23:59:59Z"})
    assert invoice.status == 201, invoice
    assert invoice["total_amount"] == 667
    clock_set(acme.test, datetime(2026, 6, 1, tzinfo=UTC))
    again = api.post("/v1/invoices", {"customer_id": "cust_both", "cutoff_date": "2026-05-31T23:59:59Z"})
    assert again.status in (409, 422), again
