"""`/v1/plans`."""

from __future__ import annotations

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.response import Response

from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from subscriptions.api.plan_examples import PLAN_ASKED, PLAN_SHOWN, PLAN_WITH_VARIANTS
from subscriptions.api.plan_fields import PlanInput, PlanOutput, PlanWithVariants
from subscriptions.models import Plan
from subscriptions.selectors.catalogue import plan_get, plans_sold
from subscriptions.services.plans import plan_archive, plan_create, plan_unarchive, plan_update


class PlanFilter(filters.FilterSet):
    archived = filters.BooleanFilter(
        field_name="archived_at", lookup_expr="isnull", exclude=True, label="Archived ones, or the others."
    )

    class Meta:
        model = Plan
        fields: tuple[str, ...] = ()


class Plans(Endpoint):
    resource = "catalog"
    filterset_class = PlanFilter
    queryset = Plan.objects.none()
    serializer_class = PlanOutput

    @extend_schema(
        operation_id="plans_list",
        tags=["Plans"],
        summary="List plans, newest first",
        responses=PlanOutput(many=True),
        examples=[PLAN_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(plans_sold(environment_id=request.caller.environment_id), PlanOutput)

    @extend_schema(
        operation_id="plans_create",
        tags=["Plans"],
        summary="Create a plan",
        description="A name under which something is sold, and what it includes beside credits. On which terms is said "
        "by its variants.",
        request=PlanInput,
        responses={201: PlanWithVariants},
        examples=[PLAN_ASKED, PLAN_WITH_VARIANTS],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        plan = plan_create(caller=request.caller, terms=self.read(PlanInput), now=request.now)
        return Response(_shown(plan), status=201)


class PlanDetail(Endpoint):
    resource = "catalog"
    serializer_class = PlanWithVariants

    @extend_schema(
        operation_id="plans_get",
        tags=["Plans"],
        summary="Get a plan with its variants",
        description="Each variant in its present version; older ones are in the list of variants.",
        responses=PlanWithVariants,
        examples=[PLAN_WITH_VARIANTS],
    )
    def get(self, request: ApiRequest, plan_id: str) -> Response:
        plan = plan_get(environment_id=request.caller.environment_id, plan_id=object_id("plan", plan_id))
        return Response(PlanWithVariants(plan).data)

    @extend_schema(
        operation_id="plans_update",
        tags=["Plans"],
        summary="Change a plan's labels or features",
        description="For everybody who has the plan. `features` and `metadata` are replaced as a whole.",
        request=PlanInput,
        responses=PlanWithVariants,
        examples=[OpenApiExample("Rename it", {"name": "API"}, request_only=True), PLAN_WITH_VARIANTS],
    )
    @idempotent()
    def patch(self, request: ApiRequest, plan_id: str) -> Response:
        plan = plan_update(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            terms=self.read(PlanInput, partial=True),
            now=request.now,
        )
        return Response(_shown(plan))


class PlanArchive(Endpoint):
    resource = "catalog"
    serializer_class = PlanWithVariants

    @extend_schema(
        operation_id="plans_archive",
        tags=["Plans"],
        summary="Archive a plan",
        description="It takes no new variants and no new subscriptions; those who have it keep it. Archiving it again "
        "changes nothing.",
        request=None,
        responses=PlanWithVariants,
        examples=[PLAN_WITH_VARIANTS],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        plan = plan_archive(caller=request.caller, plan_id=object_id("plan", plan_id), now=request.now)
        return Response(_shown(plan))


class PlanUnarchive(Endpoint):
    resource = "catalog"
    serializer_class = PlanWithVariants

    @extend_schema(
        operation_id="plans_unarchive",
        tags=["Plans"],
        summary="Sell an archived plan again",
        description="As it was: variants that were archived themselves stay so. Of a plan that is not archived it "
        "changes nothing.",
        request=None,
        responses=PlanWithVariants,
        examples=[PLAN_WITH_VARIANTS],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        plan = plan_unarchive(caller=request.caller, plan_id=object_id("plan", plan_id), now=request.now)
        return Response(_shown(plan))


def _shown(plan: Plan) -> dict[str, object]:
    found = plan_get(environment_id=plan.environment_id, plan_id=plan.id)
    return dict(PlanWithVariants(found).data)
