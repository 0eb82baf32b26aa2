"""Charges invoices whose time to be charged has come: by the sweep, or by a test clock that is moved."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from billing.errors import (
    NoPaymentProvider,
    PaidByHand,
    PaymentDeclined,
    PaymentDetailsMissing,
    PaymentProviderUnavailable,
)
from billing.models import Invoice, InvoiceStatus
from billing.services.dunning import dunning_note
from billing.services.invoice_events import invoice_event_record
from billing.services.invoice_states import (
    invoice_locked,
    invoice_payment_failed,
    invoice_uncollectible,
)
from billing.services.payments import Wish, invoice_charge
from billing.services.provider_accounts import STRIPE
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.database import call_all, call_one, environment_scope
from customers.kernel.instants import instant_text
from customers.services.due_work import Moment

_log = logging.getLogger("purser.billing")

_SWEPT: Final = "SELECT environment_id, invoice_id FROM billing_charges_due_v1($1, $2)"
#: One whose payment is under way waits for that.
_IDLE: Final = (
    "SELECT i.id, i.next_charge_at, i.number FROM billing_invoice i "
    "WHERE i.environment_id = $1 AND i.status = 'issued' AND i.next_charge_at <= $2 AND NOT EXISTS ("
    "SELECT FROM billing_payment p WHERE p.environment_id = i.environment_id AND p.invoice_id = i.id "
    "AND p.status IN ('pending', 'processing', 'requires_action')) "
    "ORDER BY i.next_charge_at, i.id LIMIT $3"
)
_EVER: Final = datetime.max.replace(tzinfo=UTC)
_OF_A_RUN: Final = 200
_LATER: Final = timedelta(hours=1)
_AUTOMATIC: Final = Wish(is_automatic=True, reason="Automatic")


def charges_sweep(*, now: datetime) -> int:
    """Charge what is due in all environments without a clock of their own; how many that was."""
    due = call_all(_SWEPT, [now, _OF_A_RUN])
    for environment_id, invoice_id in due:
        with environment_scope(environment_id):
            _charge(environment_id, invoice_id, now)
    return len(due)


def charges_next_due(*, environment_id: UUID) -> Moment | None:
    """For a test clock: the first instant at which an invoice is charged by itself."""
    row = call_one(_IDLE, [environment_id, _EVER, 1])
    return Moment(at=row[1], what=f"the charge of the invoice {row[2]}") if row else None


def charges_run(*, environment_id: UUID, at: datetime) -> int:
    """For a test clock: charge what is due by `at`."""
    charged = 0
    while due := call_all(_IDLE, [environment_id, at, _OF_A_RUN]):
        for invoice_id, _, _ in due:
            _charge(environment_id, invoice_id, at)
        charged += len(due)
    return charged


def _charge(environment_id: UUID, invoice_id: UUID, now: datetime) -> None:
    """One that cannot be charged must not hold up the others: each ends in something that people can see."""
    caller = Caller(environment_id=environment_id, actor="system:charges")
    try:
        invoice_charge(caller=caller, invoice_id=invoice_id, wish=_AUTOMATIC, now=now)
    except PaymentDeclined:
        _log.info("an automatic charge was declined", extra={"invoice_id": str(invoice_id)})
    except PaymentProviderUnavailable:
        _put_off(caller, invoice_id, now)
    except (NoPaymentProvider, PaidByHand) as refusal:
        _skip(caller, invoice_id, refusal, now)
    except PaymentDetailsMissing as refusal:
        _fail(caller, invoice_id, refusal, now)
    except DomainError as refusal:
        _log.warning("invoice not charged: %s", refusal, extra={"invoice_id": str(invoice_id)})
        _skip(caller, invoice_id, refusal, now)


@transaction.atomic
def _put_off(caller: Caller, invoice_id: UUID, now: datetime) -> None:
    """A payment that was written down is asked about by the other sweep. There is none when the provider could not even
    say what to charge: that is tried again.
    """
    invoice = _still_due(caller, invoice_id, now)
    if invoice is not None:
        invoice.next_charge_at = now + _LATER
        invoice.save(update_fields=["next_charge_at"])


@transaction.atomic
def _skip(caller: Caller, invoice_id: UUID, refusal: DomainError, now: datetime) -> None:
    """Nobody charges it by itself any more; it waits for people."""
    invoice = _still_due(caller, invoice_id, now)
    if invoice is None:
        return
    invoice.next_charge_at = None
    invoice.save(update_fields=["next_charge_at"])
    told = {"code": refusal.code, "detail": refusal.detail}
    invoice_event_record(caller=caller, invoice=invoice, type="invoice.charge_skipped", data=told, now=now)


@transaction.atomic
def _fail(caller: Caller, invoice_id: UUID, refusal: DomainError, now: datetime) -> None:
    """There is nothing to charge at present: as if it had been declined, so that the schedule goes on."""
    invoice = _still_due(caller, invoice_id, now)
    if invoice is None:
        return
    is_given_up = dunning_note(invoice=invoice, is_automatic=True, now=now)
    at = invoice.next_charge_at
    told = {
        "payment_id": None,
        "payment_intent_id": None,
        "provider": invoice.customer.payment_provider or STRIPE,
        "attempt": 0,
        "failure_code": refusal.code,
        "failure_message": refusal.detail,
        "next_attempt_at": instant_text(at) if at else None,
    }
    invoice_payment_failed(caller=caller, invoice=invoice, data=told, now=now)
    if is_given_up:
        invoice_uncollectible(caller=caller, invoice=invoice, now=now)


def _still_due(caller: Caller, invoice_id: UUID, now: datetime) -> Invoice | None:
    invoice = invoice_locked(caller=caller, invoice_id=invoice_id)
    is_due = invoice.next_charge_at is not None and invoice.next_charge_at <= now
    return invoice if is_due and invoice.status == InvoiceStatus.ISSUED else None
