"""The credits that a plan variant gives its subscribers: templates, from which blocks are made when they fire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.services.audit import audit_record
from subscriptions.errors import CreditGrantArchived
from subscriptions.models import CreditGrantTemplate, GrantInterval, GrantType
from subscriptions.selectors.catalogue import credit_grant_get
from subscriptions.services.archiving import archived_set
from subscriptions.services.variant_versions import Writable, Written, variant_locked, variant_writable

#: Texts and the caller's own data: they may change under those who are granted by it.
_LABELS: Final = {"name", "metadata"}


@transaction.atomic
def credit_grant_create(
    *, caller: Caller, plan_id: UUID, variant_id: UUID, terms: Mapping[str, Any], now: datetime
) -> Written[CreditGrantTemplate]:
    """One more on the variant, or on its next version when somebody is on it.

    Raises PlanVariantNotFound, PlanVariantSuperseded, PlanVariantArchived, PlanArchived, ValidationFailed.
    """
    writable = _writable(caller, plan_id, variant_id, now)
    grant = CreditGrantTemplate(
        environment_id=caller.environment_id,
        variant=writable.variant,
        created_at=now,
        updated_at=now,
        **terms,
    )
    _check(grant)
    grant.save(force_insert=True)
    _record(caller, grant, "created", {"credits_mc": [None, grant.credits_mc]}, now)
    return Written(grant, is_new_version=writable.is_new_version)


@transaction.atomic
def credit_grant_update(
    *,
    caller: Caller,
    plan_id: UUID,
    variant_id: UUID,
    grant_id: UUID,
    terms: Mapping[str, Any],
    now: datetime,
) -> Written[CreditGrantTemplate]:
    """Change labels where they are, and terms there too while nobody is on the variant; else in its next version.

    Raises the same, and CreditGrantNotFound, CreditGrantArchived.
    """
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    grant = credit_grant_get(environment_id=caller.environment_id, variant_id=variant.id, grant_id=grant_id)
    changes = {
        field: [getattr(grant, field), value]
        for field, value in _consistent(terms).items()
        if getattr(grant, field) != value
    }
    if changes.keys() <= _LABELS:
        return Written(_change(caller, grant, "updated", changes, now), is_new_version=False)
    if grant.archived_at is not None:
        raise CreditGrantArchived
    writable = variant_writable(caller=caller, variant=variant, now=now)
    changed = _change(caller, writable.grants.get(grant.id, grant), "updated", changes, now)
    return Written(changed, is_new_version=writable.is_new_version)


@transaction.atomic
def credit_grant_archive(
    *,
    caller: Caller,
    plan_id: UUID,
    variant_id: UUID,
    grant_id: UUID,
    reason: str = "",
    now: datetime,
) -> Written[CreditGrantTemplate]:
    """Grant it no more: on the variant, or on its next version when somebody is on it, where its copy is archived.

    Raises the same, but for CreditGrantArchived.
    """
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    grant = credit_grant_get(environment_id=caller.environment_id, variant_id=variant.id, grant_id=grant_id)
    if grant.archived_at is not None:
        return Written(grant, is_new_version=False)
    writable = variant_writable(caller=caller, variant=variant, now=now)
    grant = writable.grants.get(grant.id, grant)
    archived_set(grant, is_archived=True, now=now)
    _record(caller, grant, "archived", {}, now, reason)
    return Written(grant, is_new_version=writable.is_new_version)


def _writable(caller: Caller, plan_id: UUID, variant_id: UUID, now: datetime) -> Writable:
    variant = variant_locked(environment_id=caller.environment_id, plan_id=plan_id, variant_id=variant_id)
    return variant_writable(caller=caller, variant=variant, now=now)


def _consistent(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Of what excludes each other, that which is named takes the place of the other."""
    implied: dict[str, Any] = {}
    if terms.get("grant_interval", GrantInterval.CUSTOM) != GrantInterval.CUSTOM:
        implied["interval_seconds"] = None
    if terms.get("expires_at_interval_end"):
        implied["expires_after_seconds"] = None
    if terms.get("expires_after_seconds") is not None:
        implied["expires_at_interval_end"] = False
    return implied | dict(terms)


def _change(
    caller: Caller,
    grant: CreditGrantTemplate,
    what: str,
    changes: Mapping[str, list[Any]],
    now: datetime,
) -> CreditGrantTemplate:
    if not changes:
        return grant
    for field, (_, value) in changes.items():
        setattr(grant, field, value)
    _check(grant)
    grant.updated_at = now
    grant.save(update_fields=[*changes, "updated_at"])
    _record(caller, grant, what, changes, now)
    return grant


def _check(grant: CreditGrantTemplate) -> None:
    errors = [FieldError(*wrong) for wrong in _wrong(grant)]
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)


def _wrong(grant: CreditGrantTemplate) -> list[tuple[str, str, str]]:
    """What does not go together."""
    is_custom = grant.grant_interval == GrantInterval.CUSTOM
    is_once = grant.grant_type == GrantType.ONE_TIME
    cap_mc = grant.accumulation_cap_mc
    found = {
        ("interval_seconds", "required", "A custom interval needs its seconds."): is_custom
        and grant.interval_seconds is None,
        ("interval_seconds", "invalid", "Only a custom interval has seconds."): not is_custom
        and grant.interval_seconds is not None,
        ("expires", "ambiguous", "Give expires_after_seconds or expires, not both."): (
            grant.expires_at_interval_end and grant.expires_after_seconds is not None
        ),
        ("rollover_percentage", "invalid", "What is granted once has no next interval to roll into."): is_once
        and grant.rollover_percentage > 0,
        ("accumulation_cap", "too-small", "Must be at least the credits of one grant."): cap_mc is not None
        and cap_mc < grant.credits_mc,
    }
    return [wrong for wrong, is_so in found.items() if is_so]


def _record(
    caller: Caller,
    grant: CreditGrantTemplate,
    what: str,
    changes: Mapping[str, list[Any]],
    now: datetime,
    reason: str = "",
) -> None:
    audit_record(
        caller=caller,
        action=f"credit_grant.{what}",
        object_type="credit_grant",
        object_id=grant.public_id,
        reason=reason,
        changes=changes,
        now=now,
    )
