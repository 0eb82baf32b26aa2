"""A period that could not be invoiced by itself: seen wherever somebody looks, and tried again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer
from tests.desk import Desk, somebody
from tests.subscriptions.priced import PER_CALL, Seller
from tests.subscriptions.pricing import fee, make_price_plan
from tests.subscriptions.test_invoices_many import advance

LIST = "/admin/subscriptions/subscription/"
WHY = {"reason": "The event was a mistake"}


@pytest.fixture
def seller(api, acme) -> Seller:
    """April of `cust_acme` comes to more than an invoice may; that of `cust_b` does not."""
    seller = Seller(api=api, world=acme.test)
    seller.time(datetime(2026, 4, 3, tzinfo=UTC))
    seller.metric()
    make_price_plan(api, "plan_growth", PER_CALL, fee("49"))
    for name in ("cust_acme", "cust_b"):
        seller.customer(name)
        seller.subscribe(name, invoices_automatically=True)
    return seller


@pytest.fixture
def mistakes(seller) -> list[str]:
    """The events that are too much, once they have spoilt April's invoice."""
    events = [seller.use(10**15, "2026-04-02T09:30:00Z") for _ in range(2)]
    advance(seller, "2026-05-02T00:00:00Z")
    assert [invoice["customer_id"] for invoice in seller.invoices()] == ["cust_b"]
    return events


@pytest.fixture
def desk(acme) -> Desk:
    return Desk(somebody("finance"), acme.test)


def subscription_of(seller: Seller, customer: str = "cust_acme") -> str:
    return str(seller.api.get(f"/v1/customers/{customer}/subscriptions")["data"][0]["id"])


def failures(seller: Seller) -> list[str | None]:
    """As the API shows them, the first period first."""
    periods = seller.api.get(f"/v1/subscriptions/{subscription_of(seller)}/periods")["data"]
    return [period["invoice_failure"] for period in reversed(periods)]


def retry(seller: Seller) -> str:
    return f"{LIST}{subscription_of(seller)}/actions/retry-invoice/"


def forgive(seller: Seller, events: list[str]) -> None:
    for event in events:
        answer = seller.api.post(f"/v1/events/{event}/void", WHY, idempotency_key=f"void-{event}")
        assert answer.status == 200, answer


def test_it_is_seen_on_home_in_the_list_and_on_the_pages(desk, seller, mistakes):
    [failure, later] = failures(seller)
    assert failure is not None
    assert failure.startswith("amount-too-large: ")
    assert later is None
    with environment_scope(seller.world.id):
        customer = Customer.objects.get(public_id="cust_acme")

    home = desk.open("/admin/")
    assert "Not invoiced" in home
    assert f"{LIST}?invoice=failed" in home
    assert "All that were not invoiced (1)" in home
    failed = desk.open(f"{LIST}?invoice=failed")
    assert subscription_of(seller) in failed
    assert subscription_of(seller, "cust_b") not in failed
    page = desk.open(f"{LIST}{subscription_of(seller)}/change/")
    assert "A period could not be invoiced" in page
    assert "not invoiced: amount-too-large" in page
    assert retry(seller) in page
    assert retry(seller) in desk.open(f"/admin/customers/customer/{customer.pk}/change/")


def test_pages_stay_within_fifteen_queries(desk, seller, mistakes):
    with environment_scope(seller.world.id):
        customer = Customer.objects.get(public_id="cust_acme")
    pages = (
        "/admin/",
        f"{LIST}?invoice=failed",
        f"{LIST}{subscription_of(seller)}/change/",
        f"/admin/customers/customer/{customer.pk}/change/",
    )
    for page in pages:
        desk.open(page)
        assert desk.queries(page) <= 15, page


def test_trying_again_makes_the_invoice_as_the_preview_said(desk, seller, mistakes):
    forgive(seller, mistakes)

    preview = desk.preview(retry(seller), WHY)
    assert "An invoice of 49.00 USD for 2026-04-01 to 2026-04-30, issued now." in preview
    assert len(seller.invoices()) == 1
    assert desk.send(retry(seller), WHY).status_code == 302

    made = seller.invoices()[0]
    assert (made["customer_id"], made["total_amount"]) == ("cust_acme", 4900)
    assert (made["period_start"], made["source"]) == ("2026-04-01T00:00:00Z", "automatic")
    assert failures(seller) == [None, None]
    with environment_scope(seller.world.id):
        record = AuditRecord.objects.get(action="subscription.invoice_retried")
    assert (record.reason, record.actor) == (WHY["reason"], f"user:{desk.user.username}")
    assert "Not invoiced" not in desk.open("/admin/")
    # Who comes second is told so.
    again = desk.send(retry(seller), WHY)
    assert again.status_code == 422
    assert "No invoice has failed here" in again.content.decode()


def test_what_is_wrong_still_is_said_and_nothing_changes(desk, seller, mistakes):
    before = failures(seller)

    answer = desk.send(retry(seller), WHY)

    assert answer.status_code == 422
    assert failures(seller) == before
    assert len(seller.invoices()) == 1
    with environment_scope(seller.world.id):
        assert not AuditRecord.objects.filter(action="subscription.invoice_retried").exists()


def test_the_next_invoice_takes_it_along(desk, seller, mistakes):
    forgive(seller, mistakes)

    seller.billed("cust_acme")

    assert failures(seller) == [None, None]
    assert "Not invoiced" not in desk.open("/admin/")


def test_support_sees_it_and_does_not_bill(acme, seller, mistakes):
    support = Desk(somebody("support"), acme.test)

    page = support.open(f"{LIST}{subscription_of(seller)}/change/")

    assert "A period could not be invoiced" in page
    assert retry(seller) not in page
    assert support.client.get(retry(seller)).status_code == 403
