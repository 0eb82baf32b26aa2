"""Charging an invoice: written down, committed, asked for, settled.

A payment's row is there before the provider hears of it, so whatever is lost afterwards is found again under its key.
At most one payment of an invoice counts at a time (the database keeps it); who finds one under way goes on with that.
While somebody waits for the provider's answer nobody else asks. No transaction is open meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from billing.errors import (
    InvoiceIsPaid,
    InvoiceNotFound,
    PaymentDeclined,
    PaymentDetailsMissing,
    PaymentNotFound,
    PaymentProviderUnavailable,
    PaymentUnderWay,
)
from billing.gateways.payments.provider import (
    ENVIRONMENT_MARK,
    ChargeOrder,
    PaymentProvider,
    ProviderPayment,
    ProviderRefused,
    ProviderUnavailable,
    Told,
)
from billing.models import Invoice, InvoiceStatus, Payment, PaymentStatus
from billing.services.invoice_events import invoice_event_record
from billing.services.invoice_states import UNPAID, invoice_locked, status_require
from billing.services.payment_outcomes import UNDER_WAY, payment_settle
from billing.services.provider_accounts import SANDBOX, provider_named, provider_of
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.services.audit import audit_record

#: So long nobody else asks the provider about a payment: longer than its slowest answer.
_LEASE: Final = timedelta(seconds=120)
#: Providers keep idempotency keys for a day. Later an order is looked for, but not sent again.
_SENT_AGAIN_WITHIN: Final = timedelta(hours=23)
_ASK_SOONEST: Final = timedelta(seconds=30)
_ASK_LATEST: Final = timedelta(hours=1)
_RETRY_AFTER_SECONDS: Final = 5
_WAITING: Final = (PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a charge is asked for. Automatic ones have nobody there who could confirm anything."""

    payment_method_id: str = ""
    return_url: str = ""
    reason: str = ""
    is_automatic: bool = False


def invoice_charge(*, caller: Caller, invoice_id: UUID, wish: Wish | None = None, now: datetime) -> Payment:
    """Have the invoice paid; the payment has succeeded, or waits for the payer or the provider.

    Stands in no transaction of its own and commits as it goes. Raises PaymentDeclined, PaymentProviderUnavailable,
    PaymentUnderWay, PaymentDetailsMissing, NoPaymentProvider, PaidByHand, InvoiceNotFound, and what the invoice's state
    forbids.
    """
    payment = _found_again(caller, invoice_id)
    if payment is not None:
        return _result(payment_pursue(caller=caller, payment=payment, now=now))
    asked = wish or Wish()
    payer = _payer(caller, invoice_id, asked)
    payment = _attempt(caller, invoice_id, asked, payer, now)
    return _result(payment_pursue(caller=caller, payment=payment, is_new=True, now=now))


def payment_refresh(*, caller: Caller, payment_id: UUID, now: datetime) -> Payment:
    """Ask the provider what has become of a payment that is under way; one that is not is as it is.

    Raises PaymentNotFound, PaymentUnderWay, PaymentProviderUnavailable.
    """
    payment = payment_get(environment_id=caller.environment_id, payment_id=payment_id)
    leased = _leased(caller, payment.invoice_id)
    if leased is None or leased.id != payment.id:
        return payment_get(environment_id=caller.environment_id, payment_id=payment_id)
    return payment_pursue(caller=caller, payment=leased, now=now)


def payment_get(*, environment_id: UUID, payment_id: UUID) -> Payment:
    """Raises PaymentNotFound."""
    payments = Payment.objects.select_related("invoice__customer")
    payment = payments.filter(environment_id=environment_id, id=payment_id).first()
    if payment is None:
        raise PaymentNotFound
    return payment


def payment_pursue(*, caller: Caller, payment: Payment, is_new: bool = False, now: datetime) -> Payment:
    """Ask the provider, and settle what it says. The payment is ours to ask about (`_leased`).

    Raises PaymentProviderUnavailable; then it is pending still, and will be asked about again.
    """
    try:
        provider = provider_named(environment_id=payment.environment_id, name=payment.provider)
        told = _asked_first(provider, payment) if is_new else _asked_again(provider, payment)
    except ProviderUnavailable:
        _let_go(payment)
        raise PaymentProviderUnavailable(
            extra={"payment_id": payment.public_id}, retry_after_seconds=_RETRY_AFTER_SECONDS
        ) from None
    except BaseException:
        _let_go(payment)
        raise
    return payment_settle(caller=caller, payment_id=payment.id, told=told, now=now)


