"""A subscription moves to another variant, or price plan: now, or with its next period."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from django.db import transaction

from billing.services.credits import Cause, credits_grant
from customers.errors import FieldError
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from subscriptions.engine.calendar import calendar_step
from subscriptions.engine.proration import prorated
from subscriptions.errors import BillingPeriodDiffers, PlanKindDiffers, SameVariant
from subscriptions.models import PlanVariant, Subscription
from subscriptions.services.grants import cycle_templates, schedules_follow
from subscriptions.services.locking import Outcome, moved, subscription_locked
from subscriptions.services.periods import period_change
from subscriptions.services.price_terms import terms_follow
from subscriptions.services.sales import Offer, offer_taken
from subscriptions.services.standing import period_end_uncut, standing_push
from subscriptions.services.timeline import named, planned, subscription_note

Effective = Literal["immediate", "period_end"]
_PRIORITY: Final = 10


def subscription_change(
    *,
    caller: Caller,
    subscription_id: UUID,
    offer: Offer,
    effective: Effective = "immediate",
    prorate: bool = True,
    reason: str = "",
    now: datetime,
) -> Outcome:
    """Move to another variant or price plan.

    At once, the difference of what the rest of the period gives is granted, never taken; usage is split at the
    instant, and so are fees, by the second, if they are to `prorate`. Raises SubscriptionNotFound,
    SubscriptionStateConflict, what offer_taken does, PlanKindDiffers, SameVariant, BillingPeriodDiffers.
    """
    with transaction.atomic():
        variant = offer_taken(environment_id=caller.environment_id, offer=offer)
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        moved(subscription, "change")
        _check_kind(subscription, variant)
        previous, note_id, given = subscription.variant, uuid7(), 0
        if effective == "period_end":
            _plan(subscription, variant)
        else:
            given = _change_now(caller, subscription, variant, note_id, now)
            terms_follow(subscription, at=now, prorates=prorate, now=now)
        subscription_note(
            caller=caller,
            subscription=subscription,
            what="changed",
            before=subscription.status,
            data={
                "effective": effective,
                **named("previous", previous),
                **planned(subscription),
                "credits_granted": given,
            },
            reason=reason,
            note_id=note_id,
            now=now,
        )
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription, credits_granted_mc=given)


def _check_kind(subscription: Subscription, variant: PlanVariant) -> None:
    if subscription.holds_credits == variant.is_price_plan:
        raise PlanKindDiffers


def _check_period(subscription: Subscription, variant: PlanVariant) -> None:
    """Fees of two terms share a period only when they are for the same one."""
    bills = subscription.variant.price_plan_version_id or variant.price_plan_version_id
    if bills and variant.billing_cycle != subscription.variant.billing_cycle:
        message = "Only with the next period: the billing period is another."
        raise BillingPeriodDiffers(message, errors=[FieldError("effective", "refused", message)])


def _plan(subscription: Subscription, variant: PlanVariant) -> None:
    """Planning the present variant takes a planned change back."""
    if variant.id == subscription.variant_id:
        if subscription.pending_variant is None:
            raise SameVariant
        subscription.pending_variant = None
    else:
        subscription.pending_variant = variant


def _change_now(
    caller: Caller, subscription: Subscription, variant: PlanVariant, note_id: UUID, now: datetime
) -> int:
    if variant.id == subscription.variant_id:
        raise SameVariant
    _check_period(subscription, variant)
    before_mc = _rest_of_period(subscription, subscription.variant, now)
    rest_mc = _rest_of_period(subscription, variant, now)
    if variant.billing_cycle != subscription.variant.billing_cycle:
        # The present period keeps its end; the other cycle counts from there.
        subscription.anchor_at = period_end_uncut(subscription, steps=subscription.anchor_steps)
        subscription.anchor_steps = 0
    subscription.variant, subscription.pending_variant = variant, None
    period_change(subscription, now=now)
    given = max(rest_mc - before_mc, 0)
    if given:
        _grant(caller, subscription, given, note_id, now)
    return given + schedules_follow(caller=caller, subscription=subscription, now=now)


def _rest_of_period(subscription: Subscription, variant: PlanVariant, now: datetime) -> int:
    """What the variant's cycle grants come to, in mc, for the time from `now` to the period's end."""
    whole = sum(template.credits_mc for template in cycle_templates(variant))
    start, end = subscription.current_period_start, subscription.current_period_end
    own_end = calendar_step(start, variant.billing_cycle, subscription.timezone, 1)
    return prorated(whole, start, own_end, own_end - (end - now))


def _grant(caller: Caller, subscription: Subscription, credits_mc: int, note_id: UUID, now: datetime) -> None:
    templates = cycle_templates(subscription.variant)
    expires = any(each.expires_at_interval_end or each.expires_after_seconds for each in templates)
    credits_grant(
        caller=caller,
        customer=subscription.customer,
        credits_mc=credits_mc,
        source="plan_grant",
        reason=f"Change to {subscription.variant}",
        priority=max((each.priority for each in templates), default=_PRIORITY),
        expires_at=subscription.current_period_end if expires else None,
        metadata={"subscription_id": subscription.public_id},
        cause=Cause(source_type="subscription_change", source_id=note_id),
        now=now,
    )
