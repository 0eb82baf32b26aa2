"""The next period begins: where the last one ended, on the terms that were planned for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from subscriptions.models import GrantSchedule, Subscription, SubscriptionState
from subscriptions.services.grants import Rolled, period_grants_fire
from subscriptions.services.periods import period_open
from subscriptions.services.price_terms import term_end, terms_follow
from subscriptions.services.standing import period_end
from subscriptions.services.timeline import subscription_note


def period_begin(
    *,
    caller: Caller,
    subscription: Subscription,
    before: str,
    summary: Mapping[str, Any] | None,
    rolled_over: Mapping[UUID, Rolled],
    reason: str = "",
    now: datetime,
) -> int:
    """Move to the next period, fire its grants, and tell; returns the mc granted. The account must be free to move."""
    prior = _window(subscription)
    _change_as_planned(subscription, now=now)
    subscription.anchor_steps += 1
    subscription.current_period_start = subscription.current_period_end
    subscription.current_period_end = period_end(subscription, steps=subscription.anchor_steps)
    subscription.is_renewed = False
    subscription.renewal_due_told = False
    given = period_grants_fire(caller=caller, subscription=subscription, rolled_over=rolled_over, now=now)
    period_open(subscription, now=now)
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="renewed",
        before=before,
        data={
            "prior_period": prior,
            "new_period": _window(subscription),
            "credits_granted": given,
            "usage_summary": summary,
        },
        reason=reason,
        now=now,
    )
    return given


def _change_as_planned(subscription: Subscription, *, now: datetime) -> None:
    """At a period's end. Another cycle counts from here on."""
    variant = subscription.pending_variant
    if variant is None:
        return
    if variant.billing_cycle != subscription.variant.billing_cycle:
        subscription.anchor_at = subscription.current_period_end
        subscription.anchor_steps = 0
    subscription.variant = variant
    subscription.pending_variant = None
    terms_follow(subscription, at=subscription.current_period_end, now=now)


def _window(subscription: Subscription) -> dict[str, str]:
    return {
        "start": instant_text(subscription.current_period_start),
        "end": instant_text(subscription.current_period_end),
    }


def subscription_end(subscription: Subscription, *, now: datetime) -> None:
    """Nothing is planned any more. The caller has moved the state."""
    GrantSchedule.objects.filter(subscription_id=subscription.id).delete()
    term_end(subscription, at=now)
    subscription.ended_at = now
    subscription.is_renewed = False
    subscription.pending_variant = None
    subscription.paused_at = None
    subscription.resumes_at = None
    if subscription.status == SubscriptionState.CANCELED:
        subscription.canceled_at = subscription.canceled_at or now
