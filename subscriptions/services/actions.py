"""What may be asked of a subscription beside renewing, changing, extending: pause, resume, cancel, uncancel."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.services.accounts import account_balance
from customers.errors import FieldError
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from subscriptions.errors import ResumeDateRefused, SubscriptionStateConflict
from subscriptions.models import Subscription, SubscriptionState
from subscriptions.services.advancing import subscription_end
from subscriptions.services.locking import Outcome, allowed, moved, subscription_locked
from subscriptions.services.opening import fallback_open
from subscriptions.services.pausing import subscription_resumed, subscription_stopped
from subscriptions.services.periods import period_close
from subscriptions.services.standing import standing_push
from subscriptions.services.timeline import named, planned, subscription_note


def subscription_pause(
    *,
    caller: Caller,
    subscription_id: UUID,
    resumes_at: datetime | None = None,
    reason: str = "",
    now: datetime,
) -> Outcome:
    """Stop its clock, its grants and its usage, until `resumes_at` or until it is resumed.

    Raises SubscriptionNotFound, SubscriptionStateConflict, ResumeDateRefused.
    """
    if resumes_at is not None and resumes_at <= now:
        raise ResumeDateRefused(errors=(FieldError("resumes_at", "out-of-range", "Must lie in the future."),))
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        before = moved(subscription, "pause")
        subscription_stopped(
            caller=caller,
            subscription=subscription,
            before=before,
            resumes_at=resumes_at,
            reason=reason,
            now=now,
        )
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription)


def subscription_resume(*, caller: Caller, subscription_id: UUID, reason: str = "", now: datetime) -> Outcome:
    """Let its clock run again; the period's end is shifted by the pause. Raises what pausing does."""
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        allowed(subscription, "resume")
        subscription_resumed(caller=caller, subscription=subscription, reason=reason, now=now)
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription)


def subscription_cancel(
    *,
    caller: Caller,
    subscription_id: UUID,
    immediately: bool = False,
    falls_back: bool = True,
    reason: str = "",
    now: datetime,
) -> Outcome:
    """End it with its period, or at once; an overdue one's period is over, so that ends at once.

    Its fallback, if the variant names one, takes its place, unless `falls_back` is false.

    Granted credits live to their own expiry. Raises SubscriptionNotFound, SubscriptionStateConflict.
    """
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        before = moved(subscription, "cancel_now" if immediately else "cancel")
        subscription.canceled_at = now
        if subscription.status == SubscriptionState.CANCELED:
            _cancel_now(caller, subscription, before, reason, now)
        else:
            subscription.cancel_at_period_end = True
            _note_plan(caller, subscription, "cancel_planned", reason, now)
        standing_push(subscription, now=now)
        if falls_back:
            fallback_open(caller=caller, ended=subscription, now=now)
    return Outcome(subscription=subscription)


def subscription_uncancel(
    *, caller: Caller, subscription_id: UUID, reason: str = "", now: datetime
) -> Outcome:
    """Take a planned cancellation back. Raises SubscriptionNotFound, SubscriptionStateConflict."""
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        moved(subscription, "uncancel")
        if not subscription.cancel_at_period_end:
            raise SubscriptionStateConflict("No cancellation is planned.")
        subscription.cancel_at_period_end = False
        subscription.canceled_at = None
        _note_plan(caller, subscription, "uncanceled", reason, now)
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription)


def _cancel_now(caller: Caller, subscription: Subscription, before: str, reason: str, now: datetime) -> None:
    summary = period_close(
        subscription, at=now, balance_mc=account_balance(customer_id=subscription.customer_id)
    )
    subscription_end(subscription, now=now)
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="canceled",
        before=before,
        data={"ended_at": instant_text(now), "usage_summary": summary},
        reason=reason,
        now=now,
    )


def _note_plan(caller: Caller, subscription: Subscription, what: str, reason: str, now: datetime) -> None:
    subscription_note(
        caller=caller,
        subscription=subscription,
        what=what,
        before=subscription.status,
        data={
            "effective": "period_end",
            **named("previous", subscription.variant),
            **planned(subscription),
            "credits_granted": 0,
        },
        reason=reason,
        told_as="changed",
        now=now,
    )
