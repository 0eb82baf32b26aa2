"""What a customer's subscriptions tell metering and billing: pushed onto the credit account when one changes.

Its cycle, plan variant and suspension are those of the one subscription that holds credits; `catch_up_at` is the first
instant at which anything is due on any of them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from billing.services.accounts import account_configure
from customers.kernel.database import call_all, call_one
from subscriptions.engine.calendar import calendar_step
from subscriptions.engine.due import Clockwork, next_due
from subscriptions.models import LIVE_STATES, Subscription, SubscriptionState

#: The end of a cycle that stands still: the counters of tiers go on counting in it.
_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_OTHERS_DUE_AT: Final = (
    "SELECT min(next_due_at) FROM subscriptions_subscription "
    "WHERE customer_id = $1 AND id <> $2 AND failed_at IS NULL"
)
_NEXT_GRANTS: Final = "SELECT next_at FROM subscriptions_grant_schedule WHERE subscription_id = $1"
_SUSPENDED: Final = {
    SubscriptionState.OVERDUE: "subscription_overdue",
    SubscriptionState.PAUSED: "subscription_paused",
}


def clockwork_of(subscription: Subscription, *, not_before: datetime) -> Clockwork:
    """Everything that says when something is due."""
    variant = subscription.variant
    return Clockwork(
        status=subscription.status,
        is_prepaid=variant.is_prepaid,
        current_period_start=subscription.current_period_start,
        current_period_end=subscription.current_period_end,
        not_before=not_before,
        renewal_due_days=variant.renewal_due_days,
        grace_period_days=variant.grace_period_days,
        is_renewed=subscription.is_renewed,
        cancel_at_period_end=subscription.cancel_at_period_end,
        trial_ends_at=subscription.trial_ends_at,
        contract_end=subscription.contract_end,
        contract_ending_soon_days=subscription.contract_ending_soon_days,
        resumes_at=subscription.resumes_at,
        renewal_due_told=subscription.renewal_due_told,
        trial_ending_told=subscription.trial_ending_told,
        contract_ending_told=subscription.contract_ending_told,
        next_grants_at=tuple(next_at for (next_at,) in call_all(_NEXT_GRANTS, [subscription.id])),
    )


def standing_push(subscription: Subscription, *, now: datetime) -> None:
    """Work out when something is due next, keep it, and have the account know how the subscription stands."""
    subscription.next_due_at = next_due(clockwork_of(subscription, not_before=now))
    subscription.updated_at = now
    subscription.save()
    _push(
        subscription.environment_id,
        subscription.customer_id,
        _holder(subscription),
        catch_up_at=_first(subscription.next_due_at, _others_due_at(subscription)),
        now=now,
    )


def standing_clear(subscription: Subscription, *, now: datetime) -> None:
    """The account as it stands, without due work: while that is done the account must move."""
    holder = _holder(subscription)
    _push(subscription.environment_id, subscription.customer_id, holder, catch_up_at=None, now=now)


def standing_restore(*, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Have the account know what the customer's subscriptions, as they are stored, say; what is parked is not due."""
    live = list(_live(customer_id))
    _push(
        environment_id,
        customer_id,
        next((each for each in live if each.holds_credits), None),
        catch_up_at=_first(*(each.next_due_at for each in live if each.failed_at is None)),
        now=now,
    )


def _live(customer_id: UUID) -> QuerySet[Subscription]:
    live = Subscription.objects.filter(customer_id=customer_id, status__in=LIVE_STATES)
    return live.select_related("variant")


def _holder(subscription: Subscription) -> Subscription | None:
    """The live one that holds the customer's credits: this one, or another one as it is stored."""
    if subscription.holds_credits and subscription.status in LIVE_STATES:
        return subscription
    return _live(subscription.customer_id).filter(holds_credits=True).exclude(id=subscription.id).first()


def _others_due_at(subscription: Subscription) -> datetime | None:
    row = call_one(_OTHERS_DUE_AT, [subscription.customer_id, subscription.id])
    return row[0] if row else None


def _first(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _push(
    environment_id: UUID,
    customer_id: UUID,
    holder: Subscription | None,
    *,
    catch_up_at: datetime | None,
    now: datetime,
) -> None:
    start, end = _cycle(holder) if holder else (None, None)
    account_configure(
        environment_id=environment_id,
        customer_id=customer_id,
        catch_up_at=catch_up_at,
        cycle_started_at=start,
        cycle_ends_at=end,
        plan_variant_id=holder.variant_id if holder else None,
        usage_suspended=_suspension(holder) if holder else None,
        now=now,
    )


def period_end(subscription: Subscription, *, steps: int) -> datetime:
    """Where the period `steps` cycles after the anchor ends; the contract's end cuts the last one."""
    end = period_end_uncut(subscription, steps=steps)
    return min(end, subscription.contract_end) if subscription.contract_end else end


def period_end_uncut(subscription: Subscription, *, steps: int) -> datetime:
    """The same, if there were no contract."""
    cycle = subscription.variant.billing_cycle
    return calendar_step(subscription.anchor_at, cycle, subscription.timezone, steps)


def _cycle(subscription: Subscription) -> tuple[datetime, datetime]:
    """Usage of an overdue subscription counts in the period that its renewal will begin."""
    if subscription.status == SubscriptionState.PAUSED:
        return subscription.current_period_start, _NEVER
    if subscription.status == SubscriptionState.OVERDUE:
        end = period_end(subscription, steps=subscription.anchor_steps + 1)
        return subscription.current_period_end, max(end, subscription.next_due_at or end)
    return subscription.current_period_start, subscription.current_period_end


def _suspension(subscription: Subscription) -> str | None:
    is_allowed = (
        subscription.status == SubscriptionState.OVERDUE and subscription.variant.allow_usage_while_overdue
    )
    return None if is_allowed else _SUSPENDED.get(SubscriptionState(subscription.status))
