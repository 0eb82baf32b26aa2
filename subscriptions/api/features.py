"""`GET /v1/entitlements` and `/v1/entitlements/check`: what a customer's plans let them do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import StrictSerializer, TextField, UnitsField
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.amounts import units_shown
from customers.kernel.instants import instant_text
from customers.models import Customer
from customers.services.customers import customer_resolve
from subscriptions.engine.features import KEY_MAX
from subscriptions.events import plan_shown, price_plan_shown
from subscriptions.models import Subscription
from subscriptions.services.features import Entitlement, entitlement_check, entitlements_read

_WHO: Final = [
    OpenApiParameter("customer_id", OpenApiTypes.STR, description="Or `external_customer_id`; exactly one."),
    OpenApiParameter("external_customer_id", OpenApiTypes.STR),
]
_WHICH: Final = OpenApiParameter("feature_key", OpenApiTypes.STR, required=True)


class CustomerQuery(StrictSerializer):
    customer_id = TextField(required=False)
    external_customer_id = TextField(required=False)


class CheckQuery(CustomerQuery):
    feature_key = TextField(max_length=KEY_MAX)


class SourceOutput(serializers.Serializer[Any]):
    subscription_id = serializers.CharField()
    plan_id = serializers.CharField()
    plan_version = serializers.IntegerField(allow_null=True)


class EntitlementOutput(serializers.Serializer[Any]):
    feature_key = serializers.CharField()
    type = serializers.ChoiceField(
        choices=("boolean", "limit", "custom"), allow_null=True, help_text="Null: no plan of theirs names it."
    )
    entitled = serializers.BooleanField(help_text="It is on; the limit is not reached; there is a value.")
    value = serializers.JSONField(allow_null=True, help_text="Of a boolean or a custom one.")
    limit = UnitsField(allow_null=True, help_text="A number; null in a limit: no end.")
    metric_key = serializers.CharField(allow_null=True, help_text="What counts towards the limit.")
    current_usage = UnitsField(allow_null=True, help_text="In the period, exact to the event.")
    remaining = UnitsField(allow_null=True)
    exceeded = serializers.BooleanField(help_text="The usage has reached the limit.")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    sources = SourceOutput(many=True, help_text="The subscriptions that give it, the newest first.")


class CheckOutput(EntitlementOutput):
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()


class EntitlementsOutput(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    data = EntitlementOutput(many=True)  # type: ignore[assignment] # what a serializer calls its own


_LIMIT: Final[dict[str, Any]] = {
    "feature_key": "api_calls",
    "type": "limit",
    "entitled": True,
    "value": None,
    "limit": 1000000,
    "metric_key": "api_calls",
    "current_usage": 740000,
    "remaining": 260000,
    "exceeded": False,
    "period_start": "2026-04-01T00:00:00Z",
    "period_end": "2026-05-01T00:00:00Z",
    "sources": [
        {
            "subscription_id": "sub_01k7x3s9c5ef6v8b2n4m6q8r0t",
            "plan_id": "plan_growth",
            "plan_version": 1,
        }
    ],
}
_WHOSE: Final[dict[str, Any]] = {
    "customer_id": "cust_acme",
    "external_customer_id": None,
    "as_of": "2026-04-20T09:00:00Z",
}


class Entitlements(Endpoint):
    resource = "entitlements"
    bucket = "entitlements"
    serializer_class = EntitlementsOutput

    @extend_schema(
        operation_id="entitlements_list",
        tags=["Entitlements"],
        summary="List what a customer's plans let them do",
        description="The entitlements of the price plans and the features of the plans that they are on, merged over "
        "their subscriptions: on if it is on in any, limits added up, else what the newest says. Paused "
        "subscriptions give nothing. Whether credits suffice for usage is another question: "
        "`…/entitlements/{metric_key}` of the customer.",
        parameters=_WHO,
        responses=EntitlementsOutput,
        extensions={"x-problems": ["customer-not-found", "ambiguous-customer"]},
        examples=[OpenApiExample("A limit", {**_WHOSE, "data": [_LIMIT]}, response_only=True)],
    )
    def get(self, request: ApiRequest) -> Response:
        customer = _customer(request, _query(request, CustomerQuery))
        found = entitlements_read(customer=customer, now=request.now)
        return Response({**_whose(customer, request), "data": [_shown(each) for each in found]})


class EntitlementCheck(Endpoint):
    resource = "entitlements"
    bucket = "entitlements"
    serializer_class = CheckOutput

    @extend_schema(
        operation_id="entitlements_check",
        tags=["Entitlements"],
        summary="Check one feature of a customer's plans",
        description="A limit that is bound to a metric says what was used in the present period of the newest "
        "subscription that gives it, and is exceeded once usage has reached it. A feature that none of their plans "
        "names is not an error: they are not entitled to it.",
        parameters=[*_WHO, _WHICH],
        responses=CheckOutput,
        extensions={"x-problems": ["customer-not-found", "ambiguous-customer"]},
        examples=[OpenApiExample("A limit", {**_WHOSE, **_LIMIT}, response_only=True)],
    )
    def get(self, request: ApiRequest) -> Response:
        query = _query(request, CheckQuery)
        customer = _customer(request, query)
        found = entitlement_check(customer=customer, key=query["feature_key"], now=request.now)
        return Response({**_whose(customer, request), **_shown(found)})


def _query(request: ApiRequest, serializer: type[StrictSerializer]) -> dict[str, Any]:
    reading = serializer(data=request.query_params.dict())
    reading.is_valid(raise_exception=True)
    query: dict[str, Any] = reading.validated_data
    return query


def _customer(request: ApiRequest, query: dict[str, Any]) -> Customer:
    by, reference = customer_named_in(query)
    return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)


def _whose(customer: Customer, request: ApiRequest) -> dict[str, Any]:
    return {
        "customer_id": customer.public_id,
        "external_customer_id": customer.external_id,
        "as_of": instant_text(request.now),
    }


def _shown(found: Entitlement) -> dict[str, Any]:
    feature = found.feature
    counted = found.sources[0] if found.current_usage is not None else None
    return {
        "feature_key": found.key,
        "type": feature.type if feature else None,
        "entitled": found.is_entitled,
        "value": feature.value if feature else None,
        "limit": _number(feature.limit) if feature else None,
        "metric_key": feature.metric_key if feature else None,
        "current_usage": _number(found.current_usage),
        "remaining": _number(found.remaining),
        "exceeded": found.is_exceeded,
        "period_start": instant_text(counted.current_period_start) if counted else None,
        "period_end": instant_text(counted.current_period_end) if counted else None,
        "sources": [_source(subscription) for subscription in found.sources],
    }


def _number(value: Decimal | None) -> int | str | None:
    return None if value is None else units_shown(value)


def _source(subscription: Subscription) -> dict[str, Any]:
    return {
        "subscription_id": subscription.public_id,
        "plan_id": plan_shown(subscription.variant),
        "plan_version": price_plan_shown(subscription.variant)["price_plan_version"],
    }
