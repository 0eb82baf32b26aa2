"""Money that came in outside of any provider: a bank transfer, cash, a cheque."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from billing.models import Invoice, Payment, PaymentStatus
from billing.services.invoice_states import (
    UNPAID,
    invoice_locked,
    invoice_paid,
    payment_refuse,
    status_require,
)
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.kernel.instants import instant_text
from customers.services.audit import audit_record

MANUAL: Final = "manual"


@transaction.atomic
def invoice_mark_paid(
    *,
    caller: Caller,
    invoice_id: UUID,
    amount_minor: int | None = None,
    paid_at: datetime | None = None,
    reference: str = "",
    reason: str = "",
    metadata: Mapping[str, Any] | None = None,
    now: datetime,
) -> Payment:
    """All that is due came in, at `paid_at` or now. Raises InvoiceIsPaid, …, PaymentUnderWay, ValidationFailed."""
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    status_require(invoice, UNPAID)
    payment_refuse(invoice)
    settled_at = paid_at or now
    _check(invoice, amount_minor, settled_at, now)
    payment = _payment(caller, invoice, settled_at, reason, now)
    data = {
        "payment_id": payment.public_id,
        "provider": MANUAL,
        "reference": reference,
        "received_at": instant_text(settled_at),
        **(metadata or {}),
    }
    amount = payment.amount_minor
    invoice_paid(caller=caller, invoice=invoice, amount_minor=amount, data=data, reason=reason, now=now)
    _record(caller, invoice, reason, now)
    return payment


def _check(invoice: Invoice, amount_minor: int | None, settled_at: datetime, now: datetime) -> None:
    due = invoice.amount_due_minor
    if amount_minor not in {None, due}:
        raise _invalid("amount", f"Must be what is due, {due}. Take back the rest with a credit note first.")
    if settled_at > now:
        raise _invalid("paid_at", "Must not lie in the future.")


def _payment(caller: Caller, invoice: Invoice, settled_at: datetime, reason: str, now: datetime) -> Payment:
    payment_id = uuid7()
    last = Payment.objects.filter(invoice=invoice).aggregate(last=Max("attempt"))["last"]
    return Payment.objects.create(
        id=payment_id,
        environment_id=invoice.environment_id,
        invoice=invoice,
        attempt=(last or 0) + 1,
        provider=MANUAL,
        status=PaymentStatus.SUCCEEDED,
        amount_minor=invoice.amount_due_minor,
        currency=invoice.currency,
        provider_key=f"{MANUAL}:{payment_id}",
        actor=caller.actor,
        reason=reason,
        request_id=caller.request_id,
        created_at=now,
        updated_at=now,
        settled_at=settled_at,
    )


def _record(caller: Caller, invoice: Invoice, reason: str, now: datetime) -> None:
    audit_record(
        caller=caller,
        action="invoice.marked_paid",
        object_type="invoice",
        object_id=invoice.public_id,
        customer_id=invoice.customer_id,
        reason=reason,
        now=now,
    )


def _invalid(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "invalid", message)])
