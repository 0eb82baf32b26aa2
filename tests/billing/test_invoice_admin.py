"""Invoices in the admin: found, shown, acted upon; each deed previewed by the service that does it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail

from billing.models import CreditNote, Invoice, InvoiceEvent, InvoiceSettings, Payment
from customers.kernel.database import environment_scope
from customers.models import Customer, Job, User
from tests.billing.invoicing import NOW, line, make_customer, make_invoice, usage_line
from tests.clock import clock_set
from tests.conftest import Character, World
from tests.desk import Desk, somebody

LIST = "/admin/billing/invoice/"


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


@pytest.fixture
def desk(world: World, operator: User) -> Desk:
    return Desk(operator, world)


@pytest.fixture
def customer(world: World) -> Customer:
    return make_customer(world, display_name="Acme Incorporated")


@pytest.fixture
def invoice(world: World, customer: Customer) -> Invoice:
    return make_invoice(world, customer, usage_line(10_000), line(4_900))


def page(invoice: Invoice) -> str:
    return f"{LIST}{invoice.public_id}/change/"


def deed(invoice: Invoice, slug: str) -> str:
    return f"{LIST}{invoice.public_id}/actions/{slug}/"


def again(world: World, invoice: Invoice) -> Invoice:
    with environment_scope(world.id):
        return Invoice.objects.get(id=invoice.id)


class TestList:
    def test_it_shows_what_is_open(
        self, desk: Desk, world: World, customer: Customer, invoice: Invoice
    ) -> None:
        # given
        make_invoice(world, customer, 100, is_draft=True)
        make_invoice(world, customer, 250, currency="eur")
        # when
        shown = desk.open(LIST)
        # then
        assert "INV-000001" in shown
        assert "Draft without a number" in shown
        assert "149.00 USD" in shown
        assert "2 invoices and 2.50 EUR" in shown

    @pytest.mark.parametrize("term", ["INV-000001", "1", "inv-000001", "cust_acme", "Incorporated", "{id}"])
    def test_an_invoice_is_found(
        self, desk: Desk, world: World, customer: Customer, invoice: Invoice, term: str
    ) -> None:
        other = make_invoice(world, make_customer(world, "cust_other", display_name="Other"), 5)
        shown = desk.open(f"{LIST}?q={term.format(id=invoice.public_id)}")
        assert invoice.public_id in shown
        assert other.public_id not in shown

    @pytest.mark.parametrize("term", ["X-000001", "7", "nobody"])
    def test_nothing_is_found(self, desk: Desk, invoice: Invoice, term: str) -> None:
        assert invoice.public_id not in desk.open(f"{LIST}?q={term}")

    def test_filters(self, desk: Desk, world: World, invoice: Invoice, customer: Customer) -> None:
        draft = make_invoice(world, customer, 100, is_draft=True)
        for status, here, gone in (
            ("unpaid", invoice, draft),
            ("issued", invoice, draft),
            ("draft", draft, invoice),
        ):
            shown = desk.open(f"{LIST}?status={status}")
            assert here.public_id in shown
            assert gone.public_id not in shown
        assert invoice.public_id not in desk.open(f"{LIST}?status=overdue")

    def test_another_tenant_sees_nothing(self, invoice: Invoice, operator: User, rival: Character) -> None:
        theirs = Desk(operator, rival.test)
        assert invoice.public_id not in theirs.open(LIST)
        theirs.open(page(invoice), status=404)
        theirs.open(f"{LIST}{invoice.public_id}/pdf/", status=404)
        theirs.open(f"{LIST}of/{invoice.customer_id}/", status=404)


class TestPage:
    def test_it_says_what_is_billed_and_why(self, desk: Desk, invoice: Invoice) -> None:
        # when
        shown = desk.open(page(invoice))
        # then
        for text in (
            "INV-000001 · Acme Incorporated",
            "API Calls — tiered usage (1,200,000 calls)",
            "How it was reckoned",
            "Tier 2",
            "900,000",
            "149.00",
            "Nobody has paid",
            "invoice.issued",
        ):
            assert text in shown, text

    def test_it_takes_no_more_queries_with_more_lines(
        self, desk: Desk, world: World, customer: Customer, invoice: Invoice
    ) -> None:
        many = make_invoice(world, customer, *([5] * 20))
        desk.open(page(invoice))
        assert desk.queries(page(many)) == desk.queries(page(invoice)) <= 15
        assert desk.queries(LIST) <= 15

    def test_the_files(self, desk: Desk, invoice: Invoice) -> None:
        pdf = desk.client.get(f"{LIST}{invoice.public_id}/pdf/")
        assert (pdf["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
        table = desk.client.get(f"{LIST}{invoice.public_id}/csv/")
        assert table.content.decode().count("\r\n") == 3

    def test_a_customers_page_has_its_invoices_and_credit(
        self, desk: Desk, world: World, customer: Customer, invoice: Invoice
    ) -> None:
        make_invoice(world, customer, -700, currency="eur")
        part = f"{LIST}of/{customer.id}/"
        assert f'data-load="{part}"' in desk.open(f"/admin/customers/customer/{customer.id}/change/")
        shown = desk.open(part)
        assert "INV-000001" in shown
        assert "There is credit for the next invoices: 7.00 EUR." in shown

    def test_home_counts_what_is_unpaid(self, desk: Desk, invoice: Invoice) -> None:
        shown = desk.open("/admin/")
        assert "Unpaid invoices" in shown
        assert "149.00 USD" in shown


class TestDeeds:
    def test_void_is_previewed_and_done_once(self, desk: Desk, world: World, invoice: Invoice) -> None:
        # given
        path = deed(invoice, "void")
        # when
        preview = desk.preview(path, {"reason": "Wrong plan"})
        # then
        assert "Void" in preview
        assert again(world, invoice).status == "issued"
        # and when sent twice
        token = desk.token(path)
        for _ in range(2):
            assert desk.send(path, {"reason": "Wrong plan"}, token=token).status_code == 302
        # then
        assert again(world, invoice).status == "void"
        with environment_scope(world.id):
            event = InvoiceEvent.objects.get(type="invoice.voided")
        assert (event.reason, event.actor) == ("Wrong plan", f"user:{desk.user.username}")

    def test_every_deed_needs_a_reason(self, desk: Desk, world: World, invoice: Invoice) -> None:
        for slug in ("void", "mark-paid", "credit-note", "uncollectible"):
            answer = desk.send(deed(invoice, slug), {"kind": "reduction"})
            assert answer.status_code == 422, slug
        assert again(world, invoice).status == "issued"

    def test_a_draft_is_issued(self, desk: Desk, world: World, customer: Customer) -> None:
        draft = make_invoice(world, customer, 5, is_draft=True)
        assert desk.send(deed(draft, "issue"), {"reason": "Checked"}).status_code == 302
        assert again(world, draft).number == "INV-000001"

    def test_marked_as_paid(self, desk: Desk, world: World, invoice: Invoice) -> None:
        data = {"reason": "Bank said so", "reference": "Transfer 77", "paid_at": "2026-05-01T08:00:00"}
        assert desk.send(deed(invoice, "mark-paid"), data).status_code == 302
        assert again(world, invoice).status == "paid"
        with environment_scope(world.id):
            assert Payment.objects.get().provider == "manual"
        assert "Transfer 77" in desk.open(page(invoice))

    def test_a_credit_note_in_major_units(self, desk: Desk, world: World, invoice: Invoice) -> None:
        # given
        path = deed(invoice, "credit-note")
        data = {"kind": "reduction", "amount_minor": "9.50", "reason": "Outage"}
        # when
        preview = desk.preview(path, data)
        assert "139.50" in preview
        assert desk.send(path, data).status_code == 302
        # then
        with environment_scope(world.id):
            note = CreditNote.objects.get()
        assert (note.amount_minor, note.reason) == (950, "Outage")
        assert "CN-000001" in desk.open(page(invoice))
        assert "CN-000001" in desk.open("/admin/billing/creditnote/?q=CN-000001")
        assert "Outage" in desk.open(f"/admin/billing/creditnote/{note.public_id}/change/")

    @pytest.mark.parametrize("amount", ["9.505", "1,000", "-1", "0", "1e400", "149.01", "much"])
    def test_an_amount_that_does_not_fit(
        self, desk: Desk, world: World, invoice: Invoice, amount: str
    ) -> None:
        data = {"kind": "reduction", "amount_minor": amount, "reason": "Outage"}
        assert desk.send(deed(invoice, "credit-note"), data).status_code == 422
        with environment_scope(world.id):
            assert not CreditNote.objects.exists()

    def test_an_email_is_queued(self, desk: Desk, world: World, invoice: Invoice) -> None:
        assert 'value="billing@acme.io"' in desk.open(deed(invoice, "email"))
        assert desk.send(deed(invoice, "email"), {"to": "books@acme.io"}).status_code == 302
        with environment_scope(world.id):
            assert Job.objects.get(kind="billing.invoice_email").parameters["to"] == "books@acme.io"
        assert mail.outbox == []

    def test_given_up(self, desk: Desk, world: World, invoice: Invoice) -> None:
        assert desk.send(deed(invoice, "uncollectible"), {"reason": "Bankrupt"}).status_code == 302
        assert again(world, invoice).status == "uncollectible"

    def test_a_viewer_only_looks(self, world: World, invoice: Invoice) -> None:
        viewer = Desk(somebody("viewer"), world)
        shown = viewer.open(page(invoice))
        assert "PDF" in shown
        assert "actions/void" not in shown
        viewer.open(deed(invoice, "void"), status=403)
        viewer.open(f"{LIST}settings/", status=403)
        finance = Desk(somebody("finance"), world)
        finance.open(deed(invoice, "void"))
        finance.open(f"{LIST}settings/")


class TestSettings:
    def sent(self, **more: Any) -> dict[str, Any]:
        return {"days_until_due": "30", "dunning_days": "1, 2", "number_prefix": "A-", **more}

    def test_they_are_saved(self, desk: Desk, world: World) -> None:
        # given
        path = f"{LIST}settings/"
        assert 'value="3, 5, 7"' in desk.open(path)
        # when
        assert "3, 5, 7" in desk.preview(path, self.sent(seller_name="We"))
        assert desk.send(path, self.sent(seller_name="We")).status_code == 302
        # then
        with environment_scope(world.id):
            settings = InvoiceSettings.objects.get()
        assert (settings.days_until_due, settings.dunning_days, settings.number_prefix) == (30, [1, 2], "A-")
        assert (settings.seller_name, settings.charges_automatically) == ("We", False)

    @pytest.mark.parametrize("days", ["0", "366", "three", "1;2", "1," * 11, "٣"])
    def test_days_that_are_none(self, desk: Desk, world: World, days: str) -> None:
        assert desk.send(f"{LIST}settings/", self.sent(dunning_days=days)).status_code == 422
        with environment_scope(world.id):
            assert InvoiceSettings.objects.get().number_prefix == "INV-"
