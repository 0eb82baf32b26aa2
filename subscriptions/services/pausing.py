"""A pause: the period's clock and the grants stand still, usage is suspended."""

from __future__ import annotations

from datetime import datetime, timedelta

from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from subscriptions.engine.due import renewal_due_at
from subscriptions.engine.transitions import transition
from subscriptions.models import Subscription, SubscriptionPeriod
from subscriptions.services.grants import schedules_shift
from subscriptions.services.periods import period_of
from subscriptions.services.standing import clockwork_of, period_end, period_end_uncut
from subscriptions.services.timeline import subscription_note


def subscription_stopped(
    *,
    caller: Caller,
    subscription: Subscription,
    before: str,
    resumes_at: datetime | None,
    reason: str,
    now: datetime,
) -> None:
    """From `now` on its time stands still. The caller has moved the state."""
    subscription.status_before_pause = before
    subscription.paused_at = now
    subscription.resumes_at = resumes_at
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="paused",
        before=before,
        data={"resumes_at": instant_text(resumes_at) if resumes_at else None},
        reason=reason,
        now=now,
    )


def subscription_resumed(*, caller: Caller, subscription: Subscription, reason: str, now: datetime) -> None:
    """Its time goes on: whatever was ahead is ahead as far as it was when the pause began."""
    before: str = subscription.status
    assert subscription.paused_at is not None  # noqa: S101 - a constraint of the table
    paused_for = now - subscription.paused_at
    subscription.status = transition(before, "resume", before_pause=subscription.status_before_pause)
    subscription.paused_at = subscription.resumes_at = None
    subscription.status_before_pause = ""
    _shift(subscription, paused_for, now)
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="resumed",
        before=before,
        data={"paused_for_seconds": int(paused_for.total_seconds())},
        reason=reason,
        now=now,
    )


def _shift(subscription: Subscription, by: timedelta, now: datetime) -> None:
    period, old_end = period_of(subscription), subscription.current_period_end
    subscription.anchor_at = period_end_uncut(subscription, steps=subscription.anchor_steps) + by
    subscription.anchor_steps = 0
    subscription.current_period_end = period_end(subscription, steps=0)
    if subscription.trial_ends_at is not None:
        subscription.trial_ends_at += by
    if renewal_due_at(clockwork_of(subscription, not_before=now)) > now:
        subscription.renewal_due_told = False
    period.ends_at = subscription.current_period_end
    period.save(update_fields=["ends_at"])
    # A period renewed beforehand begins later, too.
    SubscriptionPeriod.objects.filter(subscription_id=subscription.id, starts_at=old_end).update(
        starts_at=subscription.current_period_end, ends_at=period_end(subscription, steps=1)
    )
    schedules_shift(subscription=subscription, by=by)
