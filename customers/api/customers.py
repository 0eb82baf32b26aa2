"""/v1/customers and /v1/customer-by-external-id."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictSerializer,
    TextField,
    UnitsField,
)
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.amounts import AMOUNT_MAX
from customers.models import Customer, OveragePolicy
from customers.selectors.customers import customers_search, customers_visible
from customers.services.customers import (
    By,
    customer_create,
    customer_delete,
    customer_resolve,
    customer_update,
)


class _Attributes(StrictSerializer):
    display_name = TextField(max_length=200, required=False, allow_null=True)
    name = TextField(max_length=200, required=False, allow_null=True)
    email = TextField(max_length=320, required=False, allow_null=True)
    overage_policy = serializers.ChoiceField(choices=OveragePolicy.choices, required=False)
    overage_limit = McField(source="overage_limit_mc", required=False, allow_null=True)
    low_balance_threshold = McField(
        source="low_balance_threshold_mc", min_value=-AMOUNT_MAX, required=False, allow_null=True
    )
    timezone = TextField(max_length=64, required=False)
    payment_provider = TextField(max_length=40, required=False, allow_null=True)
    payment_provider_customer_id = TextField(max_length=255, required=False, allow_null=True)
    payment_method_id = TextField(max_length=255, required=False, allow_null=True)
    tax_rate = UnitsField(required=False, allow_null=True, help_text="In percent, on invoices; null: no tax.")
    tax_id = TextField(max_length=64, required=False, allow_null=True)
    billing_address = TextField(
        max_length=1000, required=False, allow_null=True, help_text="As it is printed, with its line breaks."
    )
    metadata = MetadataField(required=False)


class CustomerCreate(_Attributes):
    external_id = TextField(max_length=255, required=False, allow_null=True)
    id = TextField(max_length=255, required=False, allow_null=True)


class CustomerUpdate(_Attributes):
    external_id = TextField(max_length=255, required=False, allow_null=True)


class CustomerShow(serializers.Serializer[Customer]):
    id = serializers.CharField(source="public_id")
    external_id = serializers.CharField(allow_null=True)
    display_name = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    email = serializers.CharField(allow_null=True)
    overage_policy = serializers.ChoiceField(choices=OveragePolicy.choices)
    overage_limit = serializers.IntegerField(source="overage_limit_mc", allow_null=True)
    low_balance_threshold = serializers.IntegerField(source="low_balance_threshold_mc", allow_null=True)
    timezone = serializers.CharField()
    payment_provider = serializers.CharField(allow_null=True)
    payment_provider_customer_id = serializers.CharField(allow_null=True)
    payment_method_id = serializers.CharField(allow_null=True)
    tax_rate = UnitsField(allow_null=True)
    tax_id = serializers.CharField(allow_null=True)
    billing_address = serializers.CharField(allow_null=True)
    metadata = MetadataField()
    created_at = InstantField()
    updated_at = InstantField()
    deleted_at = InstantField(allow_null=True)


class CustomerFilter(filters.FilterSet):
    search = filters.CharFilter(
        method="by_search", max_length=200, label="Part of the display name, external id, name, email or id."
    )
    external_id = filters.CharFilter(field_name="external_key", label="Exactly this external id.")
    email = filters.CharFilter(lookup_expr="iexact", label="This email address, in any case.")
    overage_policy = filters.ChoiceFilter(choices=OveragePolicy.choices)
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gt")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Customer
        fields: tuple[str, ...] = ()

    def by_search(self, queryset: QuerySet[Customer], _name: str, value: str) -> QuerySet[Customer]:
        found = customers_search(environment_id=self.request.caller.environment_id, query=value)
        return queryset.filter(id__in=found)


_EXAMPLE: dict[str, Any] = {
    "id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_id": "user_quickstart",
    "display_name": "Quickstart User",
    "name": None,
    "email": None,
    "overage_policy": "block",
    "overage_limit": None,
    "low_balance_threshold": None,
    "timezone": "UTC",
    "payment_provider": None,
    "payment_provider_customer_id": None,
    "payment_method_id": None,
    "tax_rate": None,
    "tax_id": None,
    "billing_address": None,
    "metadata": {},
    "created_at": "2026-04-03T09:01:00Z",
    "updated_at": "2026-04-03T09:01:00Z",
    "deleted_at": None,
}
_SHOWN = OpenApiExample("A customer", value=_EXAMPLE, response_only=True)


class Customers(Endpoint):
    resource = "customers"
    filterset_class = CustomerFilter
    queryset = Customer.objects.none()
    serializer_class = CustomerShow

    @extend_schema(
        operation_id="customers_list",
        tags=["Customers"],
        summary="List customers",
        description="Newest first, without the deleted. A search shows the newest 1,000 matches.",
        responses=CustomerShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(customers_visible(request.caller.environment_id), CustomerShow)

    @extend_schema(
        operation_id="customers_create",
        tags=["Customers"],
        summary="Create a customer",
        description=(
            "By your own `external_id`, or with an `id` of your choice, which then is the external id too unless one "
            "is given. The credit account exists from then on."
        ),
        request=CustomerCreate,
        extensions={"x-problems": ["customer-exists"]},
        responses={201: CustomerShow},
        examples=[
            _SHOWN,
            OpenApiExample(
                "By external id",
                value={"external_id": "user_quickstart", "display_name": "Quickstart User"},
                request_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        attributes = self.read(CustomerCreate)
        customer = customer_create(
            caller=request.caller,
            public_id=attributes.pop("id", None),
            external_id=attributes.pop("external_id", None),
            attributes=attributes,
            now=request.now,
        )
        return Response(CustomerShow(customer).data, status=201)


class CustomerDetail(Endpoint):
    resource = "customers"
    serializer_class = CustomerShow

    @extend_schema(
        operation_id="customers_get",
        tags=["Customers"],
        summary="Get a customer",
        description="Also a deleted one, as long as its id or external id still reaches it.",
        extensions={"x-problems": ["customer-not-found"]},
        responses=CustomerShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        return Response(CustomerShow(self._customer(request, by, reference)).data)

    @extend_schema(
        operation_id="customers_update",
        tags=["Customers"],
        summary="Change a customer",
        description="Only the members that are sent change; null empties a member that may be empty.",
        request=CustomerUpdate,
        extensions={"x-problems": ["customer-not-found", "customer-exists"]},
        responses=CustomerShow,
        examples=[
            _SHOWN,
            OpenApiExample("Rename", value={"display_name": "Quickstart User"}, request_only=True),
        ],
    )
    @idempotent()
    def patch(self, request: ApiRequest, by: By, reference: str) -> Response:
        attributes = self.read(CustomerUpdate, partial=True)
        customer = customer_update(
            caller=request.caller,
            customer_id=self._customer(request, by, reference).id,
            attributes=attributes,
            now=request.now,
        )
        return Response(CustomerShow(customer).data)

    @extend_schema(
        operation_id="customers_delete",
        tags=["Customers"],
        summary="Delete a customer",
        description=(
            "Hides the customer; balances, holds and subscriptions go on, and calls still reach it until its external "
            "id is used for a new customer. A second time is 204 too."
        ),
        responses={204: None},
        extensions={"x-problems": ["customer-not-found"]},
    )
    def delete(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = self._customer(request, by, reference)
        customer_delete(caller=request.caller, customer_id=customer.id, now=request.now)
        return Response(status=204)

    def _customer(self, request: ApiRequest, by: By, reference: str) -> Customer:
        return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
