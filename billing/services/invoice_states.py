"""The states of an issued invoice: each move checked, recorded, and told to whoever listens.

Locks are taken in one order: customer, invoice, settings. So a customer's invoices change one after another, and no two
of these calls can wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.errors import (
    InvoiceIsDraft,
    InvoiceIsIssued,
    InvoiceIsPaid,
    InvoiceIsUncollectible,
    InvoiceIsVoid,
    InvoiceNotFound,
    PaymentUnderWay,
)
from billing.events import invoice_event
from billing.models import Invoice, InvoiceStatus, Payment, PaymentStatus
from billing.services.invoice_events import invoice_event_record
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.models import Customer

_REFUSALS: Final[Mapping[str, type[DomainError]]] = {
    InvoiceStatus.DRAFT: InvoiceIsDraft,
    InvoiceStatus.ISSUED: InvoiceIsIssued,
    InvoiceStatus.PROCESSING: PaymentUnderWay,
    InvoiceStatus.PAID: InvoiceIsPaid,
    InvoiceStatus.VOID: InvoiceIsVoid,
    InvoiceStatus.UNCOLLECTIBLE: InvoiceIsUncollectible,
}
#: What receivers are told of the payment, when it took none.
_NO_PAYMENT: Final[Mapping[str, None]] = dict.fromkeys(
    ("payment_id", "payment_intent_id", "provider", "attempt")
)
#: Where money is waited for.
UNPAID: Final = (InvoiceStatus.ISSUED, InvoiceStatus.UNCOLLECTIBLE)
_UNDER_WAY: Final = (PaymentStatus.PENDING, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION)


def invoice_locked(*, caller: Caller, invoice_id: UUID) -> Invoice:
    """The invoice, under its customer's lock and its own. Raises InvoiceNotFound."""
    of_environment = Invoice.objects.filter(environment_id=caller.environment_id, id=invoice_id)
    customer_id = of_environment.values_list("customer_id", flat=True).first()
    if customer_id is None:
        raise InvoiceNotFound
    customer_lock(customer_id=customer_id)
    return of_environment.select_for_update(no_key=True, of=("self",)).select_related("customer").get()


def customer_lock(*, customer_id: UUID) -> Customer:
    """The lock under which a customer's invoices and credit change."""
    return Customer.objects.select_for_update(no_key=True).get(id=customer_id)


def status_require(invoice: Invoice, statuses: Collection[str]) -> None:
    """Raises what says why the invoice's state forbids this."""
    if invoice.status not in statuses:
        raise _REFUSALS[invoice.status](f"The invoice is {invoice.get_status_display().lower()}.")


def payment_refuse(invoice: Invoice) -> None:
    """Raises PaymentUnderWay while one may still succeed: what is due must not change under it."""
    if Payment.objects.filter(invoice=invoice, status__in=_UNDER_WAY).exists():
        raise PaymentUnderWay


def invoice_paid(
    *,
    caller: Caller,
    invoice: Invoice,
    amount_minor: int,
    data: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> None:
    """`amount_minor` came in, which is all that was due; 0 when nothing was. The invoice must be locked."""
    if amount_minor != invoice.amount_due_minor:
        raise ValueError(f"{invoice.amount_due_minor} are due, not {amount_minor}")
    status_require(invoice, (*UNPAID, InvoiceStatus.PROCESSING))
    invoice.paid_minor += amount_minor
    invoice.paid_at = now
    invoice.next_charge_at = None
    _status_set(invoice, InvoiceStatus.PAID, ("paid_minor", "paid_at", "next_charge_at"), now)
    told = {"amount": amount_minor, **(data or {})}
    invoice_event_record(
        caller=caller, invoice=invoice, type="invoice.paid", data=told, reason=reason, now=now
    )
    invoice_event(caller=caller, invoice=invoice, what="paid", data={**_NO_PAYMENT, **told}, now=now)


def invoice_processing(
    *, caller: Caller, invoice: Invoice, data: Mapping[str, Any] | None = None, now: datetime
) -> None:
    """A payment waits for the provider or the payer."""
    status_require(invoice, UNPAID)
    _status_set(invoice, InvoiceStatus.PROCESSING, (), now)
    invoice_event_record(caller=caller, invoice=invoice, type="invoice.processing", data=data, now=now)


def invoice_reopened(
    *, caller: Caller, invoice: Invoice, data: Mapping[str, Any] | None = None, now: datetime
) -> None:
    """The payment that it waited for came to nothing: the invoice is open again."""
    status_require(invoice, (InvoiceStatus.PROCESSING,))
    _status_set(invoice, InvoiceStatus.ISSUED, (), now)
    invoice_event_record(caller=caller, invoice=invoice, type="invoice.reopened", data=data, now=now)


def invoice_payment_failed(
    *,
    caller: Caller,
    invoice: Invoice,
    data: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """An attempt to charge it failed; its state stays. Set `next_charge_at` before, so that the event tells it."""
    told = dict(data or {})
    invoice_event_record(caller=caller, invoice=invoice, type="invoice.charge_failed", data=told, now=now)
    invoice_event(caller=caller, invoice=invoice, what="payment_failed", data=told, now=now)


def invoice_uncollectible(
    *,
    caller: Caller,
    invoice: Invoice,
    data: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> None:
    """Nobody tries any longer; should the money come nevertheless, it can be paid."""
    status_require(invoice, (InvoiceStatus.ISSUED, InvoiceStatus.PROCESSING))
    invoice.uncollectible_at = now
    invoice.next_charge_at = None
    _status_set(invoice, InvoiceStatus.UNCOLLECTIBLE, ("uncollectible_at", "next_charge_at"), now)
    _tell(caller=caller, invoice=invoice, what="uncollectible", data=dict(data or {}), reason=reason, now=now)


def _tell(
    *, caller: Caller, invoice: Invoice, what: str, data: Mapping[str, Any], reason: str, now: datetime
) -> None:
    kind = f"invoice.{what}"
    invoice_event_record(caller=caller, invoice=invoice, type=kind, data=data, reason=reason, now=now)
    invoice_event(caller=caller, invoice=invoice, what=what, data=data, now=now)


def _status_set(invoice: Invoice, status: InvoiceStatus, fields: Collection[str], now: datetime) -> None:
    invoice.status = status
    invoice.updated_at = now
    invoice.save(update_fields=["status", "updated_at", *fields])
