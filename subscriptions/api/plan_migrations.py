"""`POST /v1/plans/{id}/migrate`."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import StrictBooleanField, StrictSerializer, TextField, TypeIdField
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.clock import system_now
from subscriptions.services.plan_migrations import plan_migrate


class MigrateInput(StrictSerializer):
    to_plan_variant_id = TypeIdField("pvr")
    from_plan_variant_ids = serializers.ListField(
        child=TypeIdField("pvr"), max_length=100, required=False, help_text="Default: all of the plan's."
    )
    effective = serializers.ChoiceField(choices=("period_end", "immediate"), required=False)
    preview = StrictBooleanField(required=False)
    reason = TextField(max_length=1000, allow_blank=True, required=False)


class PlanMigrate(Endpoint):
    resource = "subscriptions"
    serializer_class = JobShow

    @extend_schema(
        operation_id="plans_migrate",
        tags=["Plans"],
        summary="Move a plan's subscribers to another variant",
        description="A job (202), done at once for few: each live subscriber of the plan, or of "
        "`from_plan_variant_ids`, is moved for itself, with their next period (`period_end`, the default) or "
        "`immediate`ly. A row for each, with what it granted or why it was refused, is at `/v1/jobs/{id}/results`; the "
        "job can be paused, resumed and canceled. With `preview` everybody is moved and moved back: the rows tell what "
        "would happen.",
        request=MigrateInput,
        responses={202: JobShow},
        extensions={"x-problems": ["plan-not-found", "plan-variant-not-found", "plan-variant-archived"]},
        examples=[
            OpenApiExample(
                "Look first",
                {"to_plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t", "preview": True},
                request_only=True,
            ),
            OpenApiExample(
                "A job",
                {**JOB_EXAMPLE, "kind": "subscriptions.migrate"},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        given = self.read(MigrateInput)
        names = {"to_plan_variant_id": "to_variant_id", "from_plan_variant_ids": "from_variant_ids"}
        job = plan_migrate(
            caller=request.caller,
            plan_id=object_id("plan", plan_id),
            clock=system_now,
            **{names.get(name, name): value for name, value in given.items()},
        )
        return Response(JobShow(job).data, status=202)
