"""`/v1/plans/{id}/variants`."""

from __future__ import annotations

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.response import Response

from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from subscriptions.api.plan_examples import VARIANT_ASKED, VARIANT_PREPAID, VARIANT_SHOWN
from subscriptions.api.plan_fields import VariantInput, VariantOutput
from subscriptions.models import BillingCycle, BillingMode, PlanVariant
from subscriptions.selectors.catalogue import plan_get, variant_get, variants_shown
from subscriptions.services.plan_variants import (
    variant_archive,
    variant_create,
    variant_unarchive,
    variant_update,
)

_NEW_VERSION = OpenApiExample("Other terms", {"grace_period_days": 7}, request_only=True)


class VariantFilter(filters.FilterSet):
    archived = filters.BooleanFilter(
        field_name="archived_at", lookup_expr="isnull", exclude=True, label="Archived ones, or the others."
    )
    superseded = filters.BooleanFilter(
        field_name="superseded_at",
        lookup_expr="isnull",
        exclude=True,
        label="Past versions, or present ones.",
    )
    billing_cycle = filters.ChoiceFilter(choices=BillingCycle.choices)
    billing_mode = filters.ChoiceFilter(choices=BillingMode.choices)

    class Meta:
        model = PlanVariant
        fields: tuple[str, ...] = ()


class PlanVariants(Endpoint):
    resource = "catalog"
    filterset_class = VariantFilter
    queryset = PlanVariant.objects.none()
    serializer_class = VariantOutput

    @extend_schema(
        operation_id="plan_variants_list",
        tags=["Plans"],
        summary="List a plan's variants, newest first",
        description="Every version of each; `superseded=false` are the present ones.",
        responses=VariantOutput(many=True),
        examples=[VARIANT_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str) -> Response:
        plan = plan_get(environment_id=request.caller.environment_id, plan_id=object_id("plan", plan_id))
        variants: QuerySet[PlanVariant] = variants_shown(environment_id=plan.environment_id)
        return self.page(variants.filter(plan_id=plan.id), VariantOutput)

    @extend_schema(
        operation_id="plan_variants_create",
        tags=["Plans"],
        summary="Create a variant of a plan",
        description="Terms on which the plan is sold: how often and in which mode it is billed, and what happens when "
        "a renewal is late. `renewal_due_days`, `grace_period_days` and `allow_usage_while_overdue` matter to prepaid "
        "variants only.",
        request=VariantInput,
        responses={201: VariantOutput},
        examples=[VARIANT_ASKED, VARIANT_PREPAID, VARIANT_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        variant = variant_create(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            terms=self.read(VariantInput),
            now=request.now,
        )
        return Response(_shown(variant), status=201)


class PlanVariantDetail(Endpoint):
    resource = "catalog"
    serializer_class = VariantOutput

    @extend_schema(
        operation_id="plan_variants_get",
        tags=["Plans"],
        summary="Get a variant of a plan",
        description="One version of it; `current_version_id` names the newest.",
        responses=VariantOutput,
        examples=[VARIANT_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        variant = variant_get(
            environment_id=request.caller.environment_id,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
        )
        return Response(VariantOutput(variant).data)

    @extend_schema(
        operation_id="plan_variants_update",
        tags=["Plans"],
        summary="Change a variant of a plan",
        description="Name, description and metadata change where they are (200), and so do terms that nobody has "
        "subscribed to. Once somebody has, other terms are a new version (201): the body has its id, its credit "
        "grants and metering rules are copies, and subscriptions stay on theirs until they are moved.",
        request=VariantInput,
        responses={200: VariantOutput, 201: VariantOutput},
        examples=[_NEW_VERSION, VARIANT_SHOWN],
    )
    @idempotent()
    def patch(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        written = variant_update(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            terms=self.read(VariantInput, partial=True),
            now=request.now,
        )
        return Response(_shown(written.row), status=201 if written.is_new_version else 200)


class PlanVariantArchive(Endpoint):
    resource = "catalog"
    serializer_class = VariantOutput

    @extend_schema(
        operation_id="plan_variants_archive",
        tags=["Plans"],
        summary="Archive a variant of a plan",
        description="It takes no new subscriptions; those who are on it stay. Archiving it again changes nothing.",
        request=None,
        responses=VariantOutput,
        examples=[VARIANT_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        variant = variant_archive(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            now=request.now,
        )
        return Response(_shown(variant))


class PlanVariantUnarchive(Endpoint):
    resource = "catalog"
    serializer_class = VariantOutput

    @extend_schema(
        operation_id="plan_variants_unarchive",
        tags=["Plans"],
        summary="Sell an archived variant of a plan again",
        description="On the terms it had, unless its plan is archived too. Of a variant that is not archived it "
        "changes nothing.",
        request=None,
        responses=VariantOutput,
        examples=[VARIANT_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        variant = variant_unarchive(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            now=request.now,
        )
        return Response(_shown(variant))


def _shown(variant: PlanVariant) -> dict[str, object]:
    found = variant_get(environment_id=variant.environment_id, plan_id=variant.plan_id, variant_id=variant.id)
    return dict(VariantOutput(found).data)
