"""Price plans and their versions, as they are shown and looked up."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from subscriptions.errors import PricePlanNotFound
from subscriptions.models import PlanVariant, PricePlanStatus, PricePlanVersion


def price_plan_versions(*, environment_id: UUID) -> QuerySet[PricePlanVersion]:
    """All of all price plans, with those."""
    rows = PricePlanVersion.objects.filter(environment_id=environment_id)
    return rows.select_related("price_plan")


def price_plans_newest(*, environment_id: UUID) -> QuerySet[PricePlanVersion]:
    """Each price plan by its newest version, the newest price plan first."""
    newest = (
        PricePlanVersion.objects.filter(environment_id=environment_id)
        .order_by("price_plan_id", "-version")
        .distinct("price_plan_id")
        .values("id")
    )
    rows = price_plan_versions(environment_id=environment_id)
    return rows.filter(id__in=newest)


def price_plans_sold(*, environment_id: UUID) -> QuerySet[PricePlanVersion]:
    """The versions that take new subscriptions, by name."""
    rows = price_plan_versions(environment_id=environment_id)
    sold = rows.filter(status=PricePlanStatus.ACTIVE, price_plan__archived_at=None)
    return sold.order_by("price_plan__name", "id")


def price_plan_version_get(*, environment_id: UUID, key: str, version: int | None = None) -> PricePlanVersion:
    """A version, or the newest. Raises PricePlanNotFound."""
    rows = price_plan_versions(environment_id=environment_id).filter(price_plan__key=key)
    if version is not None:
        rows = rows.filter(version=version)
    found = rows.order_by("-version").first()
    if found is None:
        raise PricePlanNotFound(f"There is no price plan {key[:255]!r}." if version is None else "")
    return found


def price_plan_variant(version: PricePlanVersion) -> PlanVariant:
    """How the version is sold by itself."""
    variants = PlanVariant.objects.select_related("plan", "price_plan_version__price_plan")
    return variants.get(plan_id=version.price_plan.plan_id, price_plan_version_id=version.id)
