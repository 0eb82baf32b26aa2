"""Prepaid: the next period is paid for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.services.accounts import account_settle
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from subscriptions.engine.due import renewal_due_at
from subscriptions.errors import (
    AlreadyRenewed,
    NotPrepaid,
    PaymentAlreadyUsed,
    RenewalNotDue,
    SubscriptionStateConflict,
)
from subscriptions.models import Subscription, SubscriptionPeriod, SubscriptionState
from subscriptions.services.advancing import period_begin
from subscriptions.services.grants import schedules_skip
from subscriptions.services.locking import Outcome, moved, subscription_locked
from subscriptions.services.periods import period_of
from subscriptions.services.standing import clockwork_of, period_end, standing_clear, standing_push
from subscriptions.services.timeline import subscription_note


def subscription_renew(
    *,
    caller: Caller,
    subscription_id: UUID,
    external_payment_id: str | None = None,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Outcome:
    """Renew for one more period. It starts when the present one ends; an overdue one's starts where that ended, now.

    Raises SubscriptionNotFound, NotPrepaid, SubscriptionStateConflict, RenewalNotDue, AlreadyRenewed,
    PaymentAlreadyUsed.
    """
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        _check(caller, subscription, external_payment_id, now)
        before = moved(subscription, "renew")
        period = _book(subscription, external_payment_id, idempotency_key, now)
        given = 0
        if before == SubscriptionState.OVERDUE:
            given = _begin_late(caller, subscription, before, reason, now)
        else:
            subscription.is_renewed = True
            _note_booked(caller, subscription, period, reason, now)
        standing_push(subscription, now=now)
    return Outcome(subscription=subscription, credits_granted_mc=given)


def _check(
    caller: Caller, subscription: Subscription, external_payment_id: str | None, now: datetime
) -> None:
    if not subscription.variant.is_prepaid:
        raise NotPrepaid
    if subscription.is_renewed:
        raise AlreadyRenewed(extra={"period_start": instant_text(subscription.current_period_end)})
    if subscription.contract_end and subscription.contract_end <= subscription.current_period_end:
        raise SubscriptionStateConflict("The contract ends with this period; extend it first.")
    due_at = renewal_due_at(clockwork_of(subscription, not_before=now))
    if subscription.status in (SubscriptionState.ACTIVE, SubscriptionState.TRIALING) and now < due_at:
        raise RenewalNotDue(extra={"renewable_from": instant_text(due_at)})
    if external_payment_id is not None:
        _check_payment(caller, external_payment_id)


def _check_payment(caller: Caller, external_payment_id: str) -> None:
    periods = SubscriptionPeriod.objects.filter(environment_id=caller.environment_id)
    used = periods.filter(external_payment_id=external_payment_id).select_related("subscription").first()
    if used is not None:
        raise PaymentAlreadyUsed(extra={"subscription_id": used.subscription.public_id})


def _book(
    subscription: Subscription, external_payment_id: str | None, idempotency_key: str | None, now: datetime
) -> SubscriptionPeriod:
    return SubscriptionPeriod.objects.create(
        environment_id=subscription.environment_id,
        subscription=subscription,
        variant=subscription.pending_variant or subscription.variant,
        starts_at=subscription.current_period_end,
        ends_at=period_end(subscription, steps=subscription.anchor_steps + 1),
        renewed_at=now,
        external_payment_id=external_payment_id,
        idempotency_key=idempotency_key,
        created_at=now,
    )


def _begin_late(caller: Caller, subscription: Subscription, before: str, reason: str, now: datetime) -> int:
    standing_clear(subscription, now=now)
    account_settle(environment_id=subscription.environment_id, customer_id=subscription.customer_id, now=now)
    given = period_begin(
        caller=caller,
        subscription=subscription,
        before=before,
        summary=period_of(subscription).usage_summary,
        rolled_over={},
        reason=reason,
        now=now,
    )
    return given + schedules_skip(caller=caller, subscription=subscription, now=now)


def _note_booked(
    caller: Caller, subscription: Subscription, period: SubscriptionPeriod, reason: str, now: datetime
) -> None:
    """The webhook `subscription.renewed` comes when the period starts."""
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="renewal_booked",
        before=subscription.status,
        data={
            "period_start": instant_text(period.starts_at),
            "external_payment_id": period.external_payment_id,
        },
        reason=reason,
        told_as="",
        now=now,
    )