def _found_again(caller: Caller, invoice_id: UUID) -> Payment | None:
    if not Payment.objects.filter(invoice_id=invoice_id, status__in=UNDER_WAY).exists():
        return None
    return _leased(caller, invoice_id)


@transaction.atomic
def _leased(caller: Caller, invoice_id: UUID) -> Payment | None:
    """The invoice's payment that is under way, now ours to ask about. Raises PaymentUnderWay when it is somebody's."""
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    payment = Payment.objects.filter(invoice=invoice, status__in=UNDER_WAY).select_for_update().first()
    wall = system_now()
    if payment is None:
        return None
    if payment.asked_until is not None and payment.asked_until > wall:
        raise PaymentUnderWay(
            extra={"payment_id": payment.public_id}, retry_after_seconds=_RETRY_AFTER_SECONDS
        )
    payment.asked_until = payment.ask_again_at = wall + _LEASE
    payment.save(update_fields=["asked_until", "ask_again_at"])
    return payment


def _let_go(payment: Payment) -> None:
    """Not known yet: the next one may ask at once, the sweep at its leisure."""
    wall = system_now()
    age = wall - (payment.asked_at or wall)
    Payment.objects.filter(id=payment.id, status__in=UNDER_WAY).update(
        asked_until=None, ask_again_at=wall + min(max(age, _ASK_SOONEST), _ASK_LATEST)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Payer:
    provider: str
    customer: str
    method: str


def _payer(caller: Caller, invoice_id: UUID, wish: Wish) -> _Payer:
    """Whom to ask, about whom. The provider is asked for a saved payment method when nobody named one."""
    invoices = Invoice.objects.filter(environment_id=caller.environment_id, id=invoice_id)
    invoice = invoices.select_related("customer").first()
    if invoice is None:
        raise InvoiceNotFound
    status_require(invoice, (*UNPAID, InvoiceStatus.PROCESSING))
    customer = invoice.customer
    provider = provider_of(customer=customer)
    reference = customer.payment_provider_customer_id or ""
    if provider.name != SANDBOX and not reference:
        raise PaymentDetailsMissing(f"{customer.label} has no payment_provider_customer_id.")
    method = wish.payment_method_id or customer.payment_method_id or _saved_method(provider, reference)
    return _Payer(provider=provider.name, customer=reference, method=method)


def _saved_method(provider: PaymentProvider, reference: str) -> str:
    try:
        method = provider.method_of(reference)
    except ProviderRefused as refusal:
        raise PaymentDetailsMissing(f"The provider said: {refusal.message}") from None
    except ProviderUnavailable:
        raise PaymentProviderUnavailable(retry_after_seconds=_RETRY_AFTER_SECONDS) from None
    if not method:
        raise PaymentDetailsMissing(f"{reference} has no saved payment method.")
    return method


@transaction.atomic
def _attempt(caller: Caller, invoice_id: UUID, wish: Wish, payer: _Payer, now: datetime) -> Payment:
    """The row of an attempt, leased to us."""
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    earlier = Payment.objects.filter(invoice=invoice)
    if earlier.filter(status__in=UNDER_WAY).exists():
        raise PaymentUnderWay(retry_after_seconds=_RETRY_AFTER_SECONDS)
    status_require(invoice, UNPAID)
    if invoice.amount_due_minor <= 0:
        raise InvoiceIsPaid
    attempt = (earlier.aggregate(last=Max("attempt"))["last"] or 0) + 1
    payment = _row(caller, invoice, attempt, wish, payer, now)
    if wish.is_automatic:
        invoice.next_charge_at = None
        invoice.save(update_fields=["next_charge_at"])
    _tell(caller, invoice, payment, wish, now)
    return payment


def _row(caller: Caller, invoice: Invoice, attempt: int, wish: Wish, payer: _Payer, now: datetime) -> Payment:
    wall = system_now()
    return Payment.objects.create(
        environment_id=invoice.environment_id,
        invoice=invoice,
        attempt=attempt,
        provider=payer.provider,
        status=PaymentStatus.PENDING,
        amount_minor=invoice.amount_due_minor,
        currency=invoice.currency,
        # Not the payment's own id: should this row be rolled back, the same attempt is the same charge.
        provider_key=f"{invoice.public_id}-{attempt}",
        order={
            "customer": payer.customer,
            "method": payer.method,
            "description": f"Invoice {invoice.number}",
            "return_url": wish.return_url or settings.PURSER_URL,
            "is_automatic": wish.is_automatic,
        },
        actor=caller.actor,
        reason=wish.reason,
        request_id=caller.request_id,
        created_at=now,
        updated_at=now,
        asked_at=wall,
        asked_until=wall + _LEASE,
        ask_again_at=wall + _LEASE,
    )


def _tell(caller: Caller, invoice: Invoice, payment: Payment, wish: Wish, now: datetime) -> None:
    told: dict[str, Any] = {
        "payment_id": payment.public_id,
        "attempt": payment.attempt,
        "provider": payment.provider,
        "amount": payment.amount_minor,
    }
    invoice_event_record(
        caller=caller,
        invoice=invoice,
        type="invoice.charge_attempted",
        data=told,
        reason=wish.reason,
        now=now,
    )
    audit_record(
        caller=caller,
        action="invoice.charged",
        object_type="invoice",
        object_id=invoice.public_id,
        customer_id=invoice.customer_id,
        reason=wish.reason,
        changes={"payment_id": [None, payment.public_id]},
        now=now,
    )


def _order(payment: Payment) -> ChargeOrder:
    return ChargeOrder(
        key=payment.provider_key,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        customer=payment.order["customer"],
        method=payment.order["method"],
        description=payment.order["description"],
        return_url=payment.order["return_url"],
        is_off_session=payment.order["is_automatic"],
        metadata={
            ENVIRONMENT_MARK: str(payment.environment_id),
            "purser_invoice": payment.provider_key.rpartition("-")[0],
        },
    )


def _asked_first(provider: PaymentProvider, payment: Payment) -> ProviderPayment:
    try:
        return provider.charge(_order(payment))
    except ProviderRefused as refusal:
        return _came_to_nothing(payment, refusal.code, refusal.message)


def _asked_again(provider: PaymentProvider, payment: Payment) -> ProviderPayment:
    """What became of it. Not being allowed to look says nothing about that."""
    try:
        if payment.provider_payment_id is not None:
            return _looked_at(provider, payment)
        asked_at = payment.asked_at or system_now()
        found = provider.find(_order(payment), since=asked_at - _SENT_AGAIN_WITHIN)
    except ProviderRefused as refusal:
        raise ProviderUnavailable(str(refusal)) from None
    if found is not None:
        return found
    if system_now() - asked_at < _SENT_AGAIN_WITHIN:
        return _asked_first(provider, payment)
    return _came_to_nothing(payment, "never_arrived", "The provider knows nothing of this payment.")


def _looked_at(provider: PaymentProvider, payment: Payment) -> ProviderPayment:
    if payment.provider == SANDBOX:
        # It remembers nothing, and is told what becomes of what waits.
        return provider.charge(_order(payment))
    return provider.fetch(str(payment.provider_payment_id))


def _came_to_nothing(payment: Payment, code: str, message: str) -> ProviderPayment:
    return ProviderPayment(
        id=None,
        told=Told.FAILED,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        failure_code=code[:100],
        failure_message=message[:1000],
    )


def _result(payment: Payment) -> Payment:
    if payment.status not in {PaymentStatus.SUCCEEDED, *_WAITING}:
        raise PaymentDeclined(
            payment.failure_message or "The payment was declined.",
            extra={
                "payment_id": payment.public_id,
                "payment_intent_id": payment.provider_payment_id,
                "failure_code": payment.failure_code,
            },
        )
    return payment
