"""Whatever people do to invoices, in whatever order: sums, chains, numbers and credit hold, and no money is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import CreditBalance, CreditNote, Invoice, InvoiceLine, Payment
from billing.services import credit_notes
from billing.services.credit_notes import credit_note_create, credit_note_refund_settled
from billing.services.invoices import invoice_issue, invoice_void
from billing.services.manual_payments import invoice_mark_paid
from billing.services.verification import ledger_verify
from customers.errors import DomainError
from customers.kernel.database import environment_scope
from tests.billing.invoicing import NOW, line, make_customer, make_invoice
from tests.conftest import World, make_character

EXAMPLES = int(os.environ.get("PURSER_INVOICE_EXAMPLES", "25"))
SERIES = [uuid4() for _ in range(3)]

amounts = st.integers(-2000, 4000)
rates = st.sampled_from([None, Decimal("7.7"), Decimal(19), Decimal("33.3333")])
bills = st.tuples(
    st.just("bill"),
    st.lists(st.tuples(st.integers(0, 2), amounts), min_size=1, max_size=3, unique_by=lambda each: each[0]),
    st.booleans(),
)
deeds = st.tuples(
    st.sampled_from(["issue", "void", "pay", "credit", "refund"]), st.integers(0, 9), st.integers(1, 3000)
)
lives = st.lists(bills | deeds, min_size=3, max_size=14)


def did(deed: Callable[[], Any]) -> bool:
    """Whether it was done; what is refused leaves nothing behind."""
    try:
        deed()
    except DomainError:
        return False
    return True


def issue(_world: World, named: dict[str, Any], _amount: int) -> None:
    invoice_issue(**named)


def void(_world: World, named: dict[str, Any], _amount: int) -> None:
    invoice_void(**named, reason="Wrong")


def pay(_world: World, named: dict[str, Any], _amount: int) -> None:
    invoice_mark_paid(**named)


def credit(_world: World, named: dict[str, Any], amount: int) -> None:
    credit_note_create(**named, amount_minor=amount)


def refund(world: World, named: dict[str, Any], amount: int) -> None:
    """Every third cannot be paid back."""
    note = credit_note_create(**named, kind="refund", amount_minor=amount)
    credit_note_refund_settled(caller=world.caller, credit_note_id=note.id, succeeded=amount % 3 > 0, now=NOW)


_DEEDS: dict[str, Callable[[World, dict[str, Any], int], None]] = {
    "issue": issue,
    "void": void,
    "pay": pay,
    "credit": credit,
    "refund": refund,
}


def live(world: World, life: list[Any], rate: Decimal | None) -> None:
    customer = make_customer(world, tax_rate=rate)
    made: list[UUID] = []
    for what, *how in life:
        if what == "bill":
            rated, is_draft = how
            drafts = [line(amount, series=SERIES[number]) for number, amount in rated]
            made.append(make_invoice(world, customer, *drafts, is_draft=is_draft).id)
            continue
        invoice = made[how[0] % len(made)] if made else uuid4()
        did(partial(_DEEDS[what], world, {"caller": world.caller, "invoice_id": invoice, "now": NOW}, how[1]))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(life=lives, rate=rates)
def test_any_life_is_in_order(life: list[Any], rate: Decimal | None) -> None:
    world = make_character("Billed").test
    before = credit_notes._refunds[:]
    credit_notes._refunds[:] = [lambda **_: None]
    try:
        with environment_scope(world.id):
            live(world, life, rate)
            assert ledger_verify(environment_id=world.id).findings == []
            assert money_is_conserved()
            assert series_stand_where_their_live_lines_lead()
    finally:
        credit_notes._refunds[:] = before


def money_is_conserved() -> bool:
    """What was billed is due, was paid, was taken back, or waits as credit: nothing comes of nothing."""
    standing = Invoice.objects.exclude(status__in=("draft", "void"))
    gross = sum(invoice.subtotal_minor + invoice.tax_minor for invoice in standing)
    due = sum(invoice.amount_due_minor for invoice in standing)
    paid = sum(payment.amount_minor for payment in Payment.objects.all())
    reduced = sum(invoice.credited_minor for invoice in standing)
    given = sum(note.amount_minor for note in CreditNote.objects.filter(kind="balance"))
    credit = sum(balance.balance_minor for balance in CreditBalance.objects.all())
    return gross + credit == due + paid + reduced + given


def series_stand_where_their_live_lines_lead() -> bool:
    for series in SERIES:
        chain = InvoiceLine.objects.filter(series=series, is_live=True)
        ends = [each for each in chain if not any(later.previous_id == each.id for later in chain)]
        if sum(each.amount_minor for each in chain) != sum(end.rated_minor for end in ends) or len(ends) > 1:
            return False
    return True
