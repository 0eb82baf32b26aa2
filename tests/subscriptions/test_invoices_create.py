"""What is unbilled becomes an invoice, once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.models import Invoice
from customers.kernel.database import environment_scope
from subscriptions.models import ChargeSeries, PeriodInvoice
from tests.conftest import Api
from tests.subscriptions.priced import APRIL, MAY_2, PER_CALL, Seller, amounts, charging, growing, lines
from tests.subscriptions.pricing import fee, make_price_plan

END_OF_APRIL = "2026-04-30T23:59:59Z"


def nothing_stays(seller: Seller) -> bool:
    with environment_scope(seller.world.id):
        return not any(model.objects.exists() for model in (Invoice, ChargeSeries, PeriodInvoice))


def test_a_month_is_its_usage_and_its_fee(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_199_000, "2026-04-03T09:30:00Z")
    seller.use(1000, "2026-04-30T23:59:59.5Z")
    seller.use(77, "2026-05-01T00:00:00Z")

    invoice = seller.billed(cutoff_date=END_OF_APRIL)

    assert lines(invoice) == [
        ("API Calls — tiered usage (1,200,000 calls)", 10_000),
        ("Growth base fee", 4900),
    ]
    assert [line["quantity"] for line in invoice["line_items"]] == [1_200_000, 1]
    assert (invoice["status"], invoice["total_amount"], invoice["currency"]) == ("issued", 14_900, "usd")
    assert (invoice["period_start"], invoice["period_end"]) == (APRIL, END_OF_APRIL)
    assert seller.invoices() == [invoice]


def test_billing_it_again_is_refused_with_the_invoice_that_did(api, acme):
    seller = growing(api, acme.test)
    invoice = seller.billed(cutoff_date=END_OF_APRIL)

    again = seller.bill(cutoff_date=END_OF_APRIL)

    assert again.refusal() == (409, "already-invoiced")
    assert again["invoice_id"] == invoice["id"]
    assert len(seller.invoices()) == 1


def test_with_nothing_to_bill_nothing_is_made(api, acme):
    seller = growing(api, acme.test)
    seller.customer("cust_idle")

    assert seller.bill("cust_idle").refusal() == (422, "nothing-to-bill")
    assert seller.bill(cutoff_date="2026-03-31T00:00:00Z").refusal() == (422, "nothing-to-bill")
    assert seller.bill("cust_unknown").refusal() == (404, "customer-not-found")
    assert nothing_stays(seller)


def test_a_cutoff_inside_a_period_bills_so_far_and_tiers_go_on_counting(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_100_000, "2026-04-03T09:30:00Z")
    seller.use(100_000, "2026-04-20T09:30:00Z")

    first = seller.billed(cutoff_date="2026-04-15T00:00:00Z")
    rest = seller.billed(cutoff_date=END_OF_APRIL)

    assert lines(first) == [("API Calls — tiered usage (1,100,000 calls)", 9500)]
    assert first["period_end"] == "2026-04-15T00:00:00Z"
    assert lines(rest) == [("API Calls — tiered usage (1,200,000 calls)", 500), ("Growth base fee", 4900)]
    assert rest["line_items"][0]["billed_before"] == 9500
    assert first["total_amount"] + rest["total_amount"] == 14_900


def test_an_earlier_cutoff_than_was_billed_takes_nothing_back(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_100_000, "2026-04-12T09:30:00Z")
    seller.billed(cutoff_date="2026-04-15T00:00:00Z")

    assert seller.bill(cutoff_date="2026-04-10T00:00:00Z").refusal() == (409, "already-invoiced")


def test_late_events_are_billed_as_the_difference(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    seller.billed(cutoff_date=END_OF_APRIL)
    late = seller.use(100_000, "2026-04-04T09:30:00Z")
    assert api.get(f"/v1/events/{late}")["late"] is True
    assert api.get(f"/v1/events/{late}")["invoice_lines"] == []

    correction = seller.billed()

    assert lines(correction) == [
        ("Adjustment: API Calls — tiered usage (1,300,000 calls), 2026-04-01 to 2026-05-01", 500)
    ]
    assert correction["line_items"][0]["is_adjustment"] is True
    assert seller.bill().refusal() == (409, "already-invoiced")
    assert [line["invoice_id"] for line in api.get(f"/v1/events/{late}")["invoice_lines"]] == [
        correction["id"]
    ]


def test_an_event_within_the_hour_that_was_stored_after_the_invoice_is_late_too(api, acme):
    seller = growing(api, acme.test, now=datetime(2026, 5, 1, 0, 0, 5, tzinfo=UTC))
    seller.use(1_000_000, "2026-04-30T23:50:00Z")
    seller.billed(cutoff_date=END_OF_APRIL)
    seller.use(100_000, "2026-04-30T23:59:00Z")

    assert amounts(seller.billed()) == [500]


def test_a_voided_event_is_given_back_on_the_next_invoice(api, acme):
    seller = growing(api, acme.test)
    wrong = seller.use(200_000, "2026-04-03T09:30:00Z")
    seller.use(1_000_000, "2026-04-03T09:30:00Z")
    paid = seller.billed(cutoff_date=END_OF_APRIL)
    assert api.post(f"/v1/events/{wrong}/void", {"reason": "test"}, idempotency_key="v").status == 200

    correction = seller.billed()

    assert amounts(correction) == [-1000]
    assert correction["total_amount"] == 0, "it is carried forward as credit"
    assert correction["credits_applied"] == -1000
    events = api.get(f"/v1/invoices/{correction['id']}/lines/{correction['line_items'][0]['id']}/events")
    assert [(event["id"], event["effect"]) for event in events["data"]] == [(wrong, "taken_back")]
    billed_by = api.get(f"/v1/events/{wrong}")["invoice_lines"]
    assert [line["invoice_id"] for line in billed_by] == [paid["id"]]


def test_a_correction_is_on_the_invoice_of_the_next_month(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_000_000, "2026-04-03T09:30:00Z")
    seller.billed(cutoff_date=END_OF_APRIL)
    seller.use(100_000, "2026-04-03T09:30:00Z")
    seller.time(datetime(2026, 6, 1, tzinfo=UTC))

    june = seller.billed(cutoff_date="2026-05-31T23:59:59Z")

    assert amounts(june) == [500, 0, 4900]
    assert (june["period_start"], june["period_end"]) == ("2026-05-01T00:00:00Z", "2026-05-31T23:59:59Z")


def test_what_is_paid_in_advance_is_billed_when_its_period_begins(api, acme):
    seller = charging(api, acme.test, fee("20", pay_in="advance"), fee("49"), now=MAY_2)

    assert amounts(seller.billed(cutoff_date=APRIL)) == [2000]
    assert seller.closing() == 0
    assert amounts(seller.billed(cutoff_date=END_OF_APRIL)) == [4900, 2000], "and May's, which has begun"
    assert seller.closing() == 1
    assert seller.bill(cutoff_date="2026-05-02T00:00:00Z").refusal() == (409, "already-invoiced")


def test_a_minimum_makes_up_for_a_month_of_little_use_and_falls_when_more_comes_to_light(api, acme):
    seller = charging(api, acme.test, PER_CALL, minimum="50")
    seller.use(1000, "2026-04-03T09:30:00Z")
    assert lines(seller.billed(cutoff_date=END_OF_APRIL)) == [
        ("API Calls — usage (1,000 calls)", 1000),
        ("Minimum charge", 4000),
    ]
    seller.use(2500, "2026-04-03T09:30:00Z")

    assert amounts(seller.billed()) == [2500, -2500]


def test_several_subscriptions_share_an_invoice(api, acme):
    seller = growing(api, acme.test)
    make_price_plan(api, "plan_support", fee("10", description="Support"))
    seller.subscribe(plan="plan_support", start="2026-04-10T00:00:00Z")

    invoice = seller.billed(cutoff_date="2026-05-09T23:59:59Z")

    assert lines(invoice) == [
        ("API Calls — tiered usage (0 calls)", 0),
        ("Growth base fee", 4900),
        ("Support", 1000),
    ]
    assert len({line["subscription_id"] for line in invoice["line_items"]}) == 2


def test_of_several_currencies_one_is_named(api, acme):
    seller = growing(api, acme.test)
    make_price_plan(api, "plan_euro", fee("10"), currency="EUR")
    seller.subscribe(plan="plan_euro")

    refused = seller.bill(cutoff_date=END_OF_APRIL)
    assert refused.refusal() == (422, "currency-required")
    assert refused["currencies"] == ["EUR", "USD"]
    assert nothing_stays(seller)
    assert seller.billed(cutoff_date=END_OF_APRIL, currency="eur")["currency"] == "EUR"
    assert seller.billed(cutoff_date=END_OF_APRIL)["total_amount"] == 4900


def test_a_preview_shows_what_is_then_billed_and_leaves_nothing(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")

    preview = seller.bill(cutoff_date=END_OF_APRIL, preview=True)

    assert preview.status == 200
    assert nothing_stays(seller)
    invoice = seller.billed(cutoff_date=END_OF_APRIL)
    assert (preview["id"], preview["number"]) == (None, None)
    assert lines(preview.json) == lines(invoice)
    same = (
        "status",
        "subtotal",
        "tax",
        "total_amount",
        "amount_due",
        "due_date",
        "period_start",
        "period_end",
    )
    assert {name: preview[name] for name in same} == {name: invoice[name] for name in same}
    assert invoice["number"] == "INV-000001"


def test_what_a_voided_invoice_billed_is_billed_by_the_one_that_replaces_it(api, acme):
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    wrong = seller.billed(cutoff_date=END_OF_APRIL)
    assert seller.bill(replaces_invoice_id=wrong["id"]).refusal() == (409, "replaces-refused")
    assert seller.void(wrong["id"]).status == 200
    seller.use(100_000, "2026-04-05T09:30:00Z")

    anew = seller.billed(replaces_invoice_id=wrong["id"])

    assert amounts(anew) == [10_500, 4900]
    assert anew["replaces_invoice_id"] == wrong["id"]
    assert seller.bill(replaces_invoice_id=wrong["id"]).refusal() == (409, "replaces-refused")


def test_invoices_of_one_series_are_voided_from_the_last(api, acme):
    seller = growing(api, acme.test)
    seller.use(200_000, "2026-04-03T09:30:00Z")
    first = seller.billed(cutoff_date="2026-04-15T00:00:00Z")
    second = seller.billed(cutoff_date=END_OF_APRIL)

    assert seller.void(first["id"]).refusal() == (409, "later-invoice-continues")
    assert seller.void(second["id"]).status == 200
    assert seller.void(first["id"]).status == 200
    assert seller.billed(cutoff_date=END_OF_APRIL)["total_amount"] == 5900


def test_a_key_makes_one_invoice_for_ever(api, acme):
    seller = growing(api, acme.test)
    first = seller.bill(cutoff_date=END_OF_APRIL, key="april")

    again = seller.bill(cutoff_date=END_OF_APRIL, key="april")

    assert (again.status, again["id"]) == (201, first["id"])
    assert again.headers["X-Idempotent-Replayed"] == "true"


def test_a_change_of_plan_splits_usage_and_shares_fees_by_the_second(api, acme):
    seller = charging(api, acme.test, PER_CALL, fee("30"), now=datetime(2026, 4, 11, tzinfo=UTC))
    make_price_plan(api, "plan_scale", {**PER_CALL, "unit_price": "0.005"}, fee("60"))
    subscription = api.get("/v1/customers/cust_acme/subscriptions")["data"][0]["id"]
    body = {"plan_id": "plan_scale", "effective": "immediate"}
    assert api.post(f"/v1/subscriptions/{subscription}/change", body).status == 200
    seller.time(MAY_2)
    seller.use(100, "2026-04-10T23:59:59Z")
    seller.use(100, "2026-04-11T00:00:00Z")

    invoice = seller.billed(cutoff_date=END_OF_APRIL)

    assert lines(invoice) == [
        ("API Calls — usage (100 calls)", 100),
        ("Base fee, 2026-04-01 to 2026-04-11", 1000),
        ("API Calls — usage (100 calls)", 50),
        ("Base fee, 2026-04-11 to 2026-05-01", 4000),
    ]


def test_what_was_paid_in_advance_is_shared_when_the_plan_changes(api, acme):
    seller = charging(api, acme.test, fee("30", pay_in="advance"), now=datetime(2026, 4, 11, tzinfo=UTC))
    assert amounts(seller.billed(cutoff_date=APRIL)) == [3000]
    make_price_plan(api, "plan_scale", fee("60", pay_in="advance"))
    subscription = api.get("/v1/customers/cust_acme/subscriptions")["data"][0]["id"]
    body = {"plan_id": "plan_scale", "effective": "immediate"}
    assert api.post(f"/v1/subscriptions/{subscription}/change", body).status == 200

    assert amounts(seller.billed()) == [-2000, 4000]


def test_a_cancellation_at_once_bills_the_part_and_gives_no_advance_back(api, acme):
    seller = charging(
        api, acme.test, fee("30", pay_in="advance"), fee("60"), now=datetime(2026, 4, 11, tzinfo=UTC)
    )
    seller.billed(cutoff_date=APRIL)
    subscription = api.get("/v1/customers/cust_acme/subscriptions")["data"][0]["id"]
    assert api.post(f"/v1/subscriptions/{subscription}/cancel", {"cancel_immediately": True}).status == 200

    assert amounts(seller.billed()) == [2000]
    assert seller.closing() == 1


def test_every_period_of_a_start_in_the_past_can_be_billed(api, acme):
    seller = growing(api, acme.test, now=datetime(2026, 6, 15, tzinfo=UTC))
    seller.use(150_000, "2026-04-03T09:30:00Z")
    seller.use(250_000, "2026-05-03T09:30:00Z")

    both = seller.billed(cutoff_date="2026-05-31T23:59:59Z")

    assert amounts(both) == [500, 4900, 1500, 4900]
    assert seller.closing() == 2


def test_on_live_nobody_bills_the_future(acme):
    live = Api(acme.live.secret)
    seller = Seller(api=live, world=acme.live)
    seller.metric()
    make_price_plan(live, "plan_growth", fee("49"))
    seller.customer()
    seller.subscribe()

    assert seller.bill(cutoff_date="2999-01-01T00:00:00Z").refusal() == (422, "cutoff-in-future")
    assert nothing_stays(seller)


def test_a_draft_bills_too_and_is_issued_later(api, acme):
    seller = growing(api, acme.test)

    draft = seller.billed(cutoff_date=END_OF_APRIL, draft=True)

    assert (draft["status"], draft["number"]) == ("draft", None)
    assert seller.bill(cutoff_date=END_OF_APRIL).refusal() == (409, "already-invoiced")
    assert api.post(f"/v1/invoices/{draft['id']}/issue", {})["number"] == "INV-000001"


def test_another_tenant_bills_nobody_of_ours(api, acme, rival):
    growing(api, acme.test)
    theirs = Seller(api=Api(rival.test.secret), world=rival.test)

    assert theirs.bill().refusal() == (404, "customer-not-found")
    assert theirs.invoices() == []


@pytest.mark.parametrize(
    "body",
    [
        {"cutoff_date": "yesterday"},
        {"currency": "xxx"},
        {"replaces_invoice_id": "inv_1"},
        {"preview": "yes"},
        {"nonsense": 1},
        {"metadata": []},
    ],
)
def test_what_makes_no_sense_is_refused(api, acme, body):
    seller = growing(api, acme.test)

    assert seller.bill(**body).status == 422
    assert nothing_stays(seller)


def test_the_explanation_leads_from_the_line_to_the_events_and_back(api, acme):
    seller = growing(api, acme.test)
    used = [seller.use(600_000, f"2026-04-0{day}T09:30:00Z") for day in (3, 4)]
    seller.use(5, "2026-05-01T09:30:00Z")
    invoice = seller.billed(cutoff_date=END_OF_APRIL)

    usage, base = api.get(f"/v1/invoices/{invoice['id']}/explain")["lines"]

    assert usage["charge"]["pricing_model"] == "tiered"
    assert [(tier["quantity"], tier["amount"]) for tier in usage["breakdown"]] == [
        ("100000", "0"),
        ("900000", "90"),
        ("200000", "10"),
    ]
    assert (usage["rated"], usage["usage"]["aggregation"], usage["usage"]["event_count"]) == (
        10_000,
        "sum",
        2,
    )
    assert base["share"] == {"fee": 4900, "seconds": 30 * 86_400, "of_seconds": 30 * 86_400}
    counted = api.get(usage["usage"]["events"])["data"]
    assert [(event["id"], event["effect"]) for event in counted] == [
        (each, "counted") for each in reversed(used)
    ]
    back = api.get(f"/v1/events/{used[0]}")
    assert back["late"] is False
    assert back["invoice_lines"] == [
        {
            "invoice_id": invoice["id"],
            "invoice_number": "INV-000001",
            "line_id": usage["id"],
            "description": "API Calls — tiered usage (1,200,000 calls)",
            "is_adjustment": False,
        }
    ]
