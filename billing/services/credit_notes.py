"""Credit notes: money taken back from an invoice that stands.

reduction   less is due of an unpaid invoice; when nothing is left, it is paid
balance     what was paid is kept for the customer's next invoices
refund      what was paid is paid back, by whoever took it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from billing.engine.invoice_totals import part_of, with_tax
from billing.errors import (
    CreditNoteKindForbidden,
    CreditNoteNotFound,
    CreditNoteTooLarge,
    RefundNotPossible,
)
from billing.models import CreditNote, CreditNoteKind, Invoice, InvoiceLine, InvoiceStatus, RefundStatus
from billing.services.credit_balances import CREDITED, credit_move
from billing.services.invoice_events import invoice_event_record
from billing.services.invoice_numbers import credit_note_number_next, invoice_settings_locked
from billing.services.invoice_states import (
    UNPAID,
    invoice_locked,
    invoice_paid,
    payment_refuse,
    status_require,
)
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid
from customers.services.audit import audit_record


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCredit:
    """How much of one line is taken back, tax included."""

    line_id: UUID
    amount_minor: int


Refund = Callable[..., None]
_refunds: Final[list[Refund]] = []


def refund_register(refund: Refund) -> None:
    """Have `refund(caller=…, credit_note=…, now=…)` called in the transaction that makes a credit note of kind refund.

    It pays back after the commit, and says so with `credit_note_refund_settled`; or raises RefundNotPossible.
    """
    _refunds.append(refund)


@transaction.atomic
def credit_note_create(
    *,
    caller: Caller,
    invoice_id: UUID,
    amount_minor: int | None = None,
    kind: str | None = None,
    lines: Sequence[LineCredit] = (),
    reason: str = "",
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> CreditNote:
    """Take back an amount, tax included; without one that of the lines, or all that there is.

    Without a kind: less is due of what is unpaid, and what was paid goes onto the balance. Raises InvoiceNotFound,
    InvoiceIsDraft, InvoiceIsVoid, PaymentUnderWay, CreditNoteKindForbidden, CreditNoteTooLarge, RefundNotPossible.
    """
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    status_require(invoice, (*UNPAID, InvoiceStatus.PAID))
    payment_refuse(invoice)
    kind = _kind(invoice, kind)
    _check_lines(invoice, lines)
    available = credit_note_available(invoice=invoice, kind=kind)
    amount = _amount(amount_minor, lines, available)
    note = _store(
        caller,
        invoice,
        now,
        kind=kind,
        amount_minor=amount,
        tax_minor=_tax_of_the_next(invoice, amount),
        lines=[_line_document(line) for line in lines],
        reason=reason,
        metadata=dict(metadata or {}),
        idempotency_key=idempotency_key,
    )
    _take_back(caller, invoice, note, now)
    return note


def credit_note_available(*, invoice: Invoice, kind: str) -> int:
    """How much a credit note of this kind may take back."""
    if kind == CreditNoteKind.REDUCTION:
        return invoice.amount_due_minor
    given = _given(invoice)
    received = invoice.paid_minor + max(invoice.credits_applied_minor, 0)
    left = received - given[CreditNoteKind.BALANCE] - given[CreditNoteKind.REFUND]
    if kind == CreditNoteKind.BALANCE:
        return left
    return min(left, invoice.paid_minor - given[CreditNoteKind.REFUND])


@transaction.atomic
def credit_note_refund_settled(
    *,
    caller: Caller,
    credit_note_id: UUID,
    succeeded: bool,
    provider_refund_id: str | None = None,
    data: Mapping[str, Any] | None = None,
    now: datetime,
) -> CreditNote:
    """What came of paying back; a second time changes nothing. What failed can be given back another way."""
    found = CreditNote.objects.filter(environment_id=caller.environment_id, id=credit_note_id).first()
    if found is None:
        raise CreditNoteNotFound
    invoice = invoice_locked(caller=caller, invoice_id=found.invoice_id)
    note = CreditNote.objects.select_for_update(no_key=True).get(id=credit_note_id)
    if note.refund_status != RefundStatus.PENDING:
        return note
    note.refund_status = RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED
    note.provider_refund_id = provider_refund_id
    note.save(update_fields=["refund_status", "provider_refund_id"])
    what = "refunded" if succeeded else "refund_failed"
    told = {**_document(note), **(data or {})}
    invoice_event_record(caller=caller, invoice=invoice, type=f"invoice.{what}", data=told, now=now)
    return note


def credit_note_get(*, environment_id: UUID, credit_note_id: UUID) -> CreditNote:
    """Raises CreditNoteNotFound."""
    notes = CreditNote.objects.filter(environment_id=environment_id, id=credit_note_id)
    note = notes.select_related("invoice__customer").first()
    if note is None:
        raise CreditNoteNotFound
    return note


def _kind(invoice: Invoice, kind: str | None) -> str:
    is_paid = invoice.status == InvoiceStatus.PAID
    if kind is None:
        return CreditNoteKind.BALANCE if is_paid else CreditNoteKind.REDUCTION
    if is_paid == (kind == CreditNoteKind.REDUCTION):
        raise CreditNoteKindForbidden
    if kind == CreditNoteKind.REFUND and not _refunds:
        raise RefundNotPossible
    return kind


def _amount(amount_minor: int | None, lines: Sequence[LineCredit], available: int) -> int:
    of_lines = sum(line.amount_minor for line in lines)
    if lines and amount_minor not in {None, of_lines}:
        raise _invalid("amount", f"Must be what the lines come to, {of_lines}; or leave it out.")
    amount = of_lines if lines else available if amount_minor is None else amount_minor
    if amount > available or amount <= 0:
        raise CreditNoteTooLarge(extra={"available": available})
    return amount


def _check_lines(invoice: Invoice, lines: Sequence[LineCredit]) -> None:
    """No line is taken back beyond what it came to, counting the notes of before."""
    known = {line.id: line for line in InvoiceLine.objects.filter(invoice=invoice)} if lines else {}
    taken = _taken_of_lines(invoice) if lines else Counter()
    for index, credit in enumerate(lines):
        line = known.get(credit.line_id)
        if line is None:
            raise _invalid(f"lines.{index}.invoice_line_id", "There is no such line on this invoice.")
        taken[line.public_id] += credit.amount_minor
        whole = with_tax(line.amount_minor, invoice.tax_rate)
        if taken[line.public_id] > whole:
            raise _invalid(f"lines.{index}.amount", f"The line came to {whole}, tax included.")


def _taken_of_lines(invoice: Invoice) -> Counter[str]:
    taken: Counter[str] = Counter()
    for note in _standing(invoice):
        for line in note.lines:
            taken[line["invoice_line_id"]] += line["amount"]
    return taken


def _standing(invoice: Invoice) -> Sequence[CreditNote]:
    return list(CreditNote.objects.filter(invoice=invoice).exclude(refund_status=RefundStatus.FAILED))


def _given(invoice: Invoice) -> Counter[str]:
    sums = (
        CreditNote.objects.filter(invoice=invoice)
        .exclude(refund_status=RefundStatus.FAILED)
        .order_by()
        .values_list("kind")
        .annotate(Sum("amount_minor"))
    )
    return Counter(dict(sums))


def _tax_of_the_next(invoice: Invoice, amount_minor: int) -> int:
    """Its share of the tax, so that the notes of a wholly credited invoice come to all of its tax."""
    before = CreditNote.objects.filter(invoice=invoice).exclude(refund_status=RefundStatus.FAILED)
    sums = before.aggregate(amount=Sum("amount_minor", default=0), tax=Sum("tax_minor", default=0))
    gross = invoice.subtotal_minor + invoice.tax_minor
    so_far = part_of(invoice.tax_minor, sums["amount"] + amount_minor, gross) if gross > 0 else 0
    return max(0, min(so_far - int(sums["tax"]), amount_minor))


def _line_document(line: LineCredit) -> dict[str, Any]:
    return {"invoice_line_id": typeid("iln", line.line_id), "amount": line.amount_minor}


def _store(caller: Caller, invoice: Invoice, now: datetime, **terms: Any) -> CreditNote:
    settings = invoice_settings_locked(environment_id=caller.environment_id, now=now)
    number, sequence = credit_note_number_next(settings)
    is_refund = terms["kind"] == CreditNoteKind.REFUND
    return CreditNote.objects.create(
        environment_id=caller.environment_id,
        invoice=invoice,
        number=number,
        number_sequence=sequence,
        refund_status=RefundStatus.PENDING if is_refund else RefundStatus.NONE,
        actor=caller.actor,
        request_id=caller.request_id,
        created_at=now,
        **terms,
    )


def _take_back(caller: Caller, invoice: Invoice, note: CreditNote, now: datetime) -> None:
    _record(caller, invoice, note, now)
    if note.kind == CreditNoteKind.REDUCTION:
        _reduce(caller, invoice, note, now)
    elif note.kind == CreditNoteKind.BALANCE:
        credit_move(invoice=invoice, amount_minor=note.amount_minor, what=CREDITED, credit_note=note, now=now)
    else:
        for refund in _refunds:
            refund(caller=caller, credit_note=note, now=now)


def _reduce(caller: Caller, invoice: Invoice, note: CreditNote, now: datetime) -> None:
    invoice.credited_minor += note.amount_minor
    invoice.updated_at = now
    invoice.save(update_fields=["credited_minor", "updated_at"])
    if invoice.amount_due_minor == 0:
        data = {"credit_note_id": note.public_id}
        invoice_paid(caller=caller, invoice=invoice, amount_minor=0, data=data, now=now)


def _record(caller: Caller, invoice: Invoice, note: CreditNote, now: datetime) -> None:
    invoice_event_record(
        caller=caller,
        invoice=invoice,
        type="invoice.credited",
        data=_document(note),
        reason=note.reason,
        now=now,
    )
    audit_record(
        caller=caller,
        action="credit_note.created",
        object_type="credit_note",
        object_id=note.public_id,
        customer_id=invoice.customer_id,
        reason=note.reason,
        now=now,
    )


def _document(note: CreditNote) -> dict[str, Any]:
    return {
        "credit_note_id": note.public_id,
        "number": note.number,
        "kind": note.kind,
        "amount": note.amount_minor,
    }


def _invalid(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "invalid", message)])
