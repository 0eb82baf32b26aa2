"""Periods as rows: opened once per start, closed with the summary of what was used in them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from billing.services.accounts import account_balance
from customers.errors import FieldError
from metering.selectors.consumption import consumption_of
from subscriptions.engine.calendar import calendar_step
from subscriptions.errors import StartDateRefused
from subscriptions.models import Subscription, SubscriptionPeriod

#: Periods that may have passed since a subscription's start: more than a year of hours.
_PAST_MAX: Final = 10_000
_TERMS: Final = ("ends_at", "variant")


def period_open(subscription: Subscription, *, now: datetime) -> None:
    """Make the row of the current period, whose grants have fired: it keeps the balance that it begins with."""
    period = _current(subscription, now)
    if subscription.holds_credits:
        period.opening_balance_mc = account_balance(customer_id=subscription.customer_id)
    _keep(period, *_TERMS, "opening_balance_mc")


def period_change(subscription: Subscription, *, now: datetime) -> None:
    """Bring the row of the current period up to its end and its variant."""
    _keep(_current(subscription, now), *_TERMS)


def past_periods_open(subscription: Subscription, *, now: datetime) -> None:
    """Of a start in the past, when money is billed: those that are over already, so that each can be invoiced.

    Raises StartDateRefused when there are too many of them.
    """
    if subscription.variant.price_plan_version_id is None:
        return
    present = subscription.anchor_steps - 1
    if present > _PAST_MAX:
        message = f"So many periods have passed since then; there can be {_PAST_MAX}."
        raise StartDateRefused(errors=(FieldError("start_date", "too-many-periods", message),))
    begins = [_step(subscription, steps) for steps in range(present + 1)]
    SubscriptionPeriod.objects.bulk_create(
        SubscriptionPeriod(
            environment_id=subscription.environment_id,
            subscription=subscription,
            variant=subscription.variant,
            starts_at=start,
            ends_at=end,
            closed_at=end,
            invoice_due_at=end if subscription.invoices_automatically else None,
            created_at=now,
        )
        for start, end in pairwise(begins)
    )


def _step(subscription: Subscription, steps: int) -> datetime:
    cycle = subscription.variant.billing_cycle
    return calendar_step(subscription.anchor_at, cycle, subscription.timezone, steps)


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


def period_close(subscription: Subscription, *, at: datetime, balance_mc: int) -> dict[str, Any] | None:
    """End the current period at `at`, and return its usage summary; `balance_mc` is the balance just before.

    One that holds no credits has none.
    """
    period = period_of(subscription)
    if period.closed_at is None:
        period.ends_at = at
        period.closed_at = at
        period.invoice_due_at = at if subscription.invoices_automatically else None
        if subscription.holds_credits:
            period.usage_summary = usage_summary(period, balance_mc=balance_mc)
        period.save(update_fields=["ends_at", "closed_at", "invoice_due_at", "usage_summary"])
    summary: dict[str, Any] | None = period.usage_summary
    return summary


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
