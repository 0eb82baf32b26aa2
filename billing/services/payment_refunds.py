"""Money that goes back by the way it came: what a credit note of the kind `refund` asks for."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction

from billing.errors import PaymentProviderUnavailable, RefundNotPossible
from billing.gateways.payments.provider import (
    ENVIRONMENT_MARK,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    RefundOrder,
)
from billing.models import CreditNote, Payment, PaymentStatus, RefundStatus
from billing.services.credit_notes import credit_note_refund_settled
from billing.services.invoice_states import invoice_locked
from billing.services.manual_payments import MANUAL
from billing.services.provider_accounts import provider_named
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now

_log = logging.getLogger("purser.billing")

#: So long after the commit the one who made the note has it sent; then the sweep does.
_FIRST: Final = timedelta(minutes=2)
_UNKNOWN: Final = timedelta(minutes=1)
#: A bank that takes its time. The provider's webhook tells sooner.
_PENDING: Final = timedelta(hours=1)


def refund_begin(*, caller: Caller, credit_note: CreditNote, now: datetime) -> None:
    """Set the money aside on the payment, in the transaction that makes the credit note, and send it once that is
    committed. The invoice is locked. Raises RefundNotPossible.
    """
    payment = payment_of(credit_note)
    if payment is None or payment.provider == MANUAL:
        raise RefundNotPossible
    if payment.refunded_minor + credit_note.amount_minor > payment.amount_minor:
        raise RefundNotPossible("So much was not paid through the provider.")
    _give_back(payment, credit_note.amount_minor, now)
    _ask_in(credit_note.id, _FIRST)
    transaction.on_commit(partial(_send, caller, credit_note.id, now), robust=True)


def refund_pursue(*, caller: Caller, credit_note_id: UUID, now: datetime) -> None:
    """Have a pending refund made; asked twice it is made once. Raises PaymentProviderUnavailable."""
    note = CreditNote.objects.filter(id=credit_note_id, refund_status=RefundStatus.PENDING).first()
    payment = payment_of(note) if note else None
    if note is None or payment is None:
        return
    _ask_in(note.id, _UNKNOWN)
    refund = _asked(note, payment)
    if refund.is_pending:
        _ask_in(note.id, _PENDING)
    else:
        refund_settle(caller=caller, credit_note_id=note.id, refund=refund, now=now)


@transaction.atomic
def refund_settle(*, caller: Caller, credit_note_id: UUID, refund: ProviderRefund, now: datetime) -> None:
    """Write down what became of a refund; what was set aside for one that failed is free again."""
    found = CreditNote.objects.get(id=credit_note_id)
    # The lock under which the status is read and changed.
    invoice_locked(caller=caller, invoice_id=found.invoice_id)
    found.refresh_from_db(fields=["refund_status"])
    note = credit_note_refund_settled(
        caller=caller,
        credit_note_id=credit_note_id,
        succeeded=not refund.has_failed,
        provider_refund_id=refund.id,
        data={"provider_refund_id": refund.id},
        now=now,
    )
    payment = payment_of(note)
    if payment is not None and found.refund_status == RefundStatus.PENDING and refund.has_failed:
        _give_back(payment, -note.amount_minor, now)


def _send(caller: Caller, credit_note_id: UUID, now: datetime) -> None:
    try:
        refund_pursue(caller=caller, credit_note_id=credit_note_id, now=now)
    except DomainError as refusal:
        # It stays pending, and the sweep asks again.
        _log.warning("a refund is not made yet: %s", refusal, extra={"credit_note_id": str(credit_note_id)})


def _asked(note: CreditNote, payment: Payment) -> ProviderRefund:
    provider = provider_named(environment_id=payment.environment_id, name=payment.provider)
    order = RefundOrder(
        key=f"refund-{note.public_id}",
        payment_id=str(payment.provider_payment_id),
        amount_minor=note.amount_minor,
        currency=payment.currency,
        metadata={ENVIRONMENT_MARK: str(note.environment_id)},
    )
    try:
        return provider.refund(order)
    except ProviderRefused as refusal:
        _log.warning("a refund was refused: %s", refusal, extra={"credit_note_id": note.public_id})
        return ProviderRefund(id=None, has_failed=True)
    except ProviderUnavailable:
        raise PaymentProviderUnavailable from None


def _ask_in(credit_note_id: UUID, delay: timedelta) -> None:
    CreditNote.objects.filter(id=credit_note_id).update(refund_ask_at=system_now() + delay)


def payment_of(note: CreditNote) -> Payment | None:
    """What is paid back of."""
    return Payment.objects.filter(invoice_id=note.invoice_id, status=PaymentStatus.SUCCEEDED).first()


def _give_back(payment: Payment, amount_minor: int, now: datetime) -> None:
    payment.refunded_minor += amount_minor
    payment.updated_at = now
    payment.save(update_fields=["refunded_minor", "updated_at"])
