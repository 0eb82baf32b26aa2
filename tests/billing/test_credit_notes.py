"""Credit notes and payments by hand, as services make them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.errors import (
    CreditNoteKindForbidden,
    CreditNoteTooLarge,
    InvoiceIsCredited,
    InvoiceIsDraft,
    InvoiceIsPaid,
    PaymentUnderWay,
    RefundNotPossible,
)
from billing.models import (
    CreditBalance,
    CreditMovement,
    CreditNote,
    Invoice,
    InvoiceEvent,
    InvoiceLine,
    InvoiceSettings,
    Payment,
)
from billing.services import credit_notes
from billing.services.credit_notes import LineCredit, credit_note_create, credit_note_refund_settled
from billing.services.invoices import invoice_void
from billing.services.manual_payments import invoice_mark_paid
from customers.errors import ValidationFailed
from customers.models import Customer, OutboxEvent
from tests.billing.invoicing import NOW, make_customer, make_invoice
from tests.conftest import Character, World


@pytest.fixture
def world(inside_acme: Character) -> World:
    return inside_acme.test


@pytest.fixture
def customer(world: World) -> Customer:
    return make_customer(world)


@pytest.fixture
def paybacks() -> Iterator[list[CreditNote]]:
    """Somebody who pays back; what they were asked for."""
    asked: list[CreditNote] = []

    def refund(*, credit_note: CreditNote, **_: Any) -> None:
        asked.append(credit_note)

    before = credit_notes._refunds[:]
    credit_notes._refunds[:] = [refund]
    yield asked
    credit_notes._refunds[:] = before


def credit(world: World, invoice: Invoice, amount: int | None = None, **terms: Any) -> CreditNote:
    return credit_note_create(
        caller=world.caller, invoice_id=invoice.id, amount_minor=amount, now=NOW, **terms
    )


def pay(world: World, invoice: Invoice, **terms: Any) -> Payment:
    return invoice_mark_paid(caller=world.caller, invoice_id=invoice.id, now=NOW, **terms)


def balance_of(customer: Customer) -> int:
    return CreditBalance.objects.get(customer=customer).balance_minor


class TestReduction:
    def test_less_is_due(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 14_900)
        # when
        note = credit(world, invoice, 900, reason="Outage on the 3rd")
        # then
        invoice.refresh_from_db()
        assert (note.number, note.kind, note.amount_minor, note.refund_status) == (
            "CN-000001",
            "reduction",
            900,
            "",
        )
        assert (invoice.status, invoice.credited_minor, invoice.amount_due_minor) == ("issued", 900, 14_000)
        event = InvoiceEvent.objects.get(invoice=invoice, type="invoice.credited")
        assert (event.reason, event.data["amount"], event.data["number"]) == (
            "Outage on the 3rd",
            900,
            "CN-000001",
        )

    def test_without_an_amount_it_is_all_that_is_due_and_the_invoice_is_paid(
        self, world: World, customer: Customer
    ) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        credit(world, invoice, 400)
        # when
        note = credit(world, invoice)
        # then
        invoice.refresh_from_db()
        assert (note.amount_minor, invoice.status, invoice.paid_minor) == (600, "paid", 0)
        payload = OutboxEvent.objects.get(customer_id=customer.id, event="invoice.paid").payload
        assert (payload["amount"], payload["credit_note_id"]) == (0, note.public_id)

    def test_not_more_than_is_due(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        credit(world, invoice, 400)
        # when
        with pytest.raises(CreditNoteTooLarge) as refused:
            credit(world, invoice, 601)
        # then
        assert refused.value.extra == {"available": 600}
        assert CreditNote.objects.count() == 1
        assert InvoiceSettings.objects.get().last_credit_note_number == 1
        assert Invoice.objects.get().credited_minor == 400

    def test_its_tax_is_its_share_and_all_of_it_in_the_end(self, world: World) -> None:
        # given 19 % of 1001 are 190.19
        taxed = make_customer(world, "cust_taxed")
        Customer.objects.filter(id=taxed.id).update(tax_rate=Decimal(19))
        invoice = make_invoice(world, taxed, 1001)
        assert (invoice.tax_minor, invoice.total_minor) == (190, 1191)
        # when
        taxes = [credit(world, invoice, amount).tax_minor for amount in (1, 100, 333, 757)]
        # then
        assert sum(taxes) == 190
        assert taxes == [0, 16, 53, 121]

    def test_of_certain_lines(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 1000, 500)
        first, second = InvoiceLine.objects.filter(invoice=invoice)
        # when
        note = credit(
            world,
            invoice,
            lines=[
                LineCredit(line_id=first.id, amount_minor=600),
                LineCredit(line_id=second.id, amount_minor=1),
            ],
        )
        # then
        assert note.amount_minor == 601
        assert note.lines == [
            {"invoice_line_id": first.public_id, "amount": 600},
            {"invoice_line_id": second.public_id, "amount": 1},
        ]
        with pytest.raises(ValidationFailed) as refused:
            credit(world, invoice, lines=[LineCredit(line_id=first.id, amount_minor=401)])
        assert [(error.field, error.message) for error in refused.value.errors] == [
            ("lines.0.amount", "The line came to 1000, tax included.")
        ]

    def test_a_line_of_another_invoice_and_another_sum_are_refused(
        self, world: World, customer: Customer
    ) -> None:
        invoice, other = make_invoice(world, customer, 1000), make_invoice(world, customer, 1000)
        foreign = InvoiceLine.objects.get(invoice=other)
        own = InvoiceLine.objects.get(invoice=invoice)
        with pytest.raises(ValidationFailed):
            credit(world, invoice, lines=[LineCredit(line_id=foreign.id, amount_minor=1)])
        with pytest.raises(ValidationFailed):
            credit(world, invoice, 5, lines=[LineCredit(line_id=own.id, amount_minor=4)])
        assert not CreditNote.objects.exists()

    def test_neither_a_draft_nor_a_kind_for_paid_ones(self, world: World, customer: Customer) -> None:
        draft = make_invoice(world, customer, 1000, is_draft=True)
        open_one = make_invoice(world, customer, 1000)
        with pytest.raises(InvoiceIsDraft):
            credit(world, draft, 1)
        with pytest.raises(CreditNoteKindForbidden):
            credit(world, open_one, 1, kind="balance")
        assert not CreditNote.objects.exists()

    def test_what_was_credited_is_not_voided(self, world: World, customer: Customer) -> None:
        invoice = make_invoice(world, customer, 1000)
        credit(world, invoice, 1)
        with pytest.raises(InvoiceIsCredited):
            invoice_void(caller=world.caller, invoice_id=invoice.id, reason="Wrong", now=NOW)
        assert Invoice.objects.get().status == "issued"


class TestBalance:
    def test_what_was_paid_is_kept_for_the_next_invoice(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        pay(world, invoice)
        # when
        note = credit(world, invoice, 300)
        # then
        assert (note.kind, balance_of(customer)) == ("balance", 300)
        assert Invoice.objects.get().status == "paid"
        movement = CreditMovement.objects.get()
        assert (movement.what, movement.credit_note, movement.amount_minor) == ("credited", note, 300)
        # and when
        following = make_invoice(world, customer, 1000)
        # then
        assert (following.credits_applied_minor, following.total_minor) == (300, 700)

    def test_credit_that_was_used_comes_back_as_credit(self, world: World, customer: Customer) -> None:
        # given an invoice of 100, paid by credit
        first = make_invoice(world, customer, 1000)
        pay(world, first)
        credit(world, first, 100)
        second = make_invoice(world, customer, 100)
        assert (second.status, second.paid_minor) == ("paid", 0)
        # when
        credit(world, second, 100)
        # then
        assert balance_of(customer) == 100

    def test_no_more_than_was_paid(self, world: World, customer: Customer) -> None:
        invoice = make_invoice(world, customer, 1000)
        pay(world, invoice)
        credit(world, invoice, 900)
        with pytest.raises(CreditNoteTooLarge) as refused:
            credit(world, invoice, 101)
        assert refused.value.extra == {"available": 100}
        assert balance_of(customer) == 900


class TestRefund:
    def test_somebody_is_asked_to_pay_back_and_tells_what_came_of_it(
        self, world: World, customer: Customer, paybacks: list[CreditNote]
    ) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        pay(world, invoice)
        # when
        note = credit(world, invoice, 400, kind="refund")
        # then
        assert paybacks == [note]
        assert note.refund_status == "pending"
        # and when told twice
        for refund_id in ("re_1", "re_2"):
            credit_note_refund_settled(
                caller=world.caller,
                credit_note_id=note.id,
                succeeded=True,
                provider_refund_id=refund_id,
                now=NOW,
            )
        # then
        settled = CreditNote.objects.get()
        assert (settled.refund_status, settled.provider_refund_id) == ("succeeded", "re_1")
        assert InvoiceEvent.objects.filter(invoice=invoice, type="invoice.refunded").count() == 1
        assert not CreditMovement.objects.exists()

    def test_what_could_not_be_paid_back_can_be_given_otherwise(
        self, world: World, customer: Customer, paybacks: list[CreditNote]
    ) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        pay(world, invoice)
        note = credit(world, invoice, 1000, kind="refund")
        with pytest.raises(CreditNoteTooLarge):
            credit(world, invoice, 1, kind="balance")
        # when
        credit_note_refund_settled(caller=world.caller, credit_note_id=note.id, succeeded=False, now=NOW)
        # then
        credit(world, invoice, 1000, kind="balance")
        assert balance_of(customer) == 1000

    def test_credit_is_not_paid_back_in_money(
        self, world: World, customer: Customer, paybacks: list[CreditNote]
    ) -> None:
        first = make_invoice(world, customer, 1000)
        pay(world, first)
        credit(world, first, 100, kind="balance")
        second = make_invoice(world, customer, 300)
        pay(world, second)
        with pytest.raises(CreditNoteTooLarge) as refused:
            credit(world, second, 201, kind="refund")
        assert refused.value.extra == {"available": 200}
        assert paybacks == []

    def test_nobody_can_pay_back(self, world: World, customer: Customer) -> None:
        before = credit_notes._refunds[:]
        credit_notes._refunds.clear()
        try:
            invoice = make_invoice(world, customer, 1000)
            pay(world, invoice)
            with pytest.raises(RefundNotPossible):
                credit(world, invoice, 1, kind="refund")
        finally:
            credit_notes._refunds[:] = before
        assert not CreditNote.objects.exists()


class TestMarkPaid:
    def test_by_hand(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        # when
        payment = pay(
            world, invoice, reference="Transfer 77", paid_at=NOW - timedelta(days=1), reason="Bank said"
        )
        # then
        invoice.refresh_from_db()
        assert (invoice.status, invoice.paid_minor, invoice.paid_at) == ("paid", 1000, NOW)
        assert (payment.provider, payment.status, payment.attempt) == ("manual", "succeeded", 1)
        assert payment.settled_at == NOW - timedelta(days=1)
        event = InvoiceEvent.objects.get(invoice=invoice, type="invoice.paid")
        assert event.data == {
            "amount": 1000,
            "payment_id": payment.public_id,
            "provider": "manual",
            "reference": "Transfer 77",
            "received_at": "2026-04-30T09:00:00Z",
        }

    def test_exactly_what_is_due_and_not_in_the_future(self, world: World, customer: Customer) -> None:
        invoice = make_invoice(world, customer, 1000)
        with pytest.raises(ValidationFailed):
            pay(world, invoice, amount_minor=999)
        with pytest.raises(ValidationFailed):
            pay(world, invoice, paid_at=NOW + timedelta(seconds=1))
        assert not Payment.objects.exists()
        assert Invoice.objects.get().status == "issued"

    def test_once_and_not_under_another_payment(self, world: World, customer: Customer) -> None:
        # given
        invoice = make_invoice(world, customer, 1000)
        pay(world, invoice)
        with pytest.raises(InvoiceIsPaid):
            pay(world, invoice)
        assert Payment.objects.count() == 1
        # and
        other = make_invoice(world, customer, 1000)
        Payment.objects.create(
            environment_id=world.id,
            invoice=other,
            attempt=1,
            provider="sandbox",
            status="requires_action",
            amount_minor=1000,
            currency="usd",
            provider_key="key-1",
            actor="key:x",
            created_at=NOW,
            updated_at=NOW,
        )
        with pytest.raises(PaymentUnderWay):
            pay(world, other)
        with pytest.raises(PaymentUnderWay):
            credit(world, other, 1)
