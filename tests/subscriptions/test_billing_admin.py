"""Billing by hand: a customer from their page, a price plan's customers from its page, other prices tried out."""

from __future__ import annotations

import pytest

from customers.kernel.database import environment_scope
from customers.models import Customer, Job
from subscriptions.models import PricePlan
from tests.desk import Desk, somebody
from tests.subscriptions.priced import Seller, growing

ASKED = {"cutoff": "2026-04-30T23:59:59", "currency": "", "reason": "asked by phone"}


@pytest.fixture
def seller(api, acme) -> Seller:
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    return seller


@pytest.fixture
def desk(acme, operator) -> Desk:
    return Desk(operator, acme.test)


def customer_page(seller: Seller) -> str:
    with environment_scope(seller.world.id):
        return f"/admin/customers/customer/{Customer.objects.get(public_id='cust_acme').pk}/"


def plan_page(seller: Seller) -> str:
    with environment_scope(seller.world.id):
        return f"/admin/subscriptions/priceplan/{PricePlan.objects.get().id}/"


def test_a_customer_is_invoiced_from_their_page_as_the_preview_said(desk, seller):
    action = f"{customer_page(seller)}actions/invoice/"

    preview = desk.preview(action, ASKED)
    assert "tiered usage (1,200,000 calls)" in preview
    assert "149.00 USD" in preview
    assert seller.invoices() == []
    assert desk.send(action, ASKED).status_code == 302

    [invoice] = seller.invoices()
    assert (invoice["total_amount"], invoice["period_end"]) == (14_900, "2026-04-30T23:59:59Z")
    created = seller.api.get(f"/v1/invoices/{invoice['id']}/events")["data"][-1]
    assert (created["type"], created["reason"]) == ("invoice.created", "asked by phone")


def test_what_is_billed_already_is_said_at_the_form(desk, seller):
    action = f"{customer_page(seller)}actions/invoice/"
    seller.billed(cutoff_date="2026-04-30T23:59:59Z")

    refused = desk.send(action, ASKED)

    assert refused.status_code == 422
    assert "is billed, last by INV-000001" in refused.content.decode()
    assert len(seller.invoices()) == 1


def test_who_may_not_change_invoices_makes_none(acme, seller):
    viewer = Desk(somebody("viewer"), acme.test)

    assert viewer.send(f"{customer_page(seller)}actions/invoice/", ASKED, token="t" * 24).status_code == 403
    assert viewer.send(f"{plan_page(seller)}invoice/", ASKED, token="t" * 24).status_code == 403
    assert seller.invoices() == []


def test_other_prices_are_tried_out_on_the_past(desk, seller):
    form = desk.open(f"{plan_page(seller)}try/")
    assert "tiered api_calls 100000: 0" in form
    draft = {"begin": "2026-04-01T00:00:00", "end": "", "charges": "fee 59", "minimum": ""}

    preview = desk.preview(f"{plan_page(seller)}try/", draft)

    assert "149.00 USD" in preview
    assert "59.00 USD" in preview
    assert seller.invoices() == []
    assert (
        "This is no charge"
        in desk.send(f"{plan_page(seller)}try/", {**draft, "charges": "gratis"}).content.decode()
    )


def test_a_price_plans_customers_are_invoiced_by_a_job(desk, seller):
    asked = {"cutoff": "2026-04-30T23:59:59", "reason": "month end"}

    assert desk.send(f"{plan_page(seller)}invoice/", asked).status_code == 302

    with environment_scope(seller.world.id):
        job = Job.objects.get()
    assert (job.kind, job.parameters["price_plan"]) == ("subscriptions.invoice", "plan_growth")
