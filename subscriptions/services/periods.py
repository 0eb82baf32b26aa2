"""Periods as rows: opened once per start, closed with the summary of what was used in them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.services.accounts import account_balance
from metering.selectors.consumption import consumption_of
from subscriptions.models import Subscription, SubscriptionPeriod


def period_open(subscription: Subscription, *, now: datetime) -> SubscriptionPeriod:
    """The row of the current period; one that a renewal made beforehand is brought up to date."""
    period, _ = SubscriptionPeriod.objects.update_or_create(
        environment_id=subscription.environment_id,
        subscription_id=subscription.id,
        starts_at=subscription.current_period_start,
        defaults={"ends_at": subscription.current_period_end, "variant_id": subscription.variant_id},
        create_defaults={
            "ends_at": subscription.current_period_end,
            "variant_id": subscription.variant_id,
            "created_at": now,
        },
    )
    return period


def opening_balance_keep(period: SubscriptionPeriod, subscription: Subscription) -> None:
    """Once the period's grants have fired."""
    period.opening_balance_mc = account_balance(customer_id=subscription.customer_id)
    period.save(update_fields=["opening_balance_mc"])


def period_of(subscription: Subscription) -> SubscriptionPeriod:
    """The row of the current period."""
    return SubscriptionPeriod.objects.get(
        subscription_id=subscription.id, starts_at=subscription.current_period_start
    )


def period_close(subscription: Subscription, *, at: datetime, balance_mc: int) -> dict[str, Any]:
    """End the current period at `at`, and return its usage summary; `balance_mc` is the balance just before."""
    period = period_of(subscription)
    if period.closed_at is not None and period.usage_summary is not None:
        summary: dict[str, Any] = period.usage_summary
        return summary
    period.ends_at = at
    period.closed_at = at
    period.usage_summary = usage_summary(period, balance_mc=balance_mc)
    period.save(update_fields=["ends_at", "closed_at", "usage_summary"])
    return period.usage_summary


def usage_summary(period: SubscriptionPeriod, *, balance_mc: int) -> dict[str, Any]:
    """What was used in the period, exact to the event, by the time of receipt. Credits and balances in mc."""
    used = consumption_of(
        environment_id=period.environment_id,
        customer_id=period.subscription.customer_id,
        start=period.starts_at,
        end=period.ends_at,
    )
    return {
        "total_credits_consumed": sum(each.credits_mc for each in used),
        "net_balance_at_cycle_start": period.opening_balance_mc or 0,
        "net_balance_at_cycle_end": balance_mc,
        "by_billable_metric": {
            each.metric_key: {"units": _number(each.units), "credits": each.credits_mc} for each in used
        },
    }


def _number(units: Decimal) -> int | str:
    """Whole units as a number; others as exact text, for JSON's numbers are floats to many readers."""
    return int(units) if units == units.to_integral_value() else format(units.normalize(), "f")
