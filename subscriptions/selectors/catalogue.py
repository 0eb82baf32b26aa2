"""Plans, their variants and credit grants, as they are shown and looked up."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery

from subscriptions.errors import CreditGrantNotFound, PlanNotFound, PlanVariantNotFound
from subscriptions.models import CreditGrantTemplate, Plan, PlanVariant, Subscription, SubscriptionPeriod


def plans_sold(*, environment_id: UUID) -> QuerySet[Plan]:
    """Of any age; without those through which price plans are sold by themselves, which nobody sees."""
    return Plan.objects.filter(environment_id=environment_id, price_plan=None)


def plan_get(*, environment_id: UUID, plan_id: UUID) -> Plan:
    """With the present versions of its variants as `variants_shown`. Raises PlanNotFound."""
    variants = variants_shown(environment_id=environment_id).filter(superseded_at=None).order_by("id")
    plans = plans_sold(environment_id=environment_id).filter(id=plan_id)
    plan = plans.prefetch_related(Prefetch("variants", queryset=variants, to_attr="variants_shown")).first()
    if plan is None:
        raise PlanNotFound
    return plan


def variants_shown(*, environment_id: UUID) -> QuerySet[PlanVariant]:
    """Every version of every variant, with the credit grants that it gives as `grants_shown`."""
    grants = CreditGrantTemplate.objects.filter(archived_at=None).order_by("id")
    newest = PlanVariant.objects.filter(
        environment_id=environment_id, family=OuterRef("family"), superseded_at=None
    )
    return (
        PlanVariant.objects.filter(environment_id=environment_id, plan__price_plan=None)
        .select_related("price_plan_version__price_plan")
        .annotate(current_version=Subquery(newest.values("id")[:1]))
        .prefetch_related(Prefetch("credit_grants", queryset=grants, to_attr="grants_shown"))
    )


def variant_get(*, environment_id: UUID, plan_id: UUID, variant_id: UUID) -> PlanVariant:
    """Raises PlanVariantNotFound, also for another plan's variant."""
    variant = variants_shown(environment_id=environment_id).filter(plan_id=plan_id, id=variant_id).first()
    if variant is None:
        raise PlanVariantNotFound
    return variant


def variant_current(variant: PlanVariant) -> PlanVariant:
    """The version that took its place in the end, which is itself unless it was superseded."""
    if variant.superseded_at is None:
        return variant
    return PlanVariant.objects.select_related("plan").get(
        environment_id=variant.environment_id, family=variant.family, superseded_at=None
    )


def variant_exists(*, environment_id: UUID, plan_variant_id: UUID) -> bool:
    variants = PlanVariant.objects.filter(environment_id=environment_id, plan__price_plan=None)
    return variants.filter(id=plan_variant_id).exists()


def variant_is_used(variant: PlanVariant) -> bool:
    """Whether anybody is on these terms, was, or is about to be: then they stay as they are."""
    on_it = Q(variant_id=OuterRef("id")) | Q(pending_variant_id=OuterRef("id"))
    used = Exists(Subscription.objects.filter(on_it)) | Exists(
        SubscriptionPeriod.objects.filter(variant_id=OuterRef("id"))
    )
    return PlanVariant.objects.filter(used, id=variant.id).exists()


def credit_grant_get(*, environment_id: UUID, variant_id: UUID, grant_id: UUID) -> CreditGrantTemplate:
    """Raises CreditGrantNotFound, also for another variant's."""
    grants = CreditGrantTemplate.objects.filter(environment_id=environment_id, variant_id=variant_id)
    grant = grants.filter(id=grant_id).first()
    if grant is None:
        raise CreditGrantNotFound
    return grant


def variants_sold(*, environment_id: UUID) -> QuerySet[PlanVariant]:
    """Those that take new subscriptions, by plan."""
    return (
        PlanVariant.objects.filter(
            environment_id=environment_id,
            superseded_at=None,
            archived_at=None,
            plan__archived_at=None,
            plan__price_plan=None,
        )
        .select_related("plan")
        .order_by("plan__name", "id")
    )


def variants_of_family(variant: PlanVariant) -> QuerySet[PlanVariant]:
    """All versions of a variant, the newest first."""
    return PlanVariant.objects.filter(environment_id=variant.environment_id, family=variant.family).order_by(
        "-version"
    )
