"""What usage would cost: of any time, of quantities somebody thinks of, and with other prices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.models import Invoice
from customers.kernel.database import environment_scope
from subscriptions.models import ChargeSeries
from tests.subscriptions.priced import APRIL, PER_CALL, amounts, charging, growing
from tests.subscriptions.pricing import fee, make_price_plan

MAY = "2026-05-01T00:00:00Z"


def calculate(seller, **asked):
    body = {"customer_id": "cust_acme", "period_start": APRIL, "period_end": MAY, **asked}
    return seller.api.post("/v1/pricing/calculate", body)


def what_if(seller, **asked):
    answer = seller.api.post("/v1/price-plans/plan_growth/what-if", {"from": APRIL, **asked})
    assert answer.status == 202, answer
    rows = seller.api.get(f"/v1/jobs/{answer['id']}/results")["data"]
    return answer["result"], {row["customer_id"]: row for row in rows}


def written(seller):
    with environment_scope(seller.world.id):
        return Invoice.objects.count(), ChargeSeries.objects.count()


def test_a_customers_usage_of_any_time_is_priced_as_one_period(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")

    april = calculate(seller)
    a_day = calculate(seller, period_start="2026-04-03T00:00:00Z", period_end="2026-04-04T00:00:00Z")

    assert (april["total_amount"], april["currency"]) == (14_900, "usd")
    assert [line["amount"] for line in a_day["line_items"]] == [10_000, 4900]
    assert april["line_items"][0]["plan_id"] == "plan_growth"
    assert written(seller) == (0, 0)


def test_a_time_without_a_price_plan_has_no_price(api, acme):
    seller = growing(api, acme.test)

    before = calculate(seller, period_start="2026-03-01T00:00:00Z", period_end=APRIL)
    backwards = calculate(seller, period_end=APRIL)

    assert before.refusal() == (422, "nothing-to-bill")
    assert backwards.refusal() == (422, "validation-failed")


def test_quantities_are_priced_on_a_version(api, acme):
    seller = charging(api, acme.test, PER_CALL, fee("49"), minimum="60")
    make_price_plan(api, "plan_growth", {**PER_CALL, "unit_price": "0.02"})

    def preview(**asked):
        return seller.api.post("/v1/pricing/preview", {"plan_id": "plan_growth", **asked})

    newest = preview(quantities={"api_calls": "100.5"})
    first = preview(plan_version=1, quantities={})
    assert newest["total_amount"] == 201
    assert [(line["kind"], line["amount"]) for line in first["line_items"]] == [
        ("usage", 0),
        ("fee", 4900),
        ("minimum", 1100),
    ]
    assert preview(quantities={"unknown": 1}).refusal() == (422, "validation-failed")
    assert preview(plan_version=9, quantities={}).refusal() == (404, "price-plan-not-found")
    assert preview(quantities={"api_calls": 10**15}).refusal() == (422, "amount-too-large")


def test_the_present_prices_reproduce_the_invoices_to_the_cent(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    seller.billed(cutoff_date=MAY)
    before = written(seller)

    result, rows = what_if(seller)

    assert rows["cust_acme"] | {"display_name": None} == {
        "customer_id": "cust_acme",
        "external_customer_id": rows["cust_acme"]["external_customer_id"],
        "display_name": None,
        "periods": 1,
        "before": 14_900,
        "after": 14_900,
        "difference": 0,
        "invoiced": 14_900,
        "reproduced": True,
    }
    assert (result["unchanged"], result["mismatched"], result["currency"]) == (1, 0, "usd")
    assert written(seller) == before


def test_other_prices_have_winners_and_losers(api, acme):
    seller = growing(api, acme.test, now=datetime(2026, 6, 2, tzinfo=UTC))
    seller.customer("cust_small")
    seller.subscribe("cust_small")
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    seller.use(10_000, "2026-04-03T09:30:00Z", customer="cust_small")

    result, rows = what_if(seller, charges=[{**PER_CALL, "unit_price": "0.0002"}], minimum="5")

    assert {name: (row["before"], row["after"]) for name, row in rows.items()} == {
        "cust_acme": (14_900 + 4900, 24_000 + 500),
        "cust_small": (4900 + 4900, 500 + 500),
    }
    assert {name: row["reproduced"] for name, row in rows.items()} == {"cust_acme": None, "cust_small": None}
    assert (result["winners"], result["losers"], result["periods"]) == (1, 1, 4)
    assert result["difference"] == (24_500 - 19_800) + (1000 - 9800)
    assert written(seller) == (0, 0)


def test_another_version_is_tried_out_by_its_number(api, acme):
    seller = charging(api, acme.test, fee("49"))
    make_price_plan(api, "plan_growth", fee("59"))

    result, _ = what_if(seller, plan_version=2)

    assert (result["before"], result["after"]) == (4900, 5900)


def test_events_that_came_after_the_invoice_are_told_as_a_mismatch(api, acme):
    seller = charging(api, acme.test, PER_CALL)
    assert amounts(seller.billed(cutoff_date=MAY)) == [0]
    seller.use(100, "2026-04-03T09:30:00Z")

    result, rows = what_if(seller)

    assert (rows["cust_acme"]["invoiced"], rows["cust_acme"]["before"]) == (0, 100)
    assert (rows["cust_acme"]["reproduced"], result["mismatched"]) == (False, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"charges": [{"metric_key": "nowhere", "pricing_model": "per_unit", "unit_price": 1}]},
        {"charges": [{"pricing_model": "free"}]},
        {"charges": [], "plan_version": 1},
        {"from": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_and_no_job_is_made(api, acme, asked):
    seller = charging(api, acme.test, fee("49"))

    answer = api.post("/v1/price-plans/plan_growth/what-if", {"from": APRIL, **asked})

    assert answer.status == 422
    assert seller.api.get("/v1/jobs")["data"] == []
