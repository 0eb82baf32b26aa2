"""What subscriptions tell the world: their webhook events, and how each is put together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from customers.events import event_type
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from customers.services.outbox import event_emit
from subscriptions.models import PlanVariant, Subscription

_BASE: Final = {
    "subscription_id": "sub_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "external_subscription_id": None,
    "plan_id": "plan_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "price_plan_id": None,
    "price_plan_version": None,
    "billing_mode": "prepaid",
    "status": "active",
    "current_period_start": "2026-04-13T00:00:00Z",
    "current_period_end": "2026-05-13T00:00:00Z",
}
_SUMMARY: Final = {
    "total_credits_consumed": 12500000,
    "net_balance_at_cycle_start": 100000000,
    "net_balance_at_cycle_end": 87500000,
    "by_billable_metric": {"api_call": {"units": 15000, "credits": 12500000}},
}
_PRIOR: Final = {"start": "2026-04-13T00:00:00Z", "end": "2026-05-13T00:00:00Z"}
_NEW: Final = {"start": "2026-05-13T00:00:00Z", "end": "2026-06-13T00:00:00Z"}
_CONTRACT: Final = {"contract_end": "2027-04-13T00:00:00Z"}

#: A price plan that is sold by itself has no variant to name, and no credits that usage would have taken.
_NULLABLE: Final = {"plan_variant_id", "previous_plan_variant_id", "usage_summary", "previous_contract_end"}

for _name, _description, _example in (
    ("created", "A customer was subscribed.", {"credits_granted": 100000000, "trial_ends_at": None}),
    (
        "trial_ending",
        "The trial ends in three days, or sooner if it is shorter.",
        {"trial_ends_at": "2026-04-20T00:00:00Z"},
    ),
    (
        "renewal_due",
        "Prepaid: the period ends soon and waits for a renewal. Charge the customer, then call renew.",
        {"renew_by": "2026-05-13T00:00:00Z"},
    ),
    (
        "renewed",
        "A new period began and its credits were granted. `usage_summary` is what the prior period used: postpaid "
        "invoices are made of it.",
        {"prior_period": _PRIOR, "new_period": _NEW, "credits_granted": 100000000, "usage_summary": _SUMMARY},
    ),
    (
        "overdue",
        "Prepaid: the period ended and was not renewed.",
        {"grace_ends_at": "2026-05-16T00:00:00Z", "usage_allowed": True, "usage_summary": _SUMMARY},
    ),
    (
        "expired",
        "Prepaid: nobody renewed it before the grace period ended.",
        {"ended_at": "2026-05-16T00:00:00Z"},
    ),
    ("paused", "Its clock and its grants stand still; usage is suspended.", {"resumes_at": None}),
    (
        "resumed",
        "Its clock runs again; the period's end was shifted by the pause.",
        {"paused_for_seconds": 86400},
    ),
    (
        "changed",
        "It was moved to another variant, will be at the period's end, or its cancellation was planned or taken back.",
        {
            "effective": "immediate",
            "previous_plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0s",
            "previous_price_plan_id": None,
            "previous_price_plan_version": None,
            "pending_plan_variant_id": None,
            "pending_price_plan_id": None,
            "pending_price_plan_version": None,
            "cancel_at_period_end": False,
            "credits_granted": 0,
        },
    ),
    (
        "canceled",
        "It ended by cancellation. Granted credits live to their own expiry.",
        {"ended_at": "2026-05-13T00:00:00Z", "usage_summary": _SUMMARY},
    ),
    (
        "contract_ending_soon",
        "The contract's end is near; said once for each end.",
        {**_CONTRACT, "days_remaining": 30},
    ),
    (
        "contract_ended",
        "The contract's end came: no more renewals, no more grants. Extending it revives the subscription.",
        {**_CONTRACT, "usage_summary": _SUMMARY},
    ),
    (
        "extended",
        "The contract was extended; one that had ended is active again.",
        {
            **_CONTRACT,
            "previous_contract_end": "2026-04-13T00:00:00Z",
            "reason": "annual renewal signed",
            "credits_granted": 0,
        },
    ),
):
    event_type(f"subscription.{_name}", _description, {**_BASE, **_example}, nullable=_NULLABLE)


def plan_shown(variant: PlanVariant) -> str:
    """The plan's id, or the price plan's when that is sold by itself."""
    version = variant.price_plan_version
    return version.price_plan.key if version and variant.is_price_plan else variant.plan.public_id


def variant_shown(variant: PlanVariant) -> str | None:
    """The variant's id; how a price plan is sold by itself is nobody's business."""
    return None if variant.is_price_plan else variant.public_id


def price_plan_shown(variant: PlanVariant) -> dict[str, Any]:
    """What usage costs in money on these terms, if it does."""
    version = variant.price_plan_version
    return {
        "price_plan_id": version.price_plan.key if version else None,
        "price_plan_version": version.version if version else None,
    }


def subscription_told(
    *, caller: Caller, subscription: Subscription, what: str, data: Mapping[str, Any], now: datetime
) -> None:
    """`subscription.<what>`, with what every such event says of the subscription as it is now."""
    variant = subscription.variant
    base = {
        "subscription_id": subscription.public_id,
        "external_subscription_id": subscription.external_subscription_id,
        "plan_id": plan_shown(variant),
        "plan_variant_id": variant_shown(variant),
        **price_plan_shown(variant),
        "billing_mode": variant.billing_mode,
        "status": subscription.status,
        "current_period_start": instant_text(subscription.current_period_start),
        "current_period_end": instant_text(subscription.current_period_end),
    }
    event_emit(
        caller=caller,
        event=f"subscription.{what}",
        customer=subscription.customer_id,
        data={**base, **data},
        now=now,
    )
