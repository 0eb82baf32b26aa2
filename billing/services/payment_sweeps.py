"""Finds out what became of payments and refunds that a crash or a lost answer left open. Any environment, any clock:
what has happened at a provider has happened.
"""

from __future__ import annotations

import logging
from typing import Final
from uuid import UUID

from billing.errors import PaymentProviderUnavailable, PaymentUnderWay
from billing.services.payment_refunds import refund_pursue
from billing.services.payments import payment_refresh
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import call_all, environment_scope
from customers.models import Environment
from customers.services.environments import environment_now

_log = logging.getLogger("purser.billing")

_PAYMENTS: Final = "SELECT environment_id, payment_id FROM billing_payments_due_v1($1, $2)"
_REFUNDS: Final = "SELECT environment_id, credit_note_id FROM billing_refunds_due_v1($1, $2)"
_OF_A_RUN: Final = 100


def payments_sweep() -> int:
    """Ask about what is open; how much that was."""
    payments = call_all(_PAYMENTS, [system_now(), _OF_A_RUN])
    for environment_id, payment_id in payments:
        with environment_scope(environment_id):
            _payment_ask(environment_id, payment_id)
    refunds = call_all(_REFUNDS, [system_now(), _OF_A_RUN])
    for environment_id, credit_note_id in refunds:
        with environment_scope(environment_id):
            _refund_ask(environment_id, credit_note_id)
    return len(payments) + len(refunds)


def _payment_ask(environment_id: UUID, payment_id: UUID) -> None:
    caller, environment = _caller(environment_id), Environment.objects.get(id=environment_id)
    try:
        payment_refresh(caller=caller, payment_id=payment_id, now=environment_now(environment))
    except (PaymentProviderUnavailable, PaymentUnderWay):
        _log.info("a payment is not known yet", extra={"payment_id": str(payment_id)})
    except DomainError as refusal:
        _log.warning("a payment cannot be asked about: %s", refusal, extra={"payment_id": str(payment_id)})


def _refund_ask(environment_id: UUID, credit_note_id: UUID) -> None:
    environment = Environment.objects.get(id=environment_id)
    try:
        refund_pursue(
            caller=_caller(environment_id), credit_note_id=credit_note_id, now=environment_now(environment)
        )
    except DomainError as refusal:
        _log.warning("a refund is not made yet: %s", refusal, extra={"credit_note_id": str(credit_note_id)})


def _caller(environment_id: UUID) -> Caller:
    return Caller(environment_id=environment_id, actor="system:payments")
