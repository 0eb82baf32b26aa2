"""A provider that moves no money and remembers nothing: what it does is written in the order.

The payment method decides, by the names that Stripe's test mode has for them, or else the amount's last four digits,
which are those of Stripe's test cards. docs/payments.md prints both tables.
"""

# ruff: noqa: ARG002 - it answers without what others need to know

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from billing.gateways.payments.provider import (
    ChargeOrder,
    ProviderPayment,
    ProviderRefund,
    RefundOrder,
    Told,
)

_DECLINED: Final = "card_declined"
_NO_FUNDS: Final = "insufficient_funds"
_EXPIRED: Final = "expired_card"
_CONFIRM: Final = "authentication_required"
_SLOW: Final = "slow"
_FINE: Final = "fine"

_BY_METHOD: Final = {
    "pm_card_visa": _FINE,
    "pm_card_chargeDeclined": _DECLINED,
    "pm_card_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_chargeDeclinedExpiredCard": _EXPIRED,
    "pm_card_authenticationRequired": _CONFIRM,
    "pm_usBankAccount_processing": _SLOW,
}
_BY_AMOUNT: Final = {2: _DECLINED, 9995: _NO_FUNDS, 69: _EXPIRED, 3155: _CONFIRM, 6789: _SLOW}
_MESSAGES: Final = {
    _DECLINED: "The card was declined.",
    _NO_FUNDS: "The card has insufficient funds.",
    _EXPIRED: "The card has expired.",
    _CONFIRM: "The payment needs to be confirmed, and nobody was there to do it.",
}


class Sandbox:
    """The test environment's provider as long as it has no account at a real one."""

    name = "sandbox"

    def method_of(self, customer: str) -> str:
        return "sandbox"

    def charge(self, order: ChargeOrder) -> ProviderPayment:
        does = _BY_METHOD.get(order.method) or _BY_AMOUNT.get(order.amount_minor % 10_000, _FINE)
        if does == _FINE:
            return _payment(order, Told.SUCCEEDED)
        if does == _SLOW:
            return _payment(order, Told.PROCESSING)
        if does == _CONFIRM and not order.is_off_session:
            return _payment(order, Told.REQUIRES_ACTION, action_url=order.return_url)
        return _payment(order, Told.FAILED, failure_code=does, failure_message=_MESSAGES[does])

    def find(self, order: ChargeOrder, *, since: datetime) -> ProviderPayment | None:
        return self.charge(order)

    def fetch(self, payment_id: str) -> ProviderPayment:
        raise NotImplementedError("what the sandbox is waiting for is told to it")

    def refund(self, order: RefundOrder) -> ProviderRefund:
        return ProviderRefund(id=f"re_{_spelled(order.key)}")

    def payments(self, *, begin: datetime, end: datetime) -> Iterator[ProviderPayment]:
        return iter(())


def _payment(
    order: ChargeOrder,
    told: Told,
    *,
    action_url: str = "",
    failure_code: str = "",
    failure_message: str = "",
) -> ProviderPayment:
    return ProviderPayment(
        id=f"pi_{_spelled(order.key)}",
        told=told,
        amount_minor=order.amount_minor,
        currency=order.currency,
        action_url=action_url,
        failure_code=failure_code,
        failure_message=failure_message,
    )


def _spelled(key: str) -> str:
    """Letters and digits that the key alone gives."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:24]
