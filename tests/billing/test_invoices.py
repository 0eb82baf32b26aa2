"""Invoices as services make them: totals, numbers, states, the chain of lines."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.errors import (
    BilledMeanwhile,
    CreditAlreadyUsed,
    InvoiceIsDraft,
    InvoiceIsIssued,
    InvoiceIsPaid,
    InvoiceIsVoid,
    InvoiceNotFound,
    InvoiceTooLarge,
    LaterInvoiceContinues,
    PaymentUnderWay,
)
from billing.models import (
    CreditBalance,
    CreditMovement,
    Invoice,
    InvoiceEvent,
    InvoiceLine,
    InvoiceSettings,
    Payment,
)
from billing.selectors.invoices import last_lines
from billing.services.invoice_states import (
    invoice_locked,
    invoice_paid,
    invoice_payment_failed,
    invoice_processing,
    invoice_reopened,
    invoice_uncollectible,
)
from billing.services.invoices import invoice_issue, invoice_void
from customers.models import AuditRecord, Customer, OutboxEvent
from tests.billing.invoicing import APRIL, MAY, NOW, line, make_customer, make_invoice, series_of, usage_line
from tests.conftest import Character, World


@pytest.fixture
def world(inside_acme: Character) -> World:
    return inside_acme.test


@pytest.fixture
def customer(world: World) -> Customer:
    return make_customer(world)


def types_of(invoice: Invoice) -> list[str]:
    return list(InvoiceEvent.objects.filter(invoice=invoice).values_list("type", flat=True))


def told_of(customer: Customer) -> list[str]:
    events = OutboxEvent.objects.filter(customer_id=customer.id, event__startswith="invoice.")
    return list(events.order_by("id").values_list("event", flat=True))


def credit_of(customer: Customer, currency: str = "USD") -> int | None:
    found = CreditBalance.objects.filter(customer=customer, currency=currency)
    return found.values_list("balance_minor", flat=True).first()


def paid(world: World, invoice: Invoice) -> Invoice:
    with transaction.atomic():
        locked = invoice_locked(caller=world.caller, invoice_id=invoice.id)
        invoice_paid(caller=world.caller, invoice=locked, amount_minor=locked.amount_due_minor, now=NOW)
    return locked


class TestIssue:
    def test_an_invoice_adds_its_lines_up_and_gets_a_number(self, world: World, customer: Customer) -> None:
        # when
        invoice = make_invoice(world, customer, usage_line(10_000), line(4_900))
        # then
        invoice.refresh_from_db()
        assert (invoice.status, invoice.number, invoice.number_sequence) == ("issued", "INV-000001", 1)
        assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (14_900, 0, 14_900)
        assert (invoice.amount_due_minor, invoice.currency) == (14_900, "usd")
        assert (invoice.issued_at, invoice.due_at) == (NOW, NOW + timedelta(days=14))
        assert invoice.bill_to == {
            "name": "Acme Corp",
            "email": "billing@acme.io",
            "address": None,
            "tax_id": None,
        }
        assert [each.amount_minor for each in invoice.lines.all()] == [10_000, 4_900]
        assert types_of(invoice) == ["invoice.created", "invoice.issued"]
        assert told_of(customer) == ["invoice.issued"]

    def test_the_webhook_tells_the_amounts(self, world: World, customer: Customer) -> None:
        # when
        invoice = make_invoice(world, customer, 14_900, period_end_shown="2026-04-30T23:59:59Z")
        # then
        payload = OutboxEvent.objects.get(customer_id=customer.id, event="invoice.issued").payload
        expected = {
            "invoice_id": invoice.public_id,
            "number": "INV-000001",
            "status": "issued",
            "currency": "usd",
            "period_start": "2026-04-01T00:00:00Z",
            "period_end": "2026-04-30T23:59:59Z",
            "subtotal": 14_900,
            "tax": 0,
            "credits_applied": 0,
            "total_amount": 14_900,
            "amount_paid": 0,
            "amount_due": 14_900,
            "due_date": "2026-05-15T09:00:00Z",
        }
        assert {name: payload[name] for name in expected} == expected
        assert payload["customer_id"] == "cust_acme"

    def test_tax_is_on_the_subtotal_and_rounded_once(self, world: World) -> None:
        # given two lines whose taxes would round to 1 each
        taxed = make_customer(world, "cust_taxed", tax_rate=Decimal("7.7"))
        # when 7.7 % of 14 are 1.078
        invoice = make_invoice(world, taxed, 7, 7)
        # then
        assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (14, 1, 15)
        assert invoice.tax_rate == Decimal("7.7")

    def test_what_comes_to_nothing_is_paid_at_issue(self, world: World, customer: Customer) -> None:
        # when
        invoice = make_invoice(world, customer, 0)
        # then
        assert (invoice.status, invoice.number, invoice.paid_at) == ("paid", "INV-000001", NOW)
        assert types_of(invoice) == ["invoice.created", "invoice.issued", "invoice.paid"]
        assert told_of(customer) == ["invoice.issued", "invoice.paid"]
        told = OutboxEvent.objects.get(customer_id=customer.id, event="invoice.paid").payload
        assert (told["amount"], told["payment_id"], told["provider"]) == (0, None, None)

    def test_a_draft_has_no_number_until_it_is_issued(self, world: World, customer: Customer) -> None:
        # given
        draft = make_invoice(world, customer, 500, is_draft=True)
        assert (draft.status, draft.number, told_of(customer)) == ("draft", None, [])
        # when
        issued = invoice_issue(caller=world.caller, invoice_id=draft.id, now=NOW)
        # then
        assert (issued.status, issued.number) == ("issued", "INV-000001")
        assert types_of(draft) == ["invoice.created", "invoice.issued"]
        with pytest.raises(InvoiceIsIssued):
            invoice_issue(caller=world.caller, invoice_id=draft.id, now=NOW)

    def test_a_draft_is_taxed_and_addressed_as_the_customer_is_at_issue(
        self, world: World, customer: Customer
    ) -> None:
        # given
        draft = make_invoice(world, customer, 1000, is_draft=True)
        Customer.objects.filter(id=customer.id).update(tax_rate=Decimal(19), billing_address="1 Road")
        # when
        issued = invoice_issue(caller=world.caller, invoice_id=draft.id, now=NOW)
        # then
        assert (issued.tax_minor, issued.total_minor, issued.bill_to["address"]) == (190, 1190, "1 Road")

    def test_the_settings_are_printed_on_it(self, world: World, customer: Customer) -> None:
        # given
        InvoiceSettings.objects.create(
            environment_id=world.id,
            number_prefix="A/",
            last_number=41,
            days_until_due=30,
            seller_name="Seller Inc",
            updated_at=NOW,
        )
        # when
        invoice = make_invoice(world, customer, 100)
        # then
        assert (invoice.number, invoice.due_at) == ("A/000042", NOW + timedelta(days=30))
        assert invoice.bill_from["name"] == "Seller Inc"

    def test_an_amount_that_no_integer_holds_is_refused(self, world: World, customer: Customer) -> None:
        with pytest.raises(InvoiceTooLarge):
            make_invoice(world, customer, 10**15, 1)
        assert not Invoice.objects.exists()
        assert not InvoiceSettings.objects.exists()

    def test_a_refused_invoice_takes_no_number(self, world: World, customer: Customer) -> None:
        # given
        first = make_invoice(world, customer, 100)
        stale = line(100, series=series_of(first), previous=None)
        # when
        with pytest.raises(BilledMeanwhile):
            make_invoice(world, customer, stale)
        # then
        assert make_invoice(world, customer, 100).number == "INV-000002"
        assert Invoice.objects.count() == 2


class TestCredit:
    def test_less_than_nothing_is_kept_for_the_next_invoices(self, world: World, customer: Customer) -> None:
        # given a correction by -300 with 10 % tax
        Customer.objects.filter(id=customer.id).update(tax_rate=Decimal(10))
        # when
        correction = make_invoice(world, customer, -300)
        # then
        assert (correction.subtotal_minor, correction.tax_minor) == (-300, -30)
        assert (correction.credits_applied_minor, correction.total_minor) == (-330, 0)
        assert (correction.status, credit_of(customer)) == ("paid", 330)
        # and when
        small = make_invoice(world, customer, 100)
        large = make_invoice(world, customer, 1000)
        # then
        assert (small.credits_applied_minor, small.total_minor, small.status) == (110, 0, "paid")
        assert (large.credits_applied_minor, large.total_minor, large.status) == (220, 880, "issued")
        assert credit_of(customer) == 0
        moved = CreditMovement.objects.order_by("id").values_list(
            "what", "amount_minor", "balance_after_minor"
        )
        assert list(moved) == [("carried", 330, 330), ("applied", -110, 220), ("applied", -220, 0)]

    def test_credit_is_for_its_own_currency_in_any_case(self, world: World, customer: Customer) -> None:
        # given
        make_invoice(world, customer, -300)
        # when
        euros = make_invoice(world, customer, 100, currency="EUR")
        dollars = make_invoice(world, customer, 100, currency="USD")
        # then
        assert (euros.credits_applied_minor, dollars.credits_applied_minor) == (0, 100)

    def test_a_draft_uses_no_credit(self, world: World, customer: Customer) -> None:
        # given
        make_invoice(world, customer, -300)
        # when
        draft = make_invoice(world, customer, 100, is_draft=True)
        # then
        assert (draft.credits_applied_minor, draft.total_minor, credit_of(customer)) == (0, 100, 300)

    def test_a_void_gives_back_what_was_used(self, world: World, customer: Customer) -> None:
        # given
        make_invoice(world, customer, -300)
        invoice = make_invoice(world, customer, 1000)
        assert credit_of(customer) == 0
        # when
        invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        # then
        assert credit_of(customer) == 300


class TestVoid:
    def test_what_it_billed_can_be_billed_again(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, usage_line(10_000))
        series = series_of(invoice)
        # when
        voided = invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong tiers", now=NOW)
        # then
        assert (voided.status, voided.voided_at, voided.number) == ("void", NOW, "INV-000001")
        assert (voided.amount_due_minor, last_lines([series])) == (0, {})
        assert types_of(invoice)[-1] == "invoice.voided"
        payload = OutboxEvent.objects.get(customer_id=customer.id, event="invoice.voided").payload
        assert (payload["reason"], payload["status"], payload["amount_due"]) == ("Wrong tiers", "void", 0)
        record = AuditRecord.objects.get(action="invoice.voided")
        assert (record.object_id, record.reason) == (invoice.public_id, "Wrong tiers")
        # and when
        again = make_invoice(world, customer, usage_line(9_000, series=series), replaces=invoice)
        # then
        assert (again.number, again.total_minor, again.replaces) == ("INV-000002", 9_000, invoice)

    def test_the_last_of_a_series_goes_first(self, world: World, customer: Customer) -> None:
        # given
        first = make_invoice(world, customer, usage_line(400))
        second = make_invoice(world, customer, usage_line(1000, series=series_of(first)))
        assert second.total_minor == 600
        # when
        with pytest.raises(LaterInvoiceContinues) as refused:
            invoice_void(caller=world.caller, invoice_id=first.id, reason="Wrong", now=NOW)
        # then
        assert refused.value.extra == {"invoice_id": second.public_id}
        assert Invoice.objects.get(id=first.id).status == "issued"
        invoice_void(caller=world.caller, invoice_id=second.id, reason="Wrong", now=NOW)
        invoice_void(caller=world.caller, invoice_id=first.id, reason="Wrong", now=NOW)
        assert not InvoiceLine.objects.filter(is_live=True).exists()

    def test_a_draft_is_voided_in_silence(self, world: World, customer: Customer) -> None:
        # given
        draft = make_invoice(world, customer, 100, is_draft=True)
        # when
        voided = invoice_void(caller=world.caller, invoice_id=draft.id, reason="Not needed", now=NOW)
        # then
        assert (voided.status, voided.number, told_of(customer)) == ("void", None, [])
        assert make_invoice(world, customer, 100).number == "INV-000001"

    def test_what_is_paid_is_not_voided(self, world: World, customer: Customer) -> None:
        # given
        invoice = paid(world, make_invoice(world, customer, 100))
        # when
        with pytest.raises(InvoiceIsPaid):
            invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        # then
        assert InvoiceLine.objects.get(invoice=invoice).is_live
        assert "invoice.voided" not in types_of(invoice)

    def test_nothing_is_voided_under_a_payment(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 100)
        Payment.objects.create(
            environment_id=world.id,
            invoice=invoice,
            attempt=1,
            provider="sandbox",
            status="pending",
            amount_minor=100,
            currency="usd",
            provider_key="key-1",
            actor="key:x",
            created_at=NOW,
            updated_at=NOW,
        )
        # when
        with pytest.raises(PaymentUnderWay):
            invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        # then
        assert Invoice.objects.get(id=invoice.id).status == "issued"

    def test_credit_that_later_invoices_used_keeps_it(self, world: World, customer: Customer) -> None:
        # given a correction that is a draft's, so that it can be voided after issue
        correction = make_invoice(world, customer, -300)
        make_invoice(world, customer, 300)
        # when
        with pytest.raises((InvoiceIsPaid, CreditAlreadyUsed)):
            invoice_void(caller=world.caller, invoice_id=correction.id, reason="Wrong", now=NOW)
        # then
        assert credit_of(customer) == 0

    def test_an_invoice_is_voided_once(self, world: World, customer: Customer) -> None:
        invoice = make_invoice(world, customer, 100)
        invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        with pytest.raises(InvoiceIsVoid):
            invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        assert types_of(invoice).count("invoice.voided") == 1


class TestStates:
    def test_paid(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 14_900)
        # when
        paid(world, invoice)
        # then
        invoice.refresh_from_db()
        assert (invoice.status, invoice.paid_minor, invoice.amount_due_minor) == ("paid", 14_900, 0)
        payload = OutboxEvent.objects.get(customer_id=customer.id, event="invoice.paid").payload
        assert (payload["amount"], payload["amount_paid"], payload["status"]) == (14_900, 14_900, "paid")

    def test_processing_comes_to_nothing_and_is_given_up(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 100)
        caller = world.caller
        # when
        with transaction.atomic():
            locked = invoice_locked(caller=caller, invoice_id=invoice.id)
            invoice_processing(caller=caller, invoice=locked, now=NOW)
            invoice_reopened(caller=caller, invoice=locked, now=NOW)
            why = {"failure_code": "card_declined", "failure_message": "No.", "next_attempt_at": None}
            nothing = dict.fromkeys(("payment_id", "payment_intent_id", "provider", "attempt"))
            invoice_payment_failed(caller=caller, invoice=locked, data={**nothing, **why}, now=NOW)
            invoice_uncollectible(caller=caller, invoice=locked, now=NOW)
        # then
        invoice.refresh_from_db()
        assert (invoice.status, invoice.uncollectible_at) == ("uncollectible", NOW)
        assert types_of(invoice) == [
            "invoice.created",
            "invoice.issued",
            "invoice.processing",
            "invoice.reopened",
            "invoice.charge_failed",
            "invoice.uncollectible",
        ]
        assert told_of(customer) == ["invoice.issued", "invoice.payment_failed", "invoice.uncollectible"]
        # and it can be paid nevertheless
        assert paid(world, invoice).status == "paid"

    def test_a_draft_is_not_paid(self, world: World, customer: Customer) -> None:
        draft = make_invoice(world, customer, 100, is_draft=True)
        with pytest.raises(InvoiceIsDraft):
            paid(world, draft)

    def test_another_tenant_has_no_such_invoice(
        self, world: World, customer: Customer, rival: Character
    ) -> None:
        invoice = make_invoice(world, customer, 100)
        with transaction.atomic(), pytest.raises(InvoiceNotFound):
            invoice_locked(caller=rival.test.caller, invoice_id=invoice.id)


class TestTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "changes",
        [{"total_minor": 1, "subtotal_minor": 1}, {"number": "X"}, {"currency": "eur"}, {"bill_to": {}}],
    )
    def test_to_rewrite_what_was_issued(
        self, world: World, customer: Customer, changes: dict[str, Any]
    ) -> None:
        invoice = make_invoice(world, customer, 100)
        with pytest.raises(DatabaseError), transaction.atomic():
            Invoice.objects.filter(id=invoice.id).update(**changes)

    @pytest.mark.parametrize(
        "terms",
        [
            {"previous": None, "rated_before_minor": 0},
            {"rated_before_minor": 99, "amount_minor": 901},
        ],
        ids=["a second beginning", "another amount before"],
    )
    def test_a_line_out_of_the_chain(self, world: World, customer: Customer, terms: dict[str, Any]) -> None:
        # given
        first = make_invoice(world, customer, line(400))
        before = InvoiceLine.objects.get(invoice=first)
        stolen = InvoiceLine(
            environment_id=world.id,
            invoice=first,
            position=2,
            kind="fee",
            description="again",
            quantity=1,
            amount_minor=1000,
            period_start=APRIL,
            period_end=MAY,
            series=before.series,
            previous=before,
            rated_before_minor=400,
            rated_minor=1000,
        )
        for name, value in terms.items():
            setattr(stolen, name, value)
        # then
        with pytest.raises(DatabaseError), transaction.atomic():
            stolen.save(force_insert=True)
