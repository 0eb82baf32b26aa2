"""Periods as rows: opened once per start, closed with the summary of what was used in them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from billing.services.accounts import account_balance
from metering.selectors.consumption import consumption_of
from subscriptions.models import Subscription, SubscriptionPeriod

_TERMS: Final = ("ends_at", "variant")


def period_open(subscription: Subscription, *, now: datetime) -> None:
    """Make the row of the current period, whose grants have fired: it keeps the balance that it begins with."""
    period = _current(subscription, now)
    period.opening_balance_mc = account_balance(customer_id=subscription.customer_id)
    _keep(period, *_TERMS, "opening_balance_mc")


def period_change(subscription: Subscription, *, now: datetime) -> None:
    """Bring the row of the current period up to its end and its variant."""
    _keep(_current(subscription, now), *_TERMS)


def period_of(subscription: Subscription) -> SubscriptionPeriod:
    """The row of the current period."""
    period = SubscriptionPeriod.objects.get(
        subscription_id=subscription.id, starts_at=subscription.current_period_start
    )
    period.subscription = subscription
    return period


def _current(subscription: Subscription, now: datetime) -> SubscriptionPeriod:
    return SubscriptionPeriod(
        environment_id=subscription.environment_id,
        subscription=subscription,
        variant_id=subscription.variant_id,
        starts_at=subscription.current_period_start,
        ends_at=subscription.current_period_end,
        created_at=now,
    )


def _keep(period: SubscriptionPeriod, *fields: str) -> None:
    """A new row, or these fields of the one there is: an immediate change and a renewal beforehand find one."""
    SubscriptionPeriod.objects.bulk_create(
        [period],
        update_conflicts=True,
        unique_fields=("environment", "subscription", "starts_at"),
        update_fields=fields,
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
