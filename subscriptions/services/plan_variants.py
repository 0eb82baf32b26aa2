"""The terms on which a plan is sold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.services.audit import audit_record
from subscriptions.errors import BillingPeriodDiffers, FallbackRefused, PlanArchived
from subscriptions.models import PlanVariant, PricePlanVersion
from subscriptions.services.archiving import archived_set
from subscriptions.services.plans import plan_locked
from subscriptions.services.sales import PricePlanNamed, price_plan_for_sale
from subscriptions.services.variant_versions import LABELS, Written, variant_locked, variant_writable

_PRICE_PLAN: Final = ("price_plan_id", "price_plan_version")


@transaction.atomic
def variant_create(*, caller: Caller, plan_id: UUID, terms: Mapping[str, Any], now: datetime) -> PlanVariant:
    """Version 1 of a new variant; `price_plan_id` and perhaps `price_plan_version` name its price plan.

    Raises PlanNotFound, PlanArchived, FallbackRefused, ValidationFailed, what price_plan_for_sale does,
    BillingPeriodDiffers.
    """
    plan = plan_locked(environment_id=caller.environment_id, plan_id=plan_id)
    if plan.archived_at is not None:
        raise PlanArchived
    variant_id = uuid7()
    variant = PlanVariant(
        id=variant_id,
        family=variant_id,
        environment_id=caller.environment_id,
        plan=plan,
        created_at=now,
        updated_at=now,
        **_with_price_plan(caller.environment_id, terms),
    )
    _check(variant)
    variant.save(force_insert=True)
    _record(caller, variant, "created", {"name": [None, variant.name]}, now)
    return variant


@transaction.atomic
def variant_update(
    *, caller: Caller, plan_id: UUID, variant_id: UUID, terms: Mapping[str, Any], now: datetime
) -> Written[PlanVariant]:
    """Change labels where they are, and terms there too while nobody is on them; else in a new version.

    Raises PlanVariantNotFound, PlanVariantSuperseded, PlanVariantArchived, PlanArchived, and what creating does.
    """
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    terms = _with_price_plan(caller.environment_id, terms, present=variant.price_plan_version)
    changes = {
        field: [getattr(variant, field), value]
        for field, value in terms.items()
        if getattr(variant, field) != value
    }
    if changes.keys() <= set(LABELS):
        return Written(_change(caller, variant, "updated", changes, now), is_new_version=False)
    writable = variant_writable(caller=caller, variant=variant, now=now)
    changed = _change(caller, writable.variant, "updated", changes, now)
    return Written(changed, is_new_version=writable.is_new_version)


@transaction.atomic
def variant_archive(
    *, caller: Caller, plan_id: UUID, variant_id: UUID, reason: str = "", now: datetime
) -> PlanVariant:
    """Sell it no more; those who are on it stay. Raises PlanVariantNotFound."""
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    if archived_set(variant, is_archived=True, now=now):
        _record(caller, variant, "archived", {}, now, reason)
    return variant


def variant_unarchive(
    *, caller: Caller, plan_id: UUID, variant_id: UUID, reason: str = "", now: datetime
) -> PlanVariant:
    """Sell it again, on the terms it had, unless its plan is archived. Raises PlanVariantNotFound."""
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    if archived_set(variant, is_archived=False, now=now):
        _record(caller, variant, "unarchived", {}, now, reason)
    return variant


def _change(
    caller: Caller, variant: PlanVariant, what: str, changes: Mapping[str, list[Any]], now: datetime
) -> PlanVariant:
    if not changes:
        return variant
    for field, (_, value) in changes.items():
        setattr(variant, field, value)
    _check(variant)
    variant.updated_at = now
    variant.save(update_fields=[*changes, "updated_at"])
    _record(caller, variant, what, changes, now)
    return variant


def _with_price_plan(
    environment_id: UUID, terms: Mapping[str, Any], *, present: PricePlanVersion | None = None
) -> dict[str, Any]:
    """The terms with the version that their `price_plan_id` and `price_plan_version` name."""
    rest = {name: value for name, value in terms.items() if name not in _PRICE_PLAN}
    if len(rest) == len(terms):
        return rest
    key = terms.get("price_plan_id", present.price_plan.key if present else None)
    number = terms.get("price_plan_version")
    if key is None:
        if number is not None:
            message = "Belongs to price_plan_id."
            raise ValidationFailed(message, errors=[FieldError("price_plan_version", "refused", message)])
        return {**rest, "price_plan_version_id": None}
    if present is not None and (present.price_plan.key, present.version) == (key, number or present.version):
        return {**rest, "price_plan_version_id": present.id}
    named = PricePlanNamed(key=key, version=number)
    version = price_plan_for_sale(environment_id=environment_id, named=named)
    return {**rest, "price_plan_version_id": version.id}


def _check_price_plan(variant: PlanVariant) -> None:
    version = variant.price_plan_version
    if version is not None and version.billing_period != variant.billing_cycle:
        message = f"The price plan is billed {version.billing_period}, the variant {variant.billing_cycle}."
        raise BillingPeriodDiffers(message, errors=[FieldError("price_plan_id", "refused", message)])


def _check(variant: PlanVariant) -> None:
    _check_price_plan(variant)
    if (variant.price_minor is None) != (variant.currency is None):
        message = "A price and its currency are given together."
        missing = "price" if variant.price_minor is None else "currency"
        raise ValidationFailed(message, errors=[FieldError(missing, "incomplete", message)])
    if variant.fallback_variant_id is not None:
        _check_fallback(variant, variant.fallback_variant_id)


def _check_fallback(variant: PlanVariant, fallback_id: UUID) -> None:
    """A fallback that is superseded later leads to its newest version, so it names one that is sold now."""
    sold = PlanVariant.objects.filter(
        environment_id=variant.environment_id,
        id=fallback_id,
        archived_at=None,
        superseded_at=None,
        plan__archived_at=None,
        plan__price_plan=None,
    ).exclude(family=variant.family)
    if not sold.exists():
        message = "Must be another plan variant that is still sold."
        raise FallbackRefused(message, errors=[FieldError("fallback_variant_id", "refused", message)])


def _record(
    caller: Caller,
    variant: PlanVariant,
    what: str,
    changes: Mapping[str, list[Any]],
    now: datetime,
    reason: str = "",
) -> None:
    audit_record(
        caller=caller,
        action=f"plan_variant.{what}",
        object_type="plan_variant",
        object_id=variant.public_id,
        reason=reason,
        changes={field: [_shown(before), _shown(after)] for field, (before, after) in changes.items()},
        now=now,
    )


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
