"""A customer's auto-topup: when the kernel is to ask for a topup, and with what."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.errors import AutoTopupNotFound, TopupPackageInactive, TopupPackageUnknown
from billing.models import AutoTopup, TopupPackage, TopupRequest, TopupRequestState
from billing.services.accounts import account_settle
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.models import Customer
from customers.services.audit import audit_record


@transaction.atomic
def auto_topup_set(
    *,
    caller: Caller,
    customer: Customer,
    threshold_mc: int,
    package_id: UUID,
    monthly_limit: int | None,
    now: datetime,
) -> AutoTopup:
    """Ask for the package whenever the effective balance falls to the threshold. Asks at once if it has already.

    Raises TopupPackageUnknown, TopupPackageInactive.
    """
    # Locked against a concurrent archiving, which looks whether the package is in use.
    packages = TopupPackage.objects.select_for_update(no_key=True)
    package = packages.filter(environment_id=caller.environment_id, id=package_id).first()
    if package is None:
        raise TopupPackageUnknown
    if not package.active:
        raise TopupPackageInactive
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)
    before = AutoTopup.objects.filter(account_id=customer.id).first()
    terms = {"threshold_mc": threshold_mc, "package_id": package_id, "monthly_limit": monthly_limit}
    auto_topup, _ = AutoTopup.objects.update_or_create(
        account_id=customer.id,
        defaults={**terms, "environment_id": caller.environment_id, "updated_at": now},
        create_defaults={
            **terms,
            "environment_id": caller.environment_id,
            "created_at": now,
            "updated_at": now,
        },
    )
    _apply(caller, customer, now)
    changes = {name: [_shown(before, name), str(value)] for name, value in terms.items()}
    _record(caller, customer, "set", changes, now)
    return auto_topup


@transaction.atomic
def auto_topup_remove(*, caller: Caller, customer: Customer, now: datetime) -> None:
    """Ask no more; a request that is open is canceled. Without an auto-topup nothing happens."""
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)
    removed, _ = AutoTopup.objects.filter(account_id=customer.id).delete()
    if removed:
        _apply(caller, customer, now)
        _record(caller, customer, "removed", {}, now)


def auto_topup_get(*, customer: Customer) -> AutoTopup:
    """Raises AutoTopupNotFound."""
    auto_topup = AutoTopup.objects.filter(account_id=customer.id).first()
    if auto_topup is None:
        raise AutoTopupNotFound
    return auto_topup


def topup_request_open(*, customer: Customer) -> TopupRequest | None:
    """The request that waits for its topup, if there is one."""
    return TopupRequest.objects.filter(account_id=customer.id, state=TopupRequestState.OPEN).first()


def _apply(caller: Caller, customer: Customer, now: datetime) -> None:
    call_function(
        "billing_auto_topup_apply_v1", environment=caller.environment_id, account=customer.id, now=now
    )


def _shown(auto_topup: AutoTopup | None, name: str) -> Any:
    return None if auto_topup is None else str(getattr(auto_topup, name))


def _record(caller: Caller, customer: Customer, what: str, changes: dict[str, Any], now: datetime) -> None:
    audit_record(
        caller=caller,
        action=f"auto_topup.{what}",
        object_type="customer",
        object_id=customer.public_id,
        customer_id=customer.id,
        changes=changes,
        now=now,
    )
