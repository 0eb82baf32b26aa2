"""Stripe, by its own SDK. It is imported when the first payment needs it: that takes a third of a second.

Every attempt is a PaymentIntent of its own, made under our idempotency key and marked with it, so that it is found
again in Stripe's list when the answer was lost. One that failed is canceled at once, so that nobody can pay it later
beside the next attempt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Final, TypeVar

from billing.engine.currencies import currency_exponent
from billing.gateways.payments.provider import (
    ChargeOrder,
    ProviderPayment,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    RefundOrder,
    Told,
)

#: Where Stripe counts a currency otherwise than ISO 4217 does: https://docs.stripe.com/currencies
_EXPONENTS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
#: The mark on everything that we make.
KEY: Final = "purser_key"
_PAGE: Final = 100
_TOLD: Final = {
    "succeeded": Told.SUCCEEDED,
    "processing": Told.PROCESSING,
    "requires_action": Told.REQUIRES_ACTION,
    "requires_payment_method": Told.FAILED,
    "canceled": Told.CANCELED,
}
_Answer = TypeVar("_Answer")


class EventRefused(Exception):
    """Not an event that Stripe signed with this secret."""


class Stripe:
    """One account at Stripe."""

    name = "stripe"

    def __init__(self, *, secret_key: str, api_base: str, timeout_seconds: float) -> None:
        self._client = _client(secret_key, api_base, timeout_seconds)

    def method_of(self, customer: str) -> str:
        known = _asked(lambda: self._client.v1.customers.retrieve(customer))
        chosen = _plain(known).get("invoice_settings") or {}
        if chosen.get("default_payment_method"):
            return str(chosen["default_payment_method"])
        saved = _asked(lambda: self._client.v1.payment_methods.list({"customer": customer, "limit": 1}))
        return next((str(method.id) for method in saved.data), "")

    def charge(self, order: ChargeOrder) -> ProviderPayment:
        parameters = _parameters(order)
        try:
            intent = _asked(
                lambda: self._client.v1.payment_intents.create(parameters, {"idempotency_key": order.key})
            )
        except _Declined as declined:
            return self._declined(declined)
        return self._closed(_plain(intent))

    def find(self, order: ChargeOrder, *, since: datetime) -> ProviderPayment | None:
        asked: Any = {"customer": order.customer, "created": {"gte": int(since.timestamp())}, "limit": _PAGE}
        for intent in self._listed(asked):
            if (intent.get("metadata") or {}).get(KEY) == order.key:
                return self._closed(intent)
        return None

    def fetch(self, payment_id: str) -> ProviderPayment:
        expanded: Any = {"expand": ["latest_charge"]}
        return self._closed(
            _plain(_asked(lambda: self._client.v1.payment_intents.retrieve(payment_id, expanded)))
        )

    def refund(self, order: RefundOrder) -> ProviderRefund:
        asked: Any = {
            "payment_intent": order.payment_id,
            "amount": _amount(order.amount_minor, order.currency),
            "metadata": {**order.metadata, KEY: order.key},
        }
        # Stripe forgets our key after a day; its list does not.
        made = self._refund_found(order.key, order.payment_id) or _plain(
            _asked(lambda: self._client.v1.refunds.create(asked, {"idempotency_key": order.key}))
        )
        status = made.get("status")
        return ProviderRefund(
            id=str(made["id"]),
            has_failed=status in {"failed", "canceled"},
            is_pending=status in {"pending", "requires_action"},
        )

    def _refund_found(self, key: str, payment_id: str) -> dict[str, Any] | None:
        asked: Any = {"payment_intent": payment_id, "limit": _PAGE}
        listed = map(_plain, _asked(lambda: self._client.v1.refunds.list(asked)).data)
        return next((each for each in listed if (each.get("metadata") or {}).get(KEY) == key), None)

    def payments(self, *, begin: datetime, end: datetime) -> Iterator[ProviderPayment]:
        between = {"gte": int(begin.timestamp()), "lt": int(end.timestamp())}
        asked: Any = {"created": between, "limit": _PAGE, "expand": ["data.latest_charge"]}
        return (_payment(intent) for intent in self._listed(asked))

    def _listed(self, asked: Any) -> Iterator[dict[str, Any]]:
        """Page by page, so that each of them is asked for with our own way with errors."""
        while True:
            page = _asked(lambda: self._client.v1.payment_intents.list(asked))  # noqa: B023 - called at once
            yield from map(_plain, page.data)
            if not page.data or not page.has_more:
                return
            asked = {**asked, "starting_after": page.data[-1].id}

    def _closed(self, intent: dict[str, Any]) -> ProviderPayment:
        """A failed one is canceled. That it could not be may mean that it was paid just now: look again."""
        payment = _payment(intent)
        if payment.told is not Told.FAILED or payment.id is None:
            return payment
        payment_id = payment.id
        try:
            _asked(lambda: self._client.v1.payment_intents.cancel(payment_id))
        except ProviderRefused:
            return _payment(_plain(_asked(lambda: self._client.v1.payment_intents.retrieve(payment_id))))
        return payment

    def _declined(self, declined: _Declined) -> ProviderPayment:
        if declined.intent is None:
            # It is in the list under its key, and read from there.
            raise ProviderUnavailable(declined.message)
        return self._closed({**declined.intent, "last_payment_error": declined.error})


class _Declined(Exception):
    """A card was declined; `intent` is what was left behind."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.error = {name: error.get(name) for name in ("code", "decline_code", "message")}
        self.message = str(error.get("message") or "")
        super().__init__(self.message)
        found = error.get("payment_intent")
        self.intent: dict[str, Any] | None = dict(found) if isinstance(found, Mapping) else None


