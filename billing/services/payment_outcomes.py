"""What a provider says of a payment, applied to the payment and its invoice.

It may be said twice, late, or in any order: by the answer to a charge, by a webhook, by a look. What a provider says is
always its latest word on the payment, and one that ended stays as it ended, unless the money came after all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.errors import NotASandboxPayment, PaymentNotFound
from billing.gateways.payments.provider import ProviderPayment, Told
from billing.models import Invoice, InvoiceStatus, Payment, PaymentStatus
from billing.services.dunning import dunning_note
from billing.services.invoice_states import (
    UNPAID,
    invoice_locked,
    invoice_paid,
    invoice_payment_failed,
    invoice_processing,
    invoice_reopened,
    invoice_uncollectible,
)
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.instants import instant_text

UNDER_WAY: Final = (PaymentStatus.PENDING, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION)
_COUNTING: Final = (*UNDER_WAY, PaymentStatus.SUCCEEDED)
_WAITS: Final = {
    Told.PROCESSING: PaymentStatus.PROCESSING,
    Told.REQUIRES_ACTION: PaymentStatus.REQUIRES_ACTION,
}
#: A webhook tells what becomes of a payment that waits; this is for when none comes.
_LOOK_AGAIN_SOONEST: Final = timedelta(minutes=10)
_LOOK_AGAIN_LATEST: Final = timedelta(days=1)


@transaction.atomic
def payment_settle(*, caller: Caller, payment_id: UUID, told: ProviderPayment, now: datetime) -> Payment:
    """Write down what the provider says, and move the invoice accordingly. Raises PaymentNotFound."""
    payment = _locked(caller, payment_id)
    if payment.status not in UNDER_WAY and not _came_after_all(payment, told):
        return payment
    _note(payment, told, now)
    if told.told is Told.SUCCEEDED:
        _succeeded(caller, payment, now)
    elif told.told in _WAITS:
        _waits(caller, payment, _WAITS[told.told], now)
    else:
        _failed(caller, payment, now)
    return payment


def sandbox_settle(*, caller: Caller, payment_id: UUID, told: Told, now: datetime) -> Payment:
    """Play the provider: say what becomes of a sandbox payment that waits. Raises NotASandboxPayment."""
    payments = Payment.objects.filter(environment_id=caller.environment_id, id=payment_id)
    payment = payments.first()
    if payment is None:
        raise PaymentNotFound
    if payment.provider != "sandbox" or payment.status not in UNDER_WAY:
        raise NotASandboxPayment
    has_failed = told is not Told.SUCCEEDED
    said = ProviderPayment(
        id=payment.provider_payment_id,
        told=told,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        failure_code="authentication_failed" if has_failed else "",
        failure_message="The payer did not confirm the payment." if has_failed else "",
    )
    return payment_settle(caller=caller, payment_id=payment.id, told=said, now=now)


def payment_facts(payment: Payment) -> dict[str, Any]:
    """What an invoice's events say of the payment behind them."""
    return {
        "payment_id": payment.public_id,
        "payment_intent_id": payment.provider_payment_id,
        "provider": payment.provider,
        "attempt": payment.attempt,
    }


def _locked(caller: Caller, payment_id: UUID) -> Payment:
    payments = Payment.objects.filter(environment_id=caller.environment_id, id=payment_id)
    invoice_id = payments.values_list("invoice_id", flat=True).first()
    if invoice_id is None:
        raise PaymentNotFound
    # The invoice first, as everywhere.
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    payment = payments.select_for_update().get()
    payment.invoice = invoice
    return payment


def _came_after_all(payment: Payment, told: ProviderPayment) -> bool:
    """Money for an attempt that had failed. When nothing is open any more it is a difference that reconciling shows."""
    invoice = payment.invoice
    return (
        told.told is Told.SUCCEEDED
        and payment.status in {PaymentStatus.FAILED, PaymentStatus.CANCELED}
        and invoice.status in UNPAID
        and invoice.amount_due_minor == payment.amount_minor
        and not Payment.objects.filter(invoice=invoice, status__in=_COUNTING).exists()
    )


def _note(payment: Payment, told: ProviderPayment, now: datetime) -> None:
    payment.provider_payment_id = told.id or payment.provider_payment_id
    payment.action_url = told.action_url[:2000]
    is_canceled = told.told is Told.CANCELED and not told.failure_code
    payment.failure_code = "canceled" if is_canceled else told.failure_code
    payment.failure_message = "It was canceled at the provider." if is_canceled else told.failure_message
    payment.updated_at = now
    payment.asked_until = payment.ask_again_at = None


def _succeeded(caller: Caller, payment: Payment, now: datetime) -> None:
    payment.status, payment.settled_at = PaymentStatus.SUCCEEDED, now
    payment.failure_code = payment.failure_message = ""
    payment.save()
    invoice_paid(
        caller=caller,
        invoice=payment.invoice,
        amount_minor=payment.amount_minor,
        data=payment_facts(payment),
        now=now,
    )


def _waits(caller: Caller, payment: Payment, status: PaymentStatus, now: datetime) -> None:
    wall = system_now()
    age = wall - (payment.asked_at or wall)
    payment.status = status
    payment.ask_again_at = wall + min(max(age, _LOOK_AGAIN_SOONEST), _LOOK_AGAIN_LATEST)
    payment.save()
    if payment.invoice.status != InvoiceStatus.PROCESSING:
        invoice_processing(caller=caller, invoice=payment.invoice, data=payment_facts(payment), now=now)


def _failed(caller: Caller, payment: Payment, now: datetime) -> None:
    payment.status, payment.settled_at = PaymentStatus.FAILED, now
    payment.save()
    facts, invoice = payment_facts(payment), payment.invoice
    if invoice.status == InvoiceStatus.PROCESSING:
        invoice_reopened(caller=caller, invoice=invoice, data=facts, now=now)
    is_given_up = dunning_note(invoice=invoice, is_automatic=payment.order["is_automatic"], now=now)
    why = {"failure_code": payment.failure_code, "failure_message": payment.failure_message}
    invoice_payment_failed(caller=caller, invoice=invoice, data={**facts, **why, **_next(invoice)}, now=now)
    if is_given_up:
        invoice_uncollectible(caller=caller, invoice=invoice, data=facts, now=now)


def _next(invoice: Invoice) -> dict[str, Any]:
    at = invoice.next_charge_at
    return {"next_attempt_at": instant_text(at) if at else None}
