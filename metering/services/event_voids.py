"""Void a usage event: it stays, its debit is refunded, and nothing counts it any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.errors import NothingLeftToRefund
from billing.services.catch_up import caught_up
from billing.services.credits import Movement, credits_refund
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import typeid
from metering.errors import EventNotFound, EventVoided
from metering.models import EventVoid, UsageEvent
from metering.selectors.event_archives import event_missing

_REFUSALS: Final = {"not-found": EventNotFound, "voided-already": EventVoided}


def event_void(*, caller: Caller, event_id: UUID, reason: str, now: datetime) -> EventVoid:
    """Take an event back, once: refund what is left of its debit into the blocks it came from, and leave a trace.

    Raises EventNotFound, EventArchived, EventVoided.
    """
    event = UsageEvent.objects.select_related("customer").filter(id=event_id).first()
    if event is None:
        raise event_missing(event_id)
    if EventVoid.objects.filter(event_id=event_id).exists():
        raise EventVoided
    with transaction.atomic():
        # The refund first: it locks the account, as everything else that moves it does.
        refund = _refund(caller, event, reason, now)
        _leave_trace(caller, event, reason, refund, now)
    return EventVoid.objects.get(event_id=event_id)


def _refund(caller: Caller, event: UsageEvent, reason: str, now: datetime) -> Movement | None:
    if event.ledger_entry_id is None:
        return None
    try:
        return credits_refund(
            caller=caller,
            customer=event.customer,
            entry_id=event.ledger_entry_id,
            reason=reason,
            metadata={"voided_event_id": event.public_id},
            now=now,
        )
    except NothingLeftToRefund:
        return None  # refunded before, by hand


def _leave_trace(
    caller: Caller, event: UsageEvent, reason: str, refund: Movement | None, now: datetime
) -> None:
    def attempt() -> Any:
        return call_function(
            "metering_event_void_v1",
            environment=caller.environment_id,
            event=event.id,
            reason=reason,
            refunded=refund.amount_mc if refund else 0,
            refund_entry=refund.entry_id if refund else None,
            actor=caller.actor,
            request=caller.request_id,
            now=now,
        )

    answer = caught_up(attempt, environment_id=caller.environment_id, customer_id=event.customer_id, now=now)
    refusal = _REFUSALS.get(answer.status)
    if refusal is not None:
        raise refusal(f"The event {typeid('evt', event.id)} cannot be voided.")
