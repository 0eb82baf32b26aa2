"""A subscription begins: at its creation, or as the fallback of one that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.kernel.instants import instant_text
from customers.models import Customer
from subscriptions.engine.calendar import calendar_step, steps_containing
from subscriptions.models import LIVE_STATES, PlanVariant, Subscription, SubscriptionState
from subscriptions.services.grants import first_grants_fire
from subscriptions.services.periods import past_periods_open, period_open
from subscriptions.services.price_terms import terms_follow
from subscriptions.services.standing import standing_clear, standing_push
from subscriptions.services.timeline import subscription_note
from subscriptions.services.variant_versions import variant_current_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a subscriber agreed to beside the variant."""

    started_at: datetime
    contract_end: datetime | None = None
    contract_ending_soon_days: int = 30
    external_subscription_id: str | None = None
    invoices_automatically: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    follows: Subscription | None = None


def subscription_open(
    *, caller: Caller, customer: Customer, variant: PlanVariant, terms: Terms, reason: str = "", now: datetime
) -> tuple[Subscription, int]:
    """The subscription with its present period, its grants fired; and the mc granted. Under the account's lock."""
    subscription = _begun(caller, customer, variant, terms, now)
    subscription.save()
    terms_follow(subscription, at=subscription.started_at, now=now)
    past_periods_open(subscription, now=now)
    standing_clear(subscription, now=now)
    given = first_grants_fire(caller=caller, subscription=subscription, now=now)
    period_open(subscription, now=now)
    ends = subscription.trial_ends_at
    subscription_note(
        caller=caller,
        subscription=subscription,
        what="created",
        before="",
        data={"credits_granted": given, "trial_ends_at": instant_text(ends) if ends else None},
        reason=reason,
        now=now,
    )
    standing_push(subscription, now=now)
    return subscription, given


def fallback_open(*, caller: Caller, ended: Subscription, now: datetime) -> Subscription | None:
    """The subscription that takes the place of one that just expired or was canceled, if its variant names one."""
    named = ended.variant.fallback_variant
    is_followed = ended.status in (SubscriptionState.EXPIRED, SubscriptionState.CANCELED)
    if named is None or not is_followed or has_live(ended.customer):
        return None
    variant = variant_current_hold(named)
    terms = Terms(started_at=now, follows=ended)
    return subscription_open(caller=caller, customer=ended.customer, variant=variant, terms=terms, now=now)[0]


def has_live(customer: Customer) -> Subscription | None:
    """The customer's live credit subscription."""
    live = Subscription.objects.filter(customer_id=customer.id, status__in=LIVE_STATES, holds_credits=True)
    return live.first()


def _begun(
    caller: Caller, customer: Customer, variant: PlanVariant, terms: Terms, now: datetime
) -> Subscription:
    timezone, cycle = customer.timezone or "UTC", variant.billing_cycle
    steps = steps_containing(terms.started_at, cycle, timezone, now)
    trial_ends_at = terms.started_at + timedelta(days=variant.trial_days)
    is_trial = trial_ends_at > now
    end = calendar_step(terms.started_at, cycle, timezone, steps + 1)
    return Subscription(
        id=uuid7(),
        environment_id=caller.environment_id,
        customer=customer,
        variant=variant,
        status=SubscriptionState.TRIALING if is_trial else SubscriptionState.ACTIVE,
        holds_credits=not variant.is_price_plan,
        invoices_automatically=terms.invoices_automatically,
        timezone=timezone,
        started_at=terms.started_at,
        anchor_at=terms.started_at,
        anchor_steps=steps + 1,
        current_period_start=calendar_step(terms.started_at, cycle, timezone, steps),
        current_period_end=min(end, terms.contract_end) if terms.contract_end else end,
        trial_ends_at=trial_ends_at if is_trial else None,
        contract_start=terms.started_at if terms.contract_end else None,
        contract_end=terms.contract_end,
        contract_ending_soon_days=terms.contract_ending_soon_days,
        external_subscription_id=terms.external_subscription_id,
        metadata=dict(terms.metadata),
        follows=terms.follows,
        created_at=now,
        updated_at=now,
    )
