"""How an action gets hold of a subscription: account first, then its row, with everything due before it done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.models import Invoice
from billing.services.accounts import account_lock
from customers.kernel.caller import Caller
from customers.models import Customer
from subscriptions.engine.transitions import TransitionRefused, transition
from subscriptions.errors import SubscriptionNotFound, SubscriptionParked, SubscriptionStateConflict
from subscriptions.models import Subscription, SubscriptionState
from subscriptions.services.due_work import subscription_catch_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A subscription after an action, the mc that the action granted, and the invoices that it made."""

    subscription: Subscription
    credits_granted_mc: int = 0
    invoices: Sequence[Invoice] = ()


def customer_locked(*, environment_id: UUID, customer: Customer, now: datetime) -> None:
    """The customer's account's lock, nothing being due on it. In a transaction."""
    subscription_catch_up(environment_id=environment_id, customer_id=customer.id, now=now)
    account_lock(environment_id=environment_id, customer_id=customer.id, now=now)


def subscription_locked(*, caller: Caller, subscription_id: UUID, now: datetime) -> Subscription:
    """The subscription as it stands at `now`, locked; a parked one is tried again first. In a transaction.

    Raises SubscriptionNotFound, SubscriptionParked.
    """
    found = Subscription.objects.filter(environment_id=caller.environment_id, id=subscription_id).first()
    if found is None:
        raise SubscriptionNotFound
    if found.failed_at is not None:
        Subscription.objects.filter(id=found.id).update(failed_at=None, failure="")
    customer_locked(environment_id=caller.environment_id, customer=found.customer, now=now)
    locked = Subscription.objects.select_for_update(of=("self",), no_key=True)
    subscription: Subscription = locked.select_related(
        "variant__plan",
        "variant__price_plan_version__price_plan",
        "customer",
        "pending_variant__plan",
        "pending_variant__price_plan_version__price_plan",
    ).get(id=found.id)
    if subscription.failed_at is not None:
        raise SubscriptionParked(subscription.failure)
    return subscription


def moved(subscription: Subscription, action: str) -> str:
    """Follow the table of transitions; returns the state before. Raises SubscriptionStateConflict."""
    before: str = subscription.status
    subscription.status = allowed(subscription, action)
    return before


def allowed(subscription: Subscription, action: str) -> str:
    """The state that `action` would lead to. Raises SubscriptionStateConflict."""
    before_pause = subscription.status_before_pause or SubscriptionState.ACTIVE
    try:
        return transition(subscription.status, action, before_pause=before_pause)
    except TransitionRefused as refusal:
        raise SubscriptionStateConflict(str(refusal), extra={"allowed": list(refusal.allowed)}) from refusal
