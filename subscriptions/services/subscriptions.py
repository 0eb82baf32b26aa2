"""Subscribe a customer, and label what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import Customer
from customers.services.audit import audit_record
from subscriptions.errors import (
    ContractDateRefused,
    ExternalSubscriptionIdTaken,
    StartDateRefused,
    SubscriptionExists,
    SubscriptionNotFound,
)
from subscriptions.models import PlanVariant, Subscription
from subscriptions.services.due_work import subscription_catch_up
from subscriptions.services.locking import Outcome, customer_locked, subscription_locked
from subscriptions.services.opening import Terms, has_live, subscription_open
from subscriptions.services.sales import Offer, offer_taken

#: What one reads with a subscription to show it.
RELATED: Final = (
    "customer",
    "variant__plan",
    "variant__price_plan_version__price_plan",
    "pending_variant__price_plan_version__price_plan",
    "follows",
)
#: Years that a start may lie back.
_YEARS_BACK: Final = 100


def subscription_create(
    *,
    caller: Caller,
    customer: Customer,
    offer: Offer,
    start_date: datetime | None = None,
    contract_end: datetime | None = None,
    contract_ending_soon_days: int = 30,
    external_subscription_id: str | None = None,
    invoices_automatically: bool = False,
    metadata: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> Outcome:
    """Subscribe a customer to a variant or a price plan; its present period begins and its templates fire.

    A start in the past is counted from there: only present intervals are granted, while each period of a price plan
    since then can be invoiced. Raises what offer_taken does, SubscriptionExists, ExternalSubscriptionIdTaken,
    StartDateRefused, ContractDateRefused, ValidationFailed.
    """
    started_at = start_date or now
    _check_dates(started_at, contract_end, now)
    with transaction.atomic():
        variant = offer_taken(environment_id=caller.environment_id, offer=offer)
        _check_invoices(variant, invoices_automatically)
        customer_locked(environment_id=caller.environment_id, customer=customer, now=now)
        _check_free(customer, variant)
        _check_external_id(caller, external_subscription_id)
        subscription, given = subscription_open(
            caller=caller,
            customer=customer,
            variant=variant,
            terms=Terms(
                started_at=started_at,
                contract_end=contract_end,
                contract_ending_soon_days=contract_ending_soon_days,
                external_subscription_id=external_subscription_id,
                invoices_automatically=invoices_automatically,
                metadata=metadata or {},
            ),
            reason=reason,
            now=now,
        )
    return Outcome(subscription=subscription, credits_granted_mc=given)


def subscription_update(
    *, caller: Caller, subscription_id: UUID, labels: Mapping[str, Any], now: datetime
) -> Subscription:
    """Change `metadata` or `external_subscription_id`. Raises SubscriptionNotFound, ExternalSubscriptionIdTaken."""
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        changes = {
            name: [getattr(subscription, name), value]
            for name, value in labels.items()
            if getattr(subscription, name) != value
        }
        if "external_subscription_id" in changes:
            _check_external_id(caller, labels["external_subscription_id"])
        for name, (_, value) in changes.items():
            setattr(subscription, name, value)
        if changes:
            subscription.updated_at = now
            subscription.save(update_fields=[*changes, "updated_at"])
            audit_record(
                caller=caller,
                action="subscription.updated",
                object_type="subscription",
                object_id=subscription.public_id,
                customer_id=subscription.customer_id,
                changes=changes,
                now=now,
            )
    return subscription


def subscription_retry(*, caller: Caller, subscription_id: UUID, reason: str = "", now: datetime) -> Outcome:
    """Do the due work of a parked subscription now. Raises SubscriptionNotFound, SubscriptionParked."""
    with transaction.atomic():
        subscription = subscription_locked(caller=caller, subscription_id=subscription_id, now=now)
        audit_record(
            caller=caller,
            action="subscription.retried",
            object_type="subscription",
            object_id=subscription.public_id,
            customer_id=subscription.customer_id,
            reason=reason,
            now=now,
        )
    return Outcome(subscription=subscription)


def subscription_get(*, environment_id: UUID, subscription_id: UUID) -> Subscription:
    """Raises SubscriptionNotFound."""
    subscriptions = Subscription.objects.select_related(*RELATED)
    found = subscriptions.filter(environment_id=environment_id, id=subscription_id).first()
    if found is None:
        raise SubscriptionNotFound
    return found


def subscription_read(*, environment_id: UUID, subscription_id: UUID, now: datetime) -> Subscription:
    """The subscription as it stands at `now`, whether or not any worker has run. Raises SubscriptionNotFound."""
    found = subscription_get(environment_id=environment_id, subscription_id=subscription_id)
    if not subscriptions_settle([found], now=now):
        return found
    return subscription_get(environment_id=environment_id, subscription_id=subscription_id)


def subscriptions_settle(subscriptions: Iterable[Subscription], *, now: datetime) -> bool:
    """Do what is due on these; whether there was anything, so that they must be read again."""
    due = [each for each in subscriptions if _is_due(each, now)]
    for each in due:
        subscription_catch_up(environment_id=each.environment_id, customer_id=each.customer_id, now=now)
    return bool(due)


def _is_due(subscription: Subscription, now: datetime) -> bool:
    due_at = subscription.next_due_at
    return due_at is not None and due_at <= now and subscription.failed_at is None


def _check_dates(started_at: datetime, contract_end: datetime | None, now: datetime) -> None:
    if started_at > now or started_at.year < now.year - _YEARS_BACK:
        raise StartDateRefused(
            errors=(FieldError("start_date", "out-of-range", "Must not lie in the future."),)
        )
    if contract_end is not None and contract_end <= now:
        raise ContractDateRefused(
            errors=(FieldError("contract_end", "out-of-range", "Must lie in the future."),)
        )


def _check_invoices(variant: PlanVariant, invoices_automatically: bool) -> None:
    if invoices_automatically and variant.price_plan_version_id is None:
        message = "Nothing of a variant without a price plan is invoiced."
        raise ValidationFailed(message, errors=[FieldError("invoices_automatically", "refused", message)])


def _check_free(customer: Customer, variant: PlanVariant) -> None:
    """Of subscriptions to price plans a customer may have several."""
    live = None if variant.is_price_plan else has_live(customer)
    if live is not None:
        raise SubscriptionExists(extra={"subscription_id": live.public_id})


def _check_external_id(caller: Caller, external_subscription_id: str | None) -> None:
    if external_subscription_id is None:
        return
    taken = Subscription.objects.filter(
        environment_id=caller.environment_id, external_subscription_id=external_subscription_id
    ).first()
    if taken is not None:
        raise ExternalSubscriptionIdTaken(extra={"subscription_id": taken.public_id})
