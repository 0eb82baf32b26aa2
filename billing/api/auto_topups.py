"""`…/auto-topup`: when a customer's credits should be topped up, and with what."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import AutoTopup, TopupRequest
from billing.services.auto_topups import (
    auto_topup_get,
    auto_topup_remove,
    auto_topup_set,
    topup_request_open,
)
from customers.api.fields import InstantField, StrictIntegerField, StrictSerializer, TypeIdField
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.ids import typeid
from customers.models import Customer
from customers.services.customers import By, customer_resolve


class AutoTopupInput(StrictSerializer):
    threshold = StrictIntegerField(
        source="threshold_mc",
        min_value=-AMOUNT_MAX,
        max_value=AMOUNT_MAX,
        help_text="Effective balance in mc at which a topup is asked for.",
    )
    package_id = TypeIdField("pkg")
    monthly_limit = StrictIntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        allow_null=True,
        default=None,
        help_text="How many requests a calendar month (UTC) at most.",
    )


class OpenRequestOutput(serializers.Serializer[TopupRequest]):
    id = serializers.CharField(source="public_id")
    threshold = serializers.IntegerField(source="threshold_mc")
    effective_balance = serializers.IntegerField(source="effective_mc")
    requested_at = InstantField()


class AutoTopupOutput(serializers.Serializer[AutoTopup]):
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField(allow_null=True)
    threshold = serializers.IntegerField()
    package_id = serializers.CharField()
    monthly_limit = serializers.IntegerField(allow_null=True)
    open_request = OpenRequestOutput(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


_ASKED: dict[str, Any] = {
    "threshold": 10000,
    "package_id": "pkg_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "monthly_limit": 5,
}
_SHOWN = OpenApiExample(
    "An auto-topup",
    {
        "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
        "external_customer_id": "user_quickstart",
        **_ASKED,
        "open_request": None,
        "created_at": "2026-04-03T09:01:00Z",
        "updated_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)


class CustomerAutoTopup(Endpoint):
    resource = "credits"
    serializer_class = AutoTopupOutput

    @extend_schema(
        operation_id="auto_topup_get",
        tags=["topups"],
        summary="Get a customer's auto-topup",
        responses=AutoTopupOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = self._customer(request, by, reference)
        return Response(_document(customer, auto_topup_get(customer=customer)))

    @extend_schema(
        operation_id="auto_topup_set",
        tags=["topups"],
        summary="Set a customer's auto-topup",
        description="When the effective balance falls to the threshold, `topup.requested` is emitted, once: no second "
        "time while that request is open. A topup that names it (`topup_request_id`) resolves it, and so does whatever "
        "lifts the balance above the threshold. A customer who is at or below it already is asked for at once.",
        request=AutoTopupInput,
        responses=AutoTopupOutput,
        examples=[OpenApiExample("At 10 credits", _ASKED, request_only=True), _SHOWN],
    )
    def put(self, request: ApiRequest, by: By, reference: str) -> Response:
        given = self.read(AutoTopupInput)
        customer = self._customer(request, by, reference)
        auto_topup = auto_topup_set(caller=request.caller, customer=customer, now=request.now, **given)
        return Response(_document(customer, auto_topup))

    @extend_schema(
        operation_id="auto_topup_remove",
        tags=["topups"],
        summary="Remove a customer's auto-topup",
        description="A request that is open is canceled. A second time is 204 too.",
        responses={204: None},
    )
    def delete(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = self._customer(request, by, reference)
        auto_topup_remove(caller=request.caller, customer=customer, now=request.now)
        return Response(status=204)

    def _customer(self, request: ApiRequest, by: By, reference: str) -> Customer:
        return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)


def _document(customer: Customer, auto_topup: AutoTopup) -> dict[str, Any]:
    waiting = topup_request_open(customer=customer)
    return {
        "customer_id": customer.public_id,
        "external_customer_id": customer.external_id,
        "threshold": auto_topup.threshold_mc,
        "package_id": typeid("pkg", auto_topup.package_id),
        "monthly_limit": auto_topup.monthly_limit,
        "open_request": OpenRequestOutput(waiting).data if waiting else None,
        "created_at": InstantField().to_representation(auto_topup.created_at),
        "updated_at": InstantField().to_representation(auto_topup.updated_at),
    }
