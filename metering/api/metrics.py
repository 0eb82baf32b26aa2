"""/v1/billable-metrics, and the same under /v1/metrics."""

from __future__ import annotations

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField, UnitsField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from metering.models import Aggregation, BillableMetric, MetricStatus
from metering.selectors.metrics import metric_get, metrics_list
from metering.services.metrics import metric_create, metric_update


class MetricCreate(StrictSerializer):
    key = TextField(max_length=64, help_text="Permanent: events, rules and prices name the metric by it.")
    name = TextField(max_length=200, required=False, help_text="The key, if left out.")
    description = TextField(max_length=1000, required=False, allow_null=True, allow_blank=True)
    aggregation = serializers.ChoiceField(choices=Aggregation.choices, required=False)
    aggregation_property = TextField(
        max_length=255, required=False, allow_null=True, help_text="What unique_count counts the values of."
    )
    percentile = UnitsField(required=False, allow_null=True, help_text="From 0 to 100, for percentile.")


class MetricUpdate(StrictSerializer):
    name = TextField(max_length=200, required=False)
    description = TextField(max_length=1000, required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(choices=MetricStatus.choices, required=False)


class MetricShow(serializers.Serializer[BillableMetric]):
    id = serializers.CharField(source="public_id")
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    aggregation = serializers.ChoiceField(choices=Aggregation.choices)
    aggregation_property = serializers.CharField(allow_null=True)
    percentile = UnitsField(allow_null=True)
    status = serializers.ChoiceField(choices=MetricStatus.choices)
    created_at = InstantField()
    updated_at = InstantField()


class MetricFilter(filters.FilterSet):
    key = filters.CharFilter(label="Exactly this key.")
    status = filters.ChoiceFilter(choices=MetricStatus.choices)
    aggregation = filters.ChoiceFilter(choices=Aggregation.choices)

    class Meta:
        model = BillableMetric
        fields: tuple[str, ...] = ()


_SHOWN = OpenApiExample(
    "A metric",
    value={
        "id": "met_01jr2zk5q8e4f9t6v7w8x9y0za",
        "key": "api_call",
        "name": "API Call",
        "description": "One API request.",
        "aggregation": "sum",
        "aggregation_property": None,
        "percentile": None,
        "status": "active",
        "created_at": "2026-04-03T09:00:00Z",
        "updated_at": "2026-04-03T09:00:00Z",
    },
    response_only=True,
)
_ALIASES = {"/v1/metrics": "_by_short_path"}


class Metrics(Endpoint):
    resource = "catalog"
    aliases = _ALIASES
    filterset_class = MetricFilter
    queryset = BillableMetric.objects.none()
    serializer_class = MetricShow

    @extend_schema(
        operation_id="billable_metrics_list",
        tags=["Metrics"],
        summary="List metrics",
        responses=MetricShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(metrics_list(), MetricShow)

    @extend_schema(
        operation_id="billable_metrics_create",
        tags=["Metrics"],
        summary="Create a metric",
        description=(
            "Something that is counted. What it costs in credits is said by a metering rule, what it costs "
            "in money by a charge of a price plan; `aggregation` says how a period adds up on an invoice."
        ),
        request=MetricCreate,
        responses={201: MetricShow},
        examples=[
            _SHOWN,
            OpenApiExample(
                "API calls",
                value={"key": "api_call", "name": "API Call", "description": "One API request."},
                request_only=True,
            ),
            OpenApiExample(
                "Active users",
                value={
                    "key": "active_users",
                    "name": "Active users",
                    "aggregation": "unique_count",
                    "aggregation_property": "user_id",
                },
                request_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        wish = self.read(MetricCreate)
        metric = metric_create(
            caller=request.caller,
            key=wish["key"],
            name=wish.get("name", wish["key"]),
            description=wish.get("description") or "",
            aggregation=wish.get("aggregation", Aggregation.SUM),
            aggregation_property=wish.get("aggregation_property"),
            percentile=wish.get("percentile"),
            now=request.now,
        )
        return Response(MetricShow(metric).data, status=201)


class MetricDetail(Endpoint):
    resource = "catalog"
    aliases = _ALIASES
    serializer_class = MetricShow

    @extend_schema(
        operation_id="billable_metrics_get",
        tags=["Metrics"],
        summary="Get a metric",
        responses=MetricShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, key: str) -> Response:
        return Response(MetricShow(metric_get(key=key)).data)

    @extend_schema(
        operation_id="billable_metrics_update",
        tags=["Metrics"],
        summary="Change a metric",
        description=(
            "Its name, description and status. An `inactive` metric takes no new events; its history stays. "
            "Key and aggregation are permanent."
        ),
        request=MetricUpdate,
        responses=MetricShow,
        examples=[_SHOWN, OpenApiExample("Retire", value={"status": "inactive"}, request_only=True)],
    )
    @idempotent()
    def patch(self, request: ApiRequest, key: str) -> Response:
        wish = self.read(MetricUpdate, partial=True)
        if "description" in wish:
            wish["description"] = wish["description"] or ""
        metric = metric_update(caller=request.caller, key=key, now=request.now, **wish)
        return Response(MetricShow(metric).data)