@cache
def _sdk() -> Any:
    """See above."""
    return import_module("stripe")


def event_read(*, payload: bytes, signature: str, secret: str) -> dict[str, Any]:
    """An event, once its signature is checked. Raises EventRefused."""
    stripe = _sdk()
    try:
        stripe.WebhookSignature.verify_header(
            payload.decode(), signature, secret, stripe.Webhook.DEFAULT_TOLERANCE
        )
        event = json.loads(payload)
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise EventRefused(str(error)) from None
    if not isinstance(event, dict):
        raise EventRefused("not an event")
    return event


@lru_cache(maxsize=256)
def _client(secret_key: str, api_base: str, timeout_seconds: float) -> Any:
    """Kept, and with it its connections."""
    stripe = _sdk()
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base},
        # A retry is ours to make: it must go by what is written down.
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout_seconds),
    )


def _asked(ask: Callable[[], _Answer]) -> _Answer:
    """Ask Stripe; its errors in our words."""
    stripe = _sdk()
    try:
        return ask()
    except stripe.CardError as error:
        raise _Declined(_error_of(error)) from None
    except (stripe.RateLimitError, stripe.IdempotencyError, stripe.APIConnectionError) as error:
        raise ProviderUnavailable(str(error)) from None
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as error:
        if error.http_status == 409:
            raise ProviderUnavailable(str(error)) from None
        raise ProviderRefused(error.code or "invalid_request", error.user_message or str(error)) from None
    except stripe.StripeError as error:
        raise ProviderUnavailable(str(error)) from None


def _error_of(error: Any) -> Mapping[str, Any]:
    body = error.json_body
    told = body.get("error") if isinstance(body, Mapping) else None
    return told if isinstance(told, Mapping) else {"code": error.code, "message": error.user_message}


def _parameters(order: ChargeOrder) -> Any:
    asked: dict[str, Any] = {
        "amount": _amount(order.amount_minor, order.currency),
        "currency": order.currency.lower(),
        "customer": order.customer,
        "payment_method": order.method,
        "description": order.description,
        "metadata": {**order.metadata, KEY: order.key},
        "confirm": True,
        "automatic_payment_methods": {"enabled": True},
        "return_url": order.return_url,
    }
    return asked | ({"off_session": True} if order.is_off_session else {})


def _amount(amount_minor: int, currency: str) -> int:
    """In the unit that Stripe counts the currency in."""
    code = currency.upper()
    shift = _EXPONENTS.get(code, currency_exponent(code)) - currency_exponent(code)
    if shift >= 0:
        return int(amount_minor * 10**shift)
    whole, rest = divmod(amount_minor, 10**-shift)
    if rest:
        raise ProviderRefused("amount_not_whole", f"Stripe takes whole units of {code} only.")
    return int(whole)


def _minor(amount: int, currency: str) -> int:
    """What `_amount` made of an amount, turned back."""
    code = currency.upper()
    shift = currency_exponent(code) - _EXPONENTS.get(code, currency_exponent(code))
    return int(amount * 10**shift) if shift >= 0 else int(amount // 10**-shift)


def _payment(intent: dict[str, Any]) -> ProviderPayment:
    currency = str(intent["currency"])
    error = intent.get("last_payment_error") or {}
    return ProviderPayment(
        id=str(intent["id"]),
        # What is not confirmed, or not captured, cannot come from us.
        told=_TOLD.get(str(intent["status"]), Told.PROCESSING),
        amount_minor=_minor(int(intent["amount"]), currency),
        currency=currency,
        refunded_minor=_minor(_refunded(intent), currency),
        action_url=_action_url(intent.get("next_action") or {}),
        failure_code=str(error.get("decline_code") or error.get("code") or "")[:100],
        failure_message=str(error.get("message") or "")[:1000],
        created_at=datetime.fromtimestamp(int(intent["created"]), UTC) if intent.get("created") else None,
        metadata={str(name): str(value) for name, value in (intent.get("metadata") or {}).items()},
    )


def _refunded(intent: Mapping[str, Any]) -> int:
    charge = intent.get("latest_charge")
    return int(charge.get("amount_refunded") or 0) if isinstance(charge, Mapping) else 0


def _action_url(action: Mapping[str, Any]) -> str:
    return str((action.get("redirect_to_url") or {}).get("url") or "")


def _plain(made: Any) -> dict[str, Any]:
    """An object of the SDK as a plain one."""
    plain: dict[str, Any] = made.to_dict()
    return plain
