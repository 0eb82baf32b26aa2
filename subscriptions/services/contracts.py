"""A contract is extended; one that had ended comes back to life."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from subscriptions.errors import ContractDateRefused, SubscriptionExists
from subscriptions.models import Subscription, SubscriptionState
from subscriptions.services.grants import period_grants_fire
from subscriptions.services.locking import Outcome, moved, subscription_locked
from subscriptions.services.opening import has_live
from subscriptions.services.periods import period_change, period_open
from subscriptions.services.price_terms import terms_follow
from subscriptions.services.standing import period_end, standing_clear, standing_push
from subscriptions.services.timeline import subscription_note


def subscription_extend(
    *,
    caller: Caller,
    subscription_id: UUID,
    contract_end: datetime,
    metadata: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> Outcome:
    """Move the contract's end further. One that had ended is active again, in a new period from `now`.

    `metadata` is kept with the extension. Raises SubscriptionNotFound, SubscriptionStateConflict,
    ContractDateRefused, SubscriptionExists.
    """
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        before = moved(subscription, "extend")
        previous = subscription.contract_end
        _check(contract_end, previous, now)
        subscription.contract_start = subscription.contract_start or now
        subscription.contract_end = contract_end
        subscription.contract_ending_told = False
        given = 0
        if before == SubscriptionState.CONTRACT_ENDED:
            given = _revive(caller, subscription, now)
        elif before != SubscriptionState.OVERDUE:
            _uncut(subscription, now)
        subscription_note(
            caller=caller,
            subscription=subscription,
            what="extended",
            before=before,
            data={
                "contract_end": instant_text(contract_end),
                "previous_contract_end": instant_text(previous) if previous else None,
                "reason": reason,
                "metadata": dict(metadata or {}),
                "credits_granted": given,
            },
            reason=reason,
            now=now,
        )
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription, credits_granted_mc=given)


def _check(contract_end: datetime, previous: datetime | None, now: datetime) -> None:
    earliest = max(now, previous) if previous else now
    if contract_end <= earliest:
        message = f"Must lie after {instant_text(earliest)}."
        raise ContractDateRefused(errors=(FieldError("contract_end", "out-of-range", message),))


def _uncut(subscription: Subscription, now: datetime) -> None:
    """The last period is not the last any more."""
    subscription.current_period_end = period_end(subscription, steps=subscription.anchor_steps)
    period_change(subscription, now=now)


def _revive(caller: Caller, subscription: Subscription, now: datetime) -> int:
    live = has_live(subscription.customer) if subscription.holds_credits else None
    if live is not None:
        raise SubscriptionExists(extra={"subscription_id": live.public_id})
    subscription.ended_at = None
    subscription.cancel_at_period_end = False
    subscription.canceled_at = None
    subscription.renewal_due_told = False
    subscription.anchor_at, subscription.anchor_steps = now, 1
    subscription.current_period_start = now
    subscription.current_period_end = period_end(subscription, steps=1)
    subscription.save()
    terms_follow(subscription, at=now, now=now)
    standing_clear(subscription, now=now)
    given = period_grants_fire(caller=caller, subscription=subscription, now=now)
    period_open(subscription, now=now)
    return given
