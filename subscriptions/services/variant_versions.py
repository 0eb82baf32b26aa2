"""Terms that somebody is on never change: what changes them writes to the next version, a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from customers.kernel.caller import Caller
from customers.kernel.database import call_one
from customers.kernel.ids import uuid7
from customers.services.audit import audit_record
from metering.services.rules import rules_copy
from subscriptions.errors import (
    PlanArchived,
    PlanVariantArchived,
    PlanVariantNotFound,
    PlanVariantSuperseded,
)
from subscriptions.models import CreditGrantTemplate, PlanVariant
from subscriptions.selectors.catalogue import variant_current, variant_is_used

Row = TypeVar("Row")

#: Texts and the caller's own data: they may change under those who are on the variant.
LABELS: Final = ("name", "description", "metadata")
_VARIANT_COPIED: Final = (
    *LABELS,
    "billing_cycle",
    "billing_mode",
    "renewal_due_days",
    "grace_period_days",
    "allow_usage_while_overdue",
    "trial_days",
    "price_minor",
    "currency",
    "fallback_variant_id",
    "price_plan_version_id",
)
_GRANT_COPIED: Final = (
    "name",
    "credits_mc",
    "grant_type",
    "grant_interval",
    "interval_seconds",
    "source",
    "priority",
    "expires_after_seconds",
    "expires_at_interval_end",
    "rollover_percentage",
    "accumulation_cap_mc",
    "metadata",
)


@dataclass(frozen=True, slots=True)
class Written(Generic[Row]):
    """What was written, and whether a new version of its variant had to be made for it."""

    row: Row
    is_new_version: bool


@dataclass(frozen=True, slots=True)
class Writable:
    """A variant that nobody is on, locked; `grants` maps the ids of the credit grants it was copied from to its own."""

    variant: PlanVariant
    is_new_version: bool = False
    grants: Mapping[UUID, CreditGrantTemplate] = field(default_factory=dict)


def variant_locked(*, environment_id: UUID, plan_id: UUID, variant_id: UUID) -> PlanVariant:
    """Nobody subscribes to it meanwhile: the lock excludes that of a foreign key. Raises PlanVariantNotFound."""
    variants = PlanVariant.objects.select_for_update(of=("self",)).select_related("plan")
    variants = variants.filter(environment_id=environment_id, plan_id=plan_id, plan__price_plan=None)
    variant = variants.filter(id=variant_id).first()
    if variant is None:
        raise PlanVariantNotFound
    return variant


def variant_hold(variant_id: UUID) -> None:
    """Nobody changes it until the transaction ends; many may hold it at once. Before its terms are read."""
    call_one("SELECT 1 FROM subscriptions_plan_variant WHERE id = $1 FOR KEY SHARE", [variant_id])


def variant_current_hold(variant: PlanVariant) -> PlanVariant:
    """The newest version of the variant, held."""
    variant_hold(variant.id)
    held = PlanVariant.objects.select_related("plan").get(id=variant.id)
    return held if held.superseded_at is None else variant_current_hold(variant_current(held))


def variant_writable(*, caller: Caller, variant: PlanVariant, now: datetime) -> Writable:
    """The locked variant itself while nobody is on it, else its next version.

    Raises PlanArchived, PlanVariantArchived, PlanVariantSuperseded.
    """
    _refuse_what_is_past(variant)
    return _next_version(caller, variant, now) if variant_is_used(variant) else Writable(variant)


def _refuse_what_is_past(variant: PlanVariant) -> None:
    if variant.superseded_at is not None:
        current = variant_current(variant)
        raise PlanVariantSuperseded(
            f"Version {current.version} took its place.", extra={"current_version_id": current.public_id}
        )
    if variant.archived_at is not None:
        raise PlanVariantArchived
    if variant.plan.archived_at is not None:
        raise PlanArchived


def _next_version(caller: Caller, variant: PlanVariant, now: datetime) -> Writable:
    following = PlanVariant.objects.create(
        id=uuid7(),
        environment_id=variant.environment_id,
        plan=variant.plan,
        family=variant.family,
        version=variant.version + 1,
        created_at=now,
        updated_at=now,
        **{name: getattr(variant, name) for name in _VARIANT_COPIED},
    )
    variant.superseded_at = variant.updated_at = now
    variant.save(update_fields=["superseded_at", "updated_at"])
    grants = _grants_copied(variant, following, now)
    rules_copy(caller=caller, from_variant_id=variant.id, to_variant_id=following.id, now=now)
    audit_record(
        caller=caller,
        action="plan_variant.superseded",
        object_type="plan_variant",
        object_id=variant.public_id,
        changes={"current_version_id": [variant.public_id, following.public_id]},
        now=now,
    )
    return Writable(following, is_new_version=True, grants=grants)


def _grants_copied(
    variant: PlanVariant, following: PlanVariant, now: datetime
) -> dict[UUID, CreditGrantTemplate]:
    return {
        grant.id: CreditGrantTemplate.objects.create(
            environment_id=grant.environment_id,
            variant=following,
            created_at=now,
            updated_at=now,
            **{name: getattr(grant, name) for name in _GRANT_COPIED},
        )
        for grant in variant.credit_grants.filter(archived_at=None).order_by("id")
    }
