"""What usage costs in money: price plans, made version by version and never rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.engine.currencies import currency_exponent
from customers.errors import FieldError
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.models import Environment
from customers.services.audit import audit_record
from metering.models import BillableMetric
from subscriptions.engine.charges import Charge, charges_parse
from subscriptions.engine.features import features_json, features_parse
from subscriptions.errors import InvalidPricePlan, PricePlanArchived
from subscriptions.models import (
    BillingMode,
    Plan,
    PlanVariant,
    PricePlan,
    PricePlanStatus,
    PricePlanVersion,
)
from subscriptions.selectors.price_plans import price_plan_version_get
from subscriptions.services.archiving import archived_set

_KEY_MAX: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """What a version says. Prices and the minimum are in the currency's major unit."""

    currency: str
    billing_period: str
    charges: Sequence[Mapping[str, Any]]
    entitlements: Mapping[str, Any] = field(default_factory=dict)
    minimum: Decimal | None = None
    changelog: str = ""


@transaction.atomic
def price_plan_create(
    *,
    caller: Caller,
    key: str,
    name: str,
    terms: PriceTerms,
    metadata: Mapping[str, Any] | None = None,
    now: datetime,
) -> PricePlanVersion:
    """A price plan with its first version or, of a key that there is, its next one; nobody is moved to it.

    Raises InvalidPricePlan, PricePlanArchived.
    """
    charges, minimum_minor = price_terms_check(environment_id=caller.environment_id, terms=terms)
    price_plan = _price_plan_ensured(caller, key, name, metadata, now)
    version = PricePlanVersion.objects.create(
        environment_id=caller.environment_id,
        price_plan=price_plan,
        version=_superseded(price_plan, now) + 1,
        status=PricePlanStatus.ACTIVE,
        currency=terms.currency,
        billing_period=terms.billing_period,
        charges=[charge.to_json() for charge in charges],
        entitlements=features_json(terms.entitlements),
        minimum_minor=minimum_minor,
        changelog=terms.changelog,
        created_at=now,
    )
    _variant_create(version, charges, now)
    _record(caller, price_plan, "created", {"version": [version.version - 1 or None, version.version]}, now)
    return version


@transaction.atomic
def price_plan_update(
    *, caller: Caller, key: str, labels: Mapping[str, Any], now: datetime
) -> PricePlanVersion:
    """Change `name` or `metadata`. Raises PricePlanNotFound."""
    price_plan = price_plan_locked(environment_id=caller.environment_id, key=key)
    changes = {
        label: [getattr(price_plan, label), value]
        for label, value in labels.items()
        if getattr(price_plan, label) != value
    }
    if changes:
        _label(price_plan, labels, now)
        _record(caller, price_plan, "updated", changes, now)
    return price_plan_version_get(environment_id=caller.environment_id, key=key)


@transaction.atomic
def price_plan_deprecate(
    *,
    caller: Caller,
    key: str,
    version: int | None = None,
    deprecated: bool = True,
    reason: str = "",
    now: datetime,
) -> PricePlanVersion:
    """Let nobody come to a version (the newest, if none is named) any more, or take that back.

    Raises PricePlanNotFound.
    """
    price_plan = price_plan_locked(environment_id=caller.environment_id, key=key)
    found = price_plan_version_get(environment_id=caller.environment_id, key=key, version=version)
    before = found.status
    found.status = PricePlanStatus.DEPRECATED if deprecated else _status_in_use(price_plan, found)
    if found.status != before:
        found.save(update_fields=["status"])
        changes = {"version": [found.version] * 2, "status": [before, found.status]}
        _record(caller, price_plan, "updated", changes, now, reason)
    return found


@transaction.atomic
def price_plan_archive(*, caller: Caller, key: str, reason: str = "", now: datetime) -> PricePlanVersion:
    """Sell it no more; those who have it keep it. Raises PricePlanNotFound."""
    price_plan = price_plan_locked(environment_id=caller.environment_id, key=key)
    if archived_set(price_plan, is_archived=True, now=now):
        _record(caller, price_plan, "archived", {}, now, reason)
    return price_plan_version_get(environment_id=caller.environment_id, key=key)


def price_plan_unarchive(*, caller: Caller, key: str, reason: str = "", now: datetime) -> PricePlanVersion:
    """Sell it again: its id was chosen, stands in the tenant's code, and no other can have it.

    Raises PricePlanNotFound.
    """
    price_plan = price_plan_locked(environment_id=caller.environment_id, key=key)
    if archived_set(price_plan, is_archived=False, now=now):
        _record(caller, price_plan, "unarchived", {}, now, reason)
    return price_plan_version_get(environment_id=caller.environment_id, key=key)


def key_refusal(key: str) -> str | None:
    """Why this cannot be a price plan's id, or None: it stands in paths and on invoices."""
    if not 1 <= len(key) <= _KEY_MAX or not key.isprintable() or key != key.strip():
        return f"Must be 1 to {_KEY_MAX} printable characters without spaces around them."
    return "Must not be a path." if "/" in key or key in {".", ".."} else None


def price_plan_locked(*, environment_id: UUID, key: str) -> PricePlan:
    """Raises PricePlanNotFound."""
    found = price_plan_version_get(environment_id=environment_id, key=key)
    return PricePlan.objects.select_for_update(no_key=True).select_related("plan").get(id=found.price_plan_id)


# --- What is checked


