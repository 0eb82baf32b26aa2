"""What one can be subscribed to: a variant of a plan, or a price plan by itself."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from subscriptions.errors import (
    PlanVariantArchived,
    PlanVariantNotFound,
    PricePlanArchived,
    PricePlanDeprecated,
)
from subscriptions.models import PlanVariant, PricePlanStatus, PricePlanVersion
from subscriptions.selectors.price_plans import price_plan_version_get
from subscriptions.services.variant_versions import variant_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePlanNamed:
    """A price plan by its id, in one of its versions or in the newest."""

    key: str
    version: int | None = None


#: A variant by its id, or a price plan.
Offer = UUID | PricePlanNamed


def offer_taken(*, environment_id: UUID, offer: Offer) -> PlanVariant:
    """What subscribes to it, held as it is until the transaction ends.

    Raises PlanVariantNotFound, PlanVariantArchived, PricePlanNotFound, PricePlanArchived, PricePlanDeprecated.
    """
    if isinstance(offer, UUID):
        return variant_for_sale(environment_id=environment_id, variant_id=offer)
    version = price_plan_for_sale(environment_id=environment_id, named=offer)
    variant_id = version.variants.values_list("id", flat=True).get(plan_id=version.price_plan.plan_id)
    variant_hold(variant_id)
    return _variants().get(id=variant_id)


def variant_for_sale(*, environment_id: UUID, variant_id: UUID) -> PlanVariant:
    """A variant that takes subscriptions, held as it is until the transaction ends.

    Raises PlanVariantNotFound, PlanVariantArchived.
    """
    variant_hold(variant_id)
    variant = _variants().filter(environment_id=environment_id, id=variant_id).first()
    if variant is None or variant.is_price_plan:
        raise PlanVariantNotFound
    if variant.archived_at or variant.superseded_at or variant.plan.archived_at:
        raise PlanVariantArchived
    return variant


def price_plan_for_sale(*, environment_id: UUID, named: PricePlanNamed) -> PricePlanVersion:
    """A version that takes subscriptions; a superseded one does when it is named.

    Raises PricePlanNotFound, PricePlanArchived, PricePlanDeprecated.
    """
    version = price_plan_version_get(environment_id=environment_id, key=named.key, version=named.version)
    if version.price_plan.archived_at is not None:
        raise PricePlanArchived
    if version.status == PricePlanStatus.DEPRECATED:
        raise PricePlanDeprecated
    return version


def _variants() -> QuerySet[PlanVariant]:
    return PlanVariant.objects.select_related(
        "plan", "fallback_variant__plan", "price_plan_version__price_plan"
    )
