"""What a tenant sells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.errors import TopupPackageInUse, TopupPackageNotFound
from billing.models import AutoTopup, TopupPackage
from customers.kernel.caller import Caller
from customers.services.audit import audit_record


@transaction.atomic
def package_create(*, caller: Caller, terms: Mapping[str, Any], now: datetime) -> TopupPackage:
    """A new package."""
    package = TopupPackage.objects.create(
        environment_id=caller.environment_id, created_at=now, updated_at=now, **terms
    )
    _record(caller, package, "created", {}, now)
    return package


@transaction.atomic
def package_update(
    *, caller: Caller, package_id: UUID, terms: Mapping[str, Any], now: datetime
) -> TopupPackage:
    """Change terms, for topups to come. Raises TopupPackageNotFound, TopupPackageInUse."""
    package = _locked(caller, package_id)
    changes = {
        field: [getattr(package, field), value]
        for field, value in terms.items()
        if getattr(package, field) != value
    }
    if not changes:
        return package
    if changes.get("active") == [True, False] and AutoTopup.objects.filter(package_id=package.id).exists():
        raise TopupPackageInUse
    for field, (_, value) in changes.items():
        setattr(package, field, value)
    package.updated_at = now
    package.save(update_fields=[*changes, "updated_at"])
    _record(caller, package, "updated", changes, now)
    return package


def package_get(*, environment_id: UUID, package_id: UUID) -> TopupPackage:
    """Raises TopupPackageNotFound."""
    package = TopupPackage.objects.filter(environment_id=environment_id, id=package_id).first()
    if package is None:
        raise TopupPackageNotFound
    return package


def _locked(caller: Caller, package_id: UUID) -> TopupPackage:
    packages = TopupPackage.objects.select_for_update(no_key=True)
    package = packages.filter(environment_id=caller.environment_id, id=package_id).first()
    if package is None:
        raise TopupPackageNotFound
    return package


def _record(
    caller: Caller, package: TopupPackage, what: str, changes: Mapping[str, Any], now: datetime
) -> None:
    audit_record(
        caller=caller,
        action=f"topup_package.{what}",
        object_type="topup_package",
        object_id=package.public_id,
        changes=changes,
        now=now,
    )
