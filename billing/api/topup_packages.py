"""`/v1/topup-packages`: what a tenant sells."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.fields import CurrencyField
from billing.models import TopupPackage
from billing.services.topup_packages import package_create, package_get, package_update
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
)
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id

#: A hundred years.
_LIFE_MAX_SECONDS = 100 * 366 * 24 * 3600


class PackageInput(StrictSerializer):
    name = TextField(max_length=200)
    credits = McField(source="credits_mc", min_value=1, help_text="In mc.")
    bonus_credits = McField(source="bonus_credits_mc", required=False, help_text="On top, in mc.")
    price = McField(source="price_minor", help_text="In the currency's minor unit.")
    currency = CurrencyField()
    expires_after_seconds = StrictIntegerField(
        min_value=1, max_value=_LIFE_MAX_SECONDS, required=False, allow_null=True
    )
    priority = StrictIntegerField(min_value=0, max_value=100, required=False)
    active = StrictBooleanField(required=False)
    metadata = MetadataField(required=False)


class PackageOutput(serializers.Serializer[TopupPackage]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    credits = serializers.IntegerField(source="credits_mc")
    bonus_credits = serializers.IntegerField(source="bonus_credits_mc")
    price = serializers.IntegerField(source="price_minor")
    currency = serializers.CharField()
    expires_after_seconds = serializers.IntegerField(allow_null=True)
    priority = serializers.IntegerField()
    active = serializers.BooleanField()
    metadata = serializers.DictField()
    created_at = InstantField()
    updated_at = InstantField()


class PackageFilter(filters.FilterSet):
    active = filters.BooleanFilter(label="Those that are sold, or those that are not any more.")

    class Meta:
        model = TopupPackage
        fields: tuple[str, ...] = ()


_TERMS: dict[str, Any] = {
    "name": "100 credits",
    "credits": 100000,
    "bonus_credits": 5000,
    "price": 1000,
    "currency": "usd",
    "expires_after_seconds": 31536000,
}
_ASKED = OpenApiExample("A package", _TERMS, request_only=True)
_SHOWN = OpenApiExample(
    "A package",
    {
        "id": "pkg_01k7x3s9c5ef6v8b2n4m6q8r0t",
        **_TERMS,
        "priority": 0,
        "active": True,
        "metadata": {},
        "created_at": "2026-04-03T09:01:00Z",
        "updated_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)


class TopupPackages(Endpoint):
    resource = "catalog"
    filterset_class = PackageFilter
    queryset = TopupPackage.objects.none()
    serializer_class = PackageOutput

    @extend_schema(
        operation_id="topup_packages_list",
        tags=["topups"],
        summary="List topup packages, newest first",
        responses=PackageOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        packages = TopupPackage.objects.filter(environment_id=request.caller.environment_id)
        return self.page(packages, PackageOutput)

    @extend_schema(
        operation_id="topup_packages_create",
        tags=["topups"],
        summary="Create a topup package",
        description="A grant that names it inherits its terms and may override each of them.",
        request=PackageInput,
        responses={201: PackageOutput},
        examples=[_ASKED, _SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        package = package_create(caller=request.caller, terms=self.read(PackageInput), now=request.now)
        return Response(PackageOutput(package).data, status=201)


class TopupPackageDetail(Endpoint):
    resource = "catalog"
    serializer_class = PackageOutput

    @extend_schema(
        operation_id="topup_packages_get",
        tags=["topups"],
        summary="Get a topup package",
        responses=PackageOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, package_id: str) -> Response:
        package = package_get(
            environment_id=request.caller.environment_id, package_id=object_id("pkg", package_id)
        )
        return Response(PackageOutput(package).data)

    @extend_schema(
        operation_id="topup_packages_update",
        tags=["topups"],
        summary="Change a topup package, or stop selling it",
        description="For topups to come; those that were granted keep the terms they had. `active: false` is refused "
        "while an auto-topup asks for the package.",
        request=PackageInput,
        responses=PackageOutput,
        examples=[OpenApiExample("Stop selling it", {"active": False}, request_only=True), _SHOWN],
    )
    @idempotent()
    def patch(self, request: ApiRequest, package_id: str) -> Response:
        package = package_update(
            caller=request.caller,
            package_id=object_id("pkg", package_id),
            terms=self.read(PackageInput, partial=True),
            now=request.now,
        )
        return Response(PackageOutput(package).data)
