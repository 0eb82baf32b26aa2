"""What happened to a subscription: a row of its timeline, the audit record when somebody did it, and the webhook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.services.audit import audit_record
from subscriptions.events import price_plan_shown, subscription_told, variant_shown
from subscriptions.models import PlanVariant, Subscription, SubscriptionChange

_SCHEDULE: Final = "system:subscriptions"


def schedule_caller(environment_id: UUID) -> Caller:
    """Who does what time alone makes due."""
    return Caller(environment_id=environment_id, actor=_SCHEDULE)


def subscription_note(
    *,
    caller: Caller,
    subscription: Subscription,
    what: str,
    before: str,
    data: Mapping[str, Any],
    reason: str = "",
    told_as: str | None = None,
    note_id: UUID | None = None,
    now: datetime,
) -> None:
    """Write down that `what` happened at `now`; emit `subscription.<told_as or what>`, or with "" nothing."""
    SubscriptionChange.objects.create(
        id=note_id or uuid7(),
        environment_id=caller.environment_id,
        subscription=subscription,
        what=what,
        status_before=before,
        status_after=subscription.status,
        details=dict(data),
        actor=caller.actor,
        reason=reason,
        request_id=caller.request_id,
        occurred_at=now,
    )
    if caller.actor != _SCHEDULE:
        audit_record(
            caller=caller,
            action=f"subscription.{what}",
            object_type="subscription",
            object_id=subscription.public_id,
            customer_id=subscription.customer_id,
            reason=reason,
            changes={"status": [before or None, subscription.status]},
            now=now,
        )
    if told_as != "":
        subscription_told(caller=caller, subscription=subscription, what=told_as or what, data=data, now=now)


def named(which: str, variant: PlanVariant | None) -> dict[str, Any]:
    """What `subscription.changed` calls the `previous` or `pending` terms."""
    shown: dict[str, Any] = {"plan_variant_id": None, "price_plan_id": None, "price_plan_version": None}
    if variant is not None:
        shown = {"plan_variant_id": variant_shown(variant), **price_plan_shown(variant)}
    return {f"{which}_{name}": value for name, value in shown.items()}


def planned(subscription: Subscription) -> dict[str, Any]:
    """What `subscription.changed` says of the period's end."""
    return {
        **named("pending", subscription.pending_variant),
        "cancel_at_period_end": subscription.cancel_at_period_end,
    }
