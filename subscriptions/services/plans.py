"""What is sold, under which name, and what it includes beside credits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.kernel.caller import Caller
from customers.services.audit import audit_record
from customers.services.checks import metadata_refusal
from subscriptions.errors import PlanNotFound
from subscriptions.models import Plan
from subscriptions.services.archiving import archived_set

_FEATURE_MAX: Final = 255


def features_refusal(value: Any) -> str | None:
    """Why these cannot be a plan's features, or None."""
    refusal = metadata_refusal(value)
    if refusal is not None:
        return refusal
    for key, held in value.items():
        if not isinstance(held, bool | int | float | str) or len(str(held)) > _FEATURE_MAX:
            return f"A feature is true or false, a number, or a text: {key[:64]} is not."
    return None


@transaction.atomic
def plan_create(*, caller: Caller, terms: Mapping[str, Any], now: datetime) -> Plan:
    """A new plan; it is sold once it has variants."""
    plan = Plan.objects.create(environment_id=caller.environment_id, created_at=now, updated_at=now, **terms)
    _record(caller, plan, "created", {"name": [None, plan.name]}, now)
    return plan


@transaction.atomic
def plan_update(*, caller: Caller, plan_id: UUID, terms: Mapping[str, Any], now: datetime) -> Plan:
    """Change its labels or features; both hold for everybody who has the plan. Raises PlanNotFound."""
    plan = plan_locked(environment_id=caller.environment_id, plan_id=plan_id)
    changes = {
        field: [getattr(plan, field), value]
        for field, value in terms.items()
        if getattr(plan, field) != value
    }
    if not changes:
        return plan
    for field, (_, value) in changes.items():
        setattr(plan, field, value)
    plan.updated_at = now
    plan.save(update_fields=[*changes, "updated_at"])
    _record(caller, plan, "updated", changes, now)
    return plan


@transaction.atomic
def plan_archive(*, caller: Caller, plan_id: UUID, reason: str = "", now: datetime) -> Plan:
    """Sell it no more; those who have it keep it. Raises PlanNotFound."""
    plan = plan_locked(environment_id=caller.environment_id, plan_id=plan_id)
    if archived_set(plan, is_archived=True, now=now):
        _record(caller, plan, "archived", {}, now, reason)
    return plan


def plan_unarchive(*, caller: Caller, plan_id: UUID, reason: str = "", now: datetime) -> Plan:
    """Sell it again, in those of its variants that are not archived themselves. Raises PlanNotFound."""
    plan = plan_locked(environment_id=caller.environment_id, plan_id=plan_id)
    if archived_set(plan, is_archived=False, now=now):
        _record(caller, plan, "unarchived", {}, now, reason)
    return plan


def plan_locked(*, environment_id: UUID, plan_id: UUID) -> Plan:
    """Raises PlanNotFound."""
    plans = Plan.objects.select_for_update(of=("self",), no_key=True)
    plan = plans.filter(environment_id=environment_id, id=plan_id, price_plan=None).first()
    if plan is None:
        raise PlanNotFound
    return plan


def _record(
    caller: Caller, plan: Plan, what: str, changes: Mapping[str, Any], now: datetime, reason: str = ""
) -> None:
    audit_record(
        caller=caller,
        action=f"plan.{what}",
        object_type="plan",
        object_id=plan.public_id,
        reason=reason,
        changes=changes,
        now=now,
    )
