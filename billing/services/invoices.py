"""Invoices: made of lines that somebody rated, issued with a number, voided.

    draft ──issue──→ issued ──→ processing ──→ paid          (services/invoice_states.py)
      └──void──→ void ←──void──┘

What the lines bill is the affair of whoever rated them; here they are added up, taxed, chained, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from billing.engine.invoice_totals import Totals, totals_of
from billing.errors import (
    BilledMeanwhile,
    InvoiceIsCredited,
    InvoiceTooLarge,
    LaterInvoiceContinues,
)
from billing.events import invoice_event
from billing.models import (
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoiceSettings,
    InvoiceSource,
    InvoiceStatus,
)
from billing.services.credit_balances import APPLIED, CARRIED, RETURNED, credit_available, credit_move
from billing.services.invoice_events import invoice_event_record
from billing.services.invoice_numbers import invoice_number_next, invoice_settings_locked
from billing.services.invoice_states import (
    UNPAID,
    customer_lock,
    invoice_locked,
    invoice_paid,
    payment_refuse,
    status_require,
)
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.models import Customer
from customers.services.audit import audit_record


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDraft:
    """A line as whoever rated it hands it over. It bills what its series came to since `previous`.

    `details["breakdown"]` is the arithmetic of `rated_minor`, for the PDF's appendix: a row per part with `kind`,
    `tier`, `from`, `up_to`, `quantity`, `unit_price` and the exact `amount` in major units.
    """

    kind: str
    description: str
    quantity: Decimal
    series: UUID
    rated_minor: int
    previous: InvoiceLine | None = None
    period_start: datetime
    period_end: datetime
    subscription_id: UUID | None = None
    metric_key: str = ""
    is_adjustment: bool = False
    snapshot: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rated_before_minor(self) -> int:
        return self.previous.rated_minor if self.previous else 0

    @property
    def amount_minor(self) -> int:
        return self.rated_minor - self.rated_before_minor


#: Told of an invoice in the transaction that voided, or issued, it.
InvoiceHook = Callable[..., None]
_voided: Final[list[InvoiceHook]] = []
_issued: Final[list[InvoiceHook]] = []


def invoice_voided_register(hook: InvoiceHook) -> None:
    """Have `hook(caller=…, invoice=…, now=…)` called in the transaction that voids an invoice."""
    _voided.append(hook)


def invoice_issued_register(hook: InvoiceHook) -> None:
    """Have `hook(caller=…, invoice=…, now=…)` called in the transaction that issues an invoice."""
    _issued.append(hook)


@transaction.atomic
def invoice_create(
    *,
    caller: Caller,
    customer: Customer,
    currency: str,
    lines: Sequence[LineDraft],
    period_start: datetime,
    period_end: datetime,
    period_end_shown: str = "",
    source: str = InvoiceSource.API,
    is_draft: bool = False,
    replaces: Invoice | None = None,
    idempotency_key: str | None = None,
    memo: str = "",
    metadata: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> Invoice:
    """An invoice of these lines, issued unless it is to stay a draft. One customer's invoices are made one by one.

    Raises BilledMeanwhile when another invoice has continued one of the series; InvoiceTooLarge.
    """
    _check_size(lines)
    customer = customer_lock(customer_id=customer.id)
    totals = _totals(customer, sum(line.amount_minor for line in lines), credit_minor=0)
    invoice = Invoice.objects.create(
        environment_id=caller.environment_id,
        customer=customer,
        status=InvoiceStatus.DRAFT,
        source=source,
        currency=currency,
        period_start=period_start,
        period_end=period_end,
        period_end_shown=period_end_shown,
        **_totals_fields(customer, totals),
        bill_to=_bill_to(customer),
        memo=memo,
        metadata=dict(metadata or {}),
        replaces=replaces,
        idempotency_key=idempotency_key,
        actor=caller.actor,
        request_id=caller.request_id,
        created_at=now,
        updated_at=now,
    )
    _lines_store(invoice, lines)
    _record(caller, invoice, "created", reason, now)
    if not is_draft:
        _issue(caller, invoice, now)
    return invoice


@transaction.atomic
def invoice_issue(*, caller: Caller, invoice_id: UUID, reason: str = "", now: datetime) -> Invoice:
    """Give a draft its number: from now on the customer owes it. Raises InvoiceNotFound, InvoiceIsIssued, …"""
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    status_require(invoice, (InvoiceStatus.DRAFT,))
    _issue(caller, invoice, now, reason)
    return invoice


@transaction.atomic
def invoice_void(
    *,
    caller: Caller,
    invoice_id: UUID,
    reason: str,
    metadata: Mapping[str, Any] | None = None,
    now: datetime,
) -> Invoice:
    """Nobody owes it any more, its credit goes back, and what it billed can be billed again.

    Raises InvoiceIsPaid, PaymentUnderWay, InvoiceIsCredited, LaterInvoiceContinues, CreditAlreadyUsed.
    """
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    status_require(invoice, (InvoiceStatus.DRAFT, *UNPAID))
    payment_refuse(invoice)
    if CreditNote.objects.filter(invoice=invoice).exists():
        raise InvoiceIsCredited
    _lines_end(invoice)
    if invoice.number is not None:
        credit_move(invoice=invoice, amount_minor=invoice.credits_applied_minor, what=RETURNED, now=now)
    invoice.status = InvoiceStatus.VOID
    invoice.voided_at = invoice.updated_at = now
    invoice.next_charge_at = None
    invoice.save(update_fields=["status", "voided_at", "next_charge_at", "updated_at"])
    for hook in _voided:
        hook(caller=caller, invoice=invoice, now=now)
    _record(caller, invoice, "voided", reason, now, metadata)
    if invoice.number is not None:
        invoice_event(caller=caller, invoice=invoice, what="voided", data={"reason": reason}, now=now)
    return invoice


def _check_size(lines: Sequence[LineDraft]) -> None:
    sizes = [abs(line.rated_minor) for line in lines]
    if max(sizes, default=0) > AMOUNT_MAX or sum(sizes) > AMOUNT_MAX:
        raise InvoiceTooLarge


def _totals(customer: Customer, subtotal_minor: int, *, credit_minor: int) -> Totals:
    return totals_of(
        subtotal_minor=subtotal_minor, tax_rate=customer.tax_rate or Decimal(0), credit_minor=credit_minor
    )


def _totals_fields(customer: Customer, totals: Totals) -> dict[str, Any]:
    return {
        "subtotal_minor": totals.subtotal_minor,
        "tax_rate": customer.tax_rate or Decimal(0),
        "tax_minor": totals.tax_minor,
        "credits_applied_minor": totals.credits_applied_minor,
        "total_minor": totals.total_minor,
    }


def _lines_store(invoice: Invoice, lines: Sequence[LineDraft]) -> None:
    rows = [
        InvoiceLine(
            id=uuid7(),
            environment_id=invoice.environment_id,
            invoice=invoice,
            position=position,
            kind=line.kind,
            is_adjustment=line.is_adjustment,
            description=line.description,
            quantity=line.quantity,
            amount_minor=line.amount_minor,
            period_start=line.period_start,
            period_end=line.period_end,
            series=line.series,
            subscription_id=line.subscription_id,
            metric_key=line.metric_key,
            previous=line.previous,
            rated_before_minor=line.rated_before_minor,
            rated_minor=line.rated_minor,
            snapshot=line.snapshot,
            details=dict(line.details),
        )
        for position, line in enumerate(lines, start=1)
    ]
    try:
        with transaction.atomic():
            InvoiceLine.objects.bulk_create(rows)
    except IntegrityError:
        # The chain in the database has the last word: two runs that did not know of each other.
        raise BilledMeanwhile from None


def _lines_end(invoice: Invoice) -> None:
    live = InvoiceLine.objects.filter(invoice=invoice, is_live=True)
    later = InvoiceLine.objects.filter(previous__in=live, is_live=True).exclude(invoice=invoice)
    continued = later.select_related("invoice").first()
    if continued is not None:
        named = continued.invoice
        raise LaterInvoiceContinues(
            f"The invoice {named} continues this one.", extra={"invoice_id": named.public_id}
        )
    live.update(is_live=False)


def _issue(caller: Caller, invoice: Invoice, now: datetime, reason: str = "") -> None:
    customer = invoice.customer
    credit = credit_available(customer_id=customer.id, currency=invoice.currency)
    totals = _totals(customer, invoice.subtotal_minor, credit_minor=credit)
    used = totals.credits_applied_minor
    credit_move(invoice=invoice, amount_minor=-used, what=APPLIED if used > 0 else CARRIED, now=now)
    settings = invoice_settings_locked(environment_id=caller.environment_id, now=now)
    invoice.number, invoice.number_sequence = invoice_number_next(settings)
    terms = {
        **_totals_fields(customer, totals),
        "bill_to": _bill_to(customer),
        "bill_from": _bill_from(settings),
        "status": InvoiceStatus.ISSUED,
        "issued_at": now,
        "due_at": now + timedelta(days=settings.days_until_due),
        "updated_at": now,
    }
    for name, value in terms.items():
        setattr(invoice, name, value)
    invoice.save(update_fields=["number", "number_sequence", *terms])
    _record(caller, invoice, "issued", reason, now)
    invoice_event(caller=caller, invoice=invoice, what="issued", now=now)
    if invoice.total_minor == 0:
        invoice_paid(caller=caller, invoice=invoice, amount_minor=0, now=now)
    for hook in _issued:
        hook(caller=caller, invoice=invoice, now=now)


def _bill_to(customer: Customer) -> dict[str, Any]:
    return {
        "name": customer.name or customer.label,
        "email": customer.email,
        "address": customer.billing_address,
        "tax_id": customer.tax_id,
    }


def _bill_from(settings: InvoiceSettings) -> dict[str, Any]:
    return {
        "name": settings.seller_name,
        "address": settings.seller_address,
        "tax_id": settings.seller_tax_id,
        "email": settings.seller_email,
        "footer": settings.footer,
    }


def _record(
    caller: Caller,
    invoice: Invoice,
    what: str,
    reason: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
) -> None:
    invoice_event_record(
        caller=caller, invoice=invoice, type=f"invoice.{what}", data=data, reason=reason, now=now
    )
    audit_record(
        caller=caller,
        action=f"invoice.{what}",
        object_type="invoice",
        object_id=invoice.public_id,
        customer_id=invoice.customer_id,
        reason=reason,
        now=now,
    )