def price_terms_check(*, environment_id: UUID, terms: PriceTerms) -> tuple[tuple[Charge, ...], int | None]:
    """The charges, and the minimum in minor units, of terms that need not be anybody's. Raises InvalidPricePlan."""
    charges = charges_parse(terms.charges, currency=terms.currency)
    features = features_parse(terms.entitlements)
    named = {f"charges.{at}.metric_key": charge.metric_key for at, charge in enumerate(charges)}
    named |= {f"entitlements.{key}.metric_key": feature.metric_key for key, feature in features.items()}
    errors = [*_unknown_metrics(environment_id, named), *_minimum_refusals(terms)]
    if errors:
        raise InvalidPricePlan(errors=errors)
    return charges, _minimum_minor(terms)


def _unknown_metrics(environment_id: UUID, named: Mapping[str, str | None]) -> list[FieldError]:
    wanted = {key for key in named.values() if key is not None}
    metrics = BillableMetric.objects.filter(environment_id=environment_id, key__in=wanted)
    known = set(metrics.values_list("key", flat=True))
    return [
        FieldError(at[:200], "metric-not-found", f"There is no metric {key!r}.")
        for at, key in named.items()
        if key is not None and key not in known
    ]


def _minimum_minor(terms: PriceTerms) -> int | None:
    return None if terms.minimum is None else int(_in_minor(terms.minimum, terms.currency))


def _minimum_refusals(terms: PriceTerms) -> list[FieldError]:
    if terms.minimum is None:
        return []
    minor = _in_minor(terms.minimum, terms.currency)
    if minor != minor.to_integral_value():
        message = f"{terms.currency.upper()} has no such fractions."
        return [FieldError("minimum", "invalid", message)]
    if not 0 <= minor <= AMOUNT_MAX:
        return [FieldError("minimum", "out-of-range", "Must be an amount of at least 0.")]
    return []


def _in_minor(amount: Decimal, currency: str) -> Decimal:
    return amount.scaleb(currency_exponent(currency))


# --- What is written


def _price_plan_ensured(
    caller: Caller, key: str, name: str, metadata: Mapping[str, Any] | None, now: datetime
) -> PricePlan:
    """Locked. Nobody makes another of this key meanwhile: that takes the lock of the environment, too."""
    Environment.objects.select_for_update(no_key=True).get(id=caller.environment_id)
    known = PricePlan.objects.select_for_update(no_key=True).select_related("plan")
    price_plan = known.filter(environment_id=caller.environment_id, key=key).first()
    if price_plan is None:
        return _price_plan_made(caller, key, name, metadata or {}, now)
    if price_plan.archived_at is not None:
        raise PricePlanArchived
    _label(price_plan, {"name": name} | ({} if metadata is None else {"metadata": dict(metadata)}), now)
    return price_plan


def _price_plan_made(
    caller: Caller, key: str, name: str, metadata: Mapping[str, Any], now: datetime
) -> PricePlan:
    stamps = {"environment_id": caller.environment_id, "created_at": now, "updated_at": now}
    plan = Plan.objects.create(name=name, **stamps)
    return PricePlan.objects.create(key=key, name=name, plan=plan, metadata=dict(metadata), **stamps)


def _label(price_plan: PricePlan, labels: Mapping[str, Any], now: datetime) -> None:
    for label, value in labels.items():
        setattr(price_plan, label, value)
    price_plan.updated_at = now
    price_plan.save(update_fields=[*labels, "updated_at"])
    Plan.objects.filter(id=price_plan.plan_id).update(name=price_plan.name, updated_at=now)


def _superseded(price_plan: PricePlan, now: datetime) -> int:
    """The number of the newest version so far, whose place is taken."""
    versions = PricePlanVersion.objects.filter(price_plan_id=price_plan.id)
    newest = versions.order_by("-version").first()
    if newest is None:
        return 0
    versions.filter(status=PricePlanStatus.ACTIVE).update(status=PricePlanStatus.SUPERSEDED)
    PlanVariant.objects.filter(plan_id=price_plan.plan_id, superseded_at=None).update(
        superseded_at=now, updated_at=now
    )
    return newest.version


def _variant_create(version: PricePlanVersion, charges: Sequence[Charge], now: datetime) -> None:
    """How the version is sold by itself: its states and periods are those of a variant that grants nothing."""
    variant_id, plan_id = uuid7(), version.price_plan.plan_id
    first = PlanVariant.objects.filter(plan_id=plan_id, version=1).first()
    fees = sum(charge.rate(Decimal(1)).amount_minor for charge in charges if charge.is_fee)
    PlanVariant.objects.create(
        id=variant_id,
        environment_id=version.environment_id,
        plan_id=plan_id,
        family=first.family if first else variant_id,
        version=version.version,
        name=version.get_billing_period_display(),
        billing_cycle=version.billing_period,
        billing_mode=BillingMode.POSTPAID,
        price_minor=fees,
        currency=version.currency.upper(),
        price_plan_version=version,
        created_at=now,
        updated_at=now,
    )


def _status_in_use(price_plan: PricePlan, version: PricePlanVersion) -> str:
    newer = PricePlanVersion.objects.filter(price_plan_id=price_plan.id, version__gt=version.version)
    return PricePlanStatus.SUPERSEDED if newer.exists() else PricePlanStatus.ACTIVE


def _record(
    caller: Caller,
    price_plan: PricePlan,
    what: str,
    changes: Mapping[str, Any],
    now: datetime,
    reason: str = "",
) -> None:
    audit_record(
        caller=caller,
        action=f"price_plan.{what}",
        object_type="price_plan",
        object_id=price_plan.key,
        reason=reason,
        changes=changes,
        now=now,
    )
