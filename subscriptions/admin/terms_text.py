"""Terms of the catalogue in words: `100,000 credits each billing cycle, until the interval ends`."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.utils.safestring import SafeString

from billing.engine.currencies import currency_exponent
from customers.admin.display import NOTHING, badge, credits_text
from subscriptions.models import CreditGrantTemplate, GrantInterval, GrantType, Plan, PlanVariant

_EACH: Final = {
    GrantInterval.BILLING_CYCLE: "each billing cycle",
    GrantInterval.HOURLY: "each hour",
    GrantInterval.DAILY: "each day",
    GrantInterval.WEEKLY: "each week",
    GrantInterval.MONTHLY: "each month",
}
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def money_text(minor: int, currency: str) -> str:
    """`20.00 USD`."""
    exponent = currency_exponent(currency)
    return f"{Decimal(minor).scaleb(-exponent):,.{exponent}f} {currency.upper()}"


def price_shown(variant: PlanVariant) -> str | SafeString:
    if variant.price_minor is None or variant.currency is None:
        return NOTHING
    return money_text(variant.price_minor, variant.currency)


def billing_text(variant: PlanVariant) -> str:
    """`Monthly, prepaid`."""
    return f"{variant.get_billing_cycle_display()}, {variant.get_billing_mode_display().lower()}"


def duration_text(seconds: int) -> str:
    """`30 days`, in the largest unit that says it exactly."""
    size, name = next(unit for unit in _UNITS if seconds % unit[0] == 0)
    number = seconds // size
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def when_text(grant: CreditGrantTemplate) -> str:
    if grant.grant_type == GrantType.ONE_TIME:
        return "once"
    if grant.interval_seconds is not None:
        return f"every {duration_text(grant.interval_seconds)}"
    return _EACH[GrantInterval(grant.grant_interval)]


def expiry_text(grant: CreditGrantTemplate) -> str:
    if grant.expires_at_interval_end:
        return "when the interval ends"
    if grant.expires_after_seconds is not None:
        return f"after {duration_text(grant.expires_after_seconds)}"
    return "never"


def rollover_text(grant: CreditGrantTemplate) -> str | SafeString:
    if not grant.rollover_percentage:
        return NOTHING
    cap_mc = grant.accumulation_cap_mc
    return f"{grant.rollover_percentage} %" + (f", up to {credits_text(cap_mc)} in all" if cap_mc else "")


def plan_badge(plan: Plan) -> SafeString:
    return badge("Archived") if plan.archived_at else badge("Sold", "good")


def variant_badge(variant: PlanVariant) -> SafeString:
    if variant.superseded_at:
        return badge("Superseded")
    return badge("Archived") if variant.archived_at else badge("Sold", "good")
