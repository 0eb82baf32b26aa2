"""How many customers are on what is sold."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from subscriptions.models import LIVE_STATES, Plan, PlanVariant, PricePlan, Subscription


def plans_with_subscribers(plans: QuerySet[Plan]) -> QuerySet[Plan]:
    """With `variants_sold`, the present variants, and `subscribers`, on any version of them."""
    sold = PlanVariant.objects.filter(plan_id=OuterRef("id"), superseded_at=None, archived_at=None)
    on_it = Subscription.objects.filter(variant__plan_id=OuterRef("id"), status__in=LIVE_STATES)
    return plans.annotate(
        variants_sold=_count(sold, "plan_id"), subscribers=_count(on_it, "variant__plan_id")
    )


def variants_with_subscribers(variants: QuerySet[PlanVariant]) -> QuerySet[PlanVariant]:
    """With `subscribers`, on that version, and `subscribers_in_all`, on any version."""
    live = Subscription.objects.filter(status__in=LIVE_STATES)
    return variants.annotate(
        subscribers=_count(live.filter(variant_id=OuterRef("id")), "variant_id"),
        subscribers_in_all=_count(live.filter(variant__family=OuterRef("family")), "variant__family"),
    )


def subscribers_of(variant_id: UUID) -> int:
    return Subscription.objects.filter(variant_id=variant_id, status__in=LIVE_STATES).count()


def price_plan_subscribers(plan: PricePlan) -> dict[UUID, int]:
    """Live subscriptions on each version of a price plan, by itself or with a plan variant."""
    live = Subscription.objects.filter(
        variant__price_plan_version__price_plan_id=plan.id, status__in=LIVE_STATES
    )
    counted = live.order_by().values_list("variant__price_plan_version_id").annotate(number=Count("id"))
    return {version_id: number for version_id, number in counted if version_id is not None}


def _count(rows: QuerySet[PlanVariant] | QuerySet[Subscription], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(number=Count("id")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))
