"""`/v1/plans/{id}/variants/{id}/credit-grants`."""

from __future__ import annotations

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.response import Response

from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from subscriptions.api.plan_examples import GRANT_ASKED, GRANT_DAILY, GRANT_SHOWN
from subscriptions.api.plan_fields import CreditGrantInput, CreditGrantOutput
from subscriptions.models import CreditGrantTemplate
from subscriptions.selectors.catalogue import credit_grant_get, variant_get
from subscriptions.services.credit_grants import (
    credit_grant_archive,
    credit_grant_create,
    credit_grant_update,
)
from subscriptions.services.variant_versions import Written

_VERSIONS = (
    "Once somebody has subscribed to the variant, this makes a new version of it: `plan_variant_id` in the answer is "
    "that version's id."
)


class CreditGrantFilter(filters.FilterSet):
    archived = filters.BooleanFilter(
        field_name="archived_at", lookup_expr="isnull", exclude=True, label="Archived ones, or the others."
    )

    class Meta:
        model = CreditGrantTemplate
        fields: tuple[str, ...] = ()


class CreditGrants(Endpoint):
    resource = "catalog"
    filterset_class = CreditGrantFilter
    queryset = CreditGrantTemplate.objects.none()
    serializer_class = CreditGrantOutput

    @extend_schema(
        operation_id="credit_grants_list",
        tags=["Plans"],
        summary="List the credit grants of a plan variant, newest first",
        responses=CreditGrantOutput(many=True),
        examples=[GRANT_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        variant = variant_get(
            environment_id=request.caller.environment_id,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
        )
        return self.page(CreditGrantTemplate.objects.filter(variant_id=variant.id), CreditGrantOutput)

    @extend_schema(
        operation_id="credit_grants_create",
        tags=["Plans"],
        summary="Add a credit grant to a plan variant",
        description="Credits that subscribers are given once, or at the start of each interval, as a block of their "
        "own. They end `expires_after_seconds` after that, or with `expires: interval_end` exactly when the next ones "
        f"come, or else never. {_VERSIONS}",
        request=CreditGrantInput,
        responses={201: CreditGrantOutput},
        examples=[GRANT_ASKED, GRANT_DAILY, GRANT_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str, variant_id: str) -> Response:
        written = credit_grant_create(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            terms=self.read(CreditGrantInput),
            now=request.now,
        )
        return Response(CreditGrantOutput(written.row).data, status=201)


class CreditGrantDetail(Endpoint):
    resource = "catalog"
    serializer_class = CreditGrantOutput

    @extend_schema(
        operation_id="credit_grants_get",
        tags=["Plans"],
        summary="Get a credit grant of a plan variant",
        responses=CreditGrantOutput,
        examples=[GRANT_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str, variant_id: str, grant_id: str) -> Response:
        variant = variant_get(
            environment_id=request.caller.environment_id,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
        )
        grant = credit_grant_get(
            environment_id=variant.environment_id, variant_id=variant.id, grant_id=object_id("cgt", grant_id)
        )
        return Response(CreditGrantOutput(grant).data)

    @extend_schema(
        operation_id="credit_grants_update",
        tags=["Plans"],
        summary="Change a credit grant of a plan variant",
        description=f"For grants to come; what was granted stays as it is. Name and metadata change where they are. "
        f"{_VERSIONS} It is 201 then, else 200. Of `expires_after_seconds` and `expires`, the one that is sent takes "
        "the place of the other.",
        request=CreditGrantInput,
        responses={200: CreditGrantOutput, 201: CreditGrantOutput},
        examples=[OpenApiExample("More credits", {"credits": 150000000}, request_only=True), GRANT_SHOWN],
    )
    @idempotent()
    def patch(self, request: ApiRequest, plan_id: str, variant_id: str, grant_id: str) -> Response:
        written = credit_grant_update(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            grant_id=object_id("cgt", grant_id),
            terms=self.read(CreditGrantInput, partial=True),
            now=request.now,
        )
        return _answer(written)


class CreditGrantArchive(Endpoint):
    resource = "catalog"
    serializer_class = CreditGrantOutput

    @extend_schema(
        operation_id="credit_grants_archive",
        tags=["Plans"],
        summary="Archive a credit grant of a plan variant",
        description=f"It is granted no more; what was granted stays. {_VERSIONS} It is 201 then, else 200. "
        "Archiving it again changes nothing.",
        request=None,
        responses={200: CreditGrantOutput, 201: CreditGrantOutput},
        examples=[GRANT_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str, variant_id: str, grant_id: str) -> Response:
        written = credit_grant_archive(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            variant_id=object_id("pvr", variant_id),
            grant_id=object_id("cgt", grant_id),
            now=request.now,
        )
        return _answer(written)


def _answer(written: Written[CreditGrantTemplate]) -> Response:
    return Response(CreditGrantOutput(written.row).data, status=201 if written.is_new_version else 200)
