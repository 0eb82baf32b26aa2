"""What Stripe tells by its webhooks: kept once, and then looked up.

An event is only a hint that something happened; what is applied is what Stripe says now. So events may come twice, in
any order, or days late. Which environment one is for stands in the marks on the object, and that environment's secret
must have signed it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard
from uuid import UUID

from billing.errors import PaymentProviderUnavailable, ProviderEventRefused
from billing.gateways.payments.provider import (
    ENVIRONMENT_MARK,
    ProviderPayment,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    Told,
)
from billing.gateways.payments.stripe_api import KEY, EventRefused, event_read
from billing.models import CreditNote, Payment, PaymentStatus, ProviderAccount, ProviderEvent
from billing.services.payment_outcomes import payment_settle
from billing.services.payment_refunds import payment_of, refund_settle
from billing.services.provider_accounts import STRIPE, provider_named, webhook_secret_of
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse, uuid_parse
from customers.models import Environment
from customers.services.environments import environment_now

_log = logging.getLogger("purser.billing")

IGNORED: Final = "ignored"
DUPLICATE: Final = "duplicate"
_ID_MAX: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """As much of an event as we go by."""

    id: str
    type: str
    told_at: datetime
    object: Mapping[str, Any]

    @property
    def marks(self) -> Mapping[str, Any]:
        marks = self.object.get("metadata")
        return marks if isinstance(marks, Mapping) else {}

    @property
    def key(self) -> str:
        """Which attempt, or which refund, of ours it is about."""
        key = self.marks.get(KEY)
        return key if _is_name(key) else ""


def stripe_event_receive(*, payload: bytes, signature: str) -> str:
    """Apply an event, and say what came of it. Raises ProviderEventRefused, PaymentProviderUnavailable."""
    environment_id = _environment_of(_parsed(payload))
    if environment_id is None:
        # The account may well do other business than ours.
        return IGNORED
    with environment_scope(environment_id):
        account = ProviderAccount.objects.filter(environment_id=environment_id, provider=STRIPE).first()
        if account is None:
            return IGNORED
        event = _verified(payload, signature, webhook_secret_of(account))
        return _once(environment_id, event)


def _parsed(payload: bytes) -> _Event:
    """Not trusted yet."""
    try:
        event = json.loads(payload)
    except (ValueError, RecursionError):
        raise ProviderEventRefused("The body is not JSON.") from None
    return _read(event)


def _verified(payload: bytes, signature: str, secret: str) -> _Event:
    try:
        return _read(event_read(payload=payload, signature=signature, secret=secret))
    except EventRefused:
        raise ProviderEventRefused from None


def _read(event: Any) -> _Event:
    found = event.get("data") if isinstance(event, Mapping) else None
    about = found.get("object") if isinstance(found, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(about, Mapping):
        raise ProviderEventRefused("The body is not an event.")
    told_at = _instant(event.get("created"))
    event_id, kind = event.get("id"), event.get("type")
    if told_at is None or not _is_name(event_id) or not _is_name(kind):
        raise ProviderEventRefused("The body is not an event.")
    return _Event(id=str(event_id), type=str(kind)[:100], told_at=told_at, object=about)


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _ID_MAX and value.isprintable()


def _instant(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _environment_of(event: _Event) -> UUID | None:
    mark = event.marks.get(ENVIRONMENT_MARK)
    found = uuid_parse(mark) if isinstance(mark, str) else None
    return found if found and Environment.objects.filter(id=found).exists() else None


def _once(environment_id: UUID, event: _Event) -> str:
    """Kept first, so that it is not lost with whatever happens next; Stripe sends it again until it is handled."""
    kept, _ = ProviderEvent.objects.get_or_create(
        environment_id=environment_id,
        provider=STRIPE,
        event_id=event.id,
        defaults={
            "type": event.type,
            "payload": _kept(event),
            "told_at": event.told_at,
            "received_at": system_now(),
        },
    )
    if kept.handled_at is not None:
        return DUPLICATE
    kept.payment, kept.outcome = _applied(environment_id, event)
    kept.handled_at = system_now()
    kept.save(update_fields=["payment", "outcome", "handled_at"])
    return kept.outcome


def _kept(event: _Event) -> dict[str, Any]:
    """What it is about, without what a payer's bank would not like to find in our database."""
    names = ("id", "object", "status", "currency")
    shown = {name: event.object.get(name) for name in names}
    return {name: value for name, value in shown.items() if _is_name(value)} | {KEY: event.key}


def _applied(environment_id: UUID, event: _Event) -> tuple[Payment | None, str]:
    caller = Caller(environment_id=environment_id, actor="system:stripe")
    now = environment_now(Environment.objects.get(id=environment_id))
    if event.object.get("object") == "payment_intent":
        return _payment_applied(caller, event, now)
    if event.object.get("object") == "refund":
        return _refund_applied(caller, event, now)
    return None, IGNORED


def _payment_applied(caller: Caller, event: _Event, now: datetime) -> tuple[Payment | None, str]:
    payment = Payment.objects.filter(
        environment_id=caller.environment_id, provider=STRIPE, provider_key=event.key
    ).first()
    if payment is None:
        return None, "unknown payment"
    told = _fetched(payment, str(event.object.get("id")))
    if told is None:
        return payment, "unknown at the provider"
    settled = payment_settle(caller=caller, payment_id=payment.id, told=told, now=now)
    if told.told is Told.SUCCEEDED and settled.status != PaymentStatus.SUCCEEDED:
        _log.error("paid, but not open any more", extra={"payment_id": payment.public_id})
        return payment, "paid, but not open any more"
    return payment, settled.status


def _fetched(payment: Payment, provider_payment_id: str) -> ProviderPayment | None:
    provider = provider_named(environment_id=payment.environment_id, name=STRIPE)
    try:
        return provider.fetch(provider_payment_id)
    except ProviderRefused:
        return None
    except ProviderUnavailable:
        raise PaymentProviderUnavailable(retry_after_seconds=60) from None


def _refund_applied(caller: Caller, event: _Event, now: datetime) -> tuple[Payment | None, str]:
    note_id = typeid_parse("cnt", event.key.removeprefix("refund-"))
    note = (
        CreditNote.objects.filter(environment_id=caller.environment_id, id=note_id).first()
        if note_id
        else None
    )
    status = event.object.get("status")
    if note is None or status not in {"succeeded", "failed", "canceled"}:
        return None, IGNORED
    refund = ProviderRefund(id=str(event.object.get("id")), has_failed=status != "succeeded")
    refund_settle(caller=caller, credit_note_id=note.id, refund=refund, now=now)
    return payment_of(note), f"refund {status}"
