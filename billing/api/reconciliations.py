"""`/v1/reconciliations`: invoices, payments, credit and the provider, laid side by side."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import Reconciliation
from billing.services.reconciliations import reconciliation_get, reconciliation_start
from customers.api.fields import InstantField, StrictSerializer
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id


class ReconciliationInput(StrictSerializer):
    begin = InstantField()
    end = InstantField(help_text="Exclusive; at most 366 days later.")


class ReconciliationOutput(serializers.Serializer[Reconciliation]):
    id = serializers.CharField(source="public_id")
    begin = InstantField()
    end = InstantField()
    totals = serializers.DictField(
        help_text="What was invoiced and paid, by currency, and what the provider says; `differences` counts all."
    )
    actor = serializers.CharField()
    created_at = InstantField()


class DifferenceOutput(serializers.Serializer[Any]):
    kind = serializers.CharField()
    detail = serializers.CharField()
    ours = serializers.IntegerField(allow_null=True, help_text="In minor units.")
    theirs = serializers.IntegerField(allow_null=True, help_text="In minor units.")
    currency = serializers.CharField()
    customer_id = serializers.CharField(allow_null=True)
    invoice_id = serializers.CharField(allow_null=True)
    payment_id = serializers.CharField(allow_null=True)
    topup_id = serializers.CharField(allow_null=True)
    provider_payment_id = serializers.CharField(allow_null=True)


class ReconciliationWhole(ReconciliationOutput):
    differences = DifferenceOutput(many=True, help_text="The first 1,000.")


_SHOWN: dict[str, Any] = {
    "id": "rcn_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "begin": "2026-04-01T00:00:00Z",
    "end": "2026-05-01T00:00:00Z",
    "totals": {
        "invoices": [{"currency": "USD", "count": 2, "total": 29800, "paid": 29800, "due": 0}],
        "payments": [{"currency": "USD", "provider": "stripe", "count": 2, "amount": 29800, "refunded": 0}],
        "provider": {
            "name": "stripe",
            "status": "compared",
            "payments": [{"currency": "USD", "count": 2, "amount": 29800, "refunded": 900}],
            "others": 3,
        },
        "differences": 1,
    },
    "actor": "system:beat",
    "created_at": "2026-05-01T03:00:00Z",
}
_DIFFERENCE: dict[str, Any] = {
    "kind": "refund-differs",
    "detail": "More or less went back than credit notes say.",
    "ours": 0,
    "theirs": 900,
    "currency": "USD",
    "customer_id": "cust_acme",
    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "payment_id": "pay_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "topup_id": None,
    "provider_payment_id": "pi_3Nx8kStripe123456",
}


class Reconciliations(Endpoint):
    resource = "invoices"
    queryset = Reconciliation.objects.none()
    serializer_class = ReconciliationOutput

    @extend_schema(
        operation_id="reconciliations_list",
        tags=["payments"],
        summary="List reconciliations, newest first",
        description="One is made every day by itself.",
        responses=ReconciliationOutput(many=True),
        examples=[OpenApiExample("A reconciliation", _SHOWN, response_only=True)],
    )
    def get(self, request: ApiRequest) -> Response:
        made = Reconciliation.objects.filter(environment_id=request.caller.environment_id)
        return self.page(made.defer("differences"), ReconciliationOutput)

    @extend_schema(
        operation_id="reconciliations_create",
        tags=["payments"],
        summary="Reconcile a window of time",
        description="Compares invoices with their lines, payments and credit notes, customers' credit with its "
        "movements, and payments, refunds and topups with what the provider has. It changes nothing. A job, whose "
        "result names the reconciliation.",
        request=ReconciliationInput,
        responses={202: JobShow},
        examples=[
            OpenApiExample(
                "April", {"begin": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}, request_only=True
            ),
            OpenApiExample(
                "Queued",
                {**JOB_EXAMPLE, "kind": "billing.reconcile", "state": "queued"},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        job = reconciliation_start(caller=request.caller, **self.read(ReconciliationInput))
        return Response(JobShow(job).data, status=202)


class ReconciliationDetail(Endpoint):
    resource = "invoices"
    serializer_class = ReconciliationWhole

    @extend_schema(
        operation_id="reconciliations_get",
        tags=["payments"],
        summary="Get a reconciliation with its differences",
        responses=ReconciliationWhole,
        examples=[
            OpenApiExample("With a difference", {**_SHOWN, "differences": [_DIFFERENCE]}, response_only=True)
        ],
    )
    def get(self, request: ApiRequest, reconciliation_id: str) -> Response:
        found = reconciliation_get(
            environment_id=request.caller.environment_id,
            reconciliation_id=object_id("rcn", reconciliation_id),
        )
        return Response(ReconciliationWhole(found).data)
