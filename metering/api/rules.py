"""/v1/metering-rules."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField, TypeIdField
from customers.api.idempotency import idempotent
from customers.api.paths import customer_named
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.ids import typeid, typeid_parse
from customers.services.customers import By, customer_find_id, customer_resolve
from metering.api.rule_fields import PriceField, RatesField, TiersField
from metering.engine.definitions import MEMBERS
from metering.models import CostType, MeteringRule
from metering.selectors.rules import ACTIVE, SCHEDULED, SUPERSEDED, rule_get, rules_list
from metering.services.charge_registry import priced_twice_warnings
from metering.services.rules import rule_create

_STATUSES: Final = ((SCHEDULED, "Scheduled"), (ACTIVE, "Active"), (SUPERSEDED, "Superseded"))


class Prices(StrictSerializer):
    """What a metric costs. The members are read by the pricing engine, which says what belongs together."""

    cost_type = serializers.ChoiceField(choices=CostType.choices, required=False)
    unit_cost = PriceField(required=False, allow_null=True)
    package_size = PriceField(required=False, allow_null=True)
    package_cost = PriceField(required=False, allow_null=True)
    tier_mode = serializers.ChoiceField(choices=("graduated", "volume"), required=False, allow_null=True)
    tiers = TiersField(required=False, allow_null=True)
    minimum_cost = PriceField(required=False, allow_null=True)
    dimension = TextField(max_length=255, required=False, allow_null=True)
    rates = RatesField(required=False, allow_null=True)


class RuleCreate(Prices):
    billable_metric_key = TextField(max_length=64)
    plan_variant_id = TypeIdField("pvr", required=False, allow_null=True)
    customer_id = TextField(max_length=255, required=False, allow_null=True)
    external_customer_id = TextField(max_length=255, required=False, allow_null=True)
    effective_from = InstantField(required=False, allow_null=True)


class RuleShow(Prices):
    id = serializers.CharField(source="public_id")
    billable_metric_key = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(choices=_STATUSES)
    plan_variant_id = serializers.CharField(allow_null=True)
    customer_id = serializers.CharField(allow_null=True)
    external_customer_id = serializers.CharField(allow_null=True)
    effective_from = InstantField()
    effective_until = InstantField(allow_null=True)
    created_at = InstantField()

    def to_representation(self, instance: MeteringRule) -> dict[str, Any]:
        """The prices stand beside the rest, as they were sent; those it does not have are left out."""
        facts: Any = instance
        instant = InstantField().to_representation
        customer, variant_id = instance.customer, instance.plan_variant_id
        return {
            "id": instance.public_id,
            "billable_metric_key": instance.metric.key,
            "version": instance.version,
            "status": facts.status,
            **instance.definition,
            "plan_variant_id": typeid("pvr", variant_id) if variant_id else None,
            "customer_id": customer.public_id if customer else None,
            "external_customer_id": customer.external_id if customer else None,
            "effective_from": instant(instance.effective_from),
            "effective_until": instant(facts.effective_until) if facts.effective_until else None,
            "created_at": instant(instance.created_at),
        }


class RuleMade(RuleShow):
    """With what one should know beside."""

    warnings = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="`priced-twice`: price plans charge the metric as well.",
    )


class RuleFilter(filters.FilterSet):
    billable_metric_key = filters.CharFilter(field_name="metric__key", label="Rules of this metric.")
    status = filters.ChoiceFilter(choices=_STATUSES)
    cost_type = filters.ChoiceFilter(choices=CostType.choices)
    customer_id = filters.CharFilter(method="by_customer", max_length=255)
    external_customer_id = filters.CharFilter(method="by_customer", max_length=255)
    plan_variant_id = filters.CharFilter(method="by_variant", max_length=40)

    class Meta:
        model = MeteringRule
        fields: tuple[str, ...] = ()

    def by_customer(self, queryset: QuerySet[MeteringRule], name: str, value: str) -> QuerySet[MeteringRule]:
        by: By = "id" if name == "customer_id" else "external"
        environment_id = self.request.caller.environment_id
        customer_id = customer_find_id(environment_id=environment_id, by=by, reference=value)
        return queryset.filter(customer_id=customer_id) if customer_id else queryset.none()

    def by_variant(self, queryset: QuerySet[MeteringRule], _name: str, value: str) -> QuerySet[MeteringRule]:
        variant_id = typeid_parse("pvr", value)
        return queryset.filter(plan_variant_id=variant_id) if variant_id else queryset.none()


_SHOWN = OpenApiExample(
    "A rule",
    value={
        "id": "rul_01jr2zm0c4f6t8v2w3x5y7z9ab",
        "billable_metric_key": "api_call",
        "version": 1,
        "status": "active",
        "cost_type": "per_unit",
        "unit_cost": 1000,
        "plan_variant_id": None,
        "customer_id": None,
        "external_customer_id": None,
        "effective_from": "2026-04-03T09:01:00Z",
        "effective_until": None,
        "created_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)
_PER_UNIT = OpenApiExample(
    "One credit per call",
    value={"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 1000},
    request_only=True,
)
_TIERED = OpenApiExample(
    "Cheaper with volume",
    value={
        "billable_metric_key": "api_call",
        "cost_type": "tiered",
        "tiers": [
            {"up_to": 10000, "credit_cost": 1000},
            {"up_to": 100000, "credit_cost": 500},
            {"up_to": None, "credit_cost": 100},
        ],
    },
    request_only=True,
)
_BY_MODEL = OpenApiExample(
    "By model",
    value={
        "billable_metric_key": "tokens",
        "dimension": "model",
        "rates": {
            "large": {"cost_type": "per_unit", "unit_cost": "0.03"},
            "*": {"cost_type": "per_unit", "unit_cost": "0.01"},
        },
    },
    request_only=True,
)


class Rules(Endpoint):
    resource = "catalog"
    filterset_class = RuleFilter
    queryset = MeteringRule.objects.none()
    serializer_class = RuleShow

    @extend_schema(
        operation_id="metering_rules_list",
        tags=["Metering rules"],
        summary="List metering rules",
        description="Every version there was, is and will be, newest first; `status=active` are in effect.",
        responses=RuleShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(rules_list(now=request.now), RuleShow)

    @extend_schema(
        operation_id="metering_rules_create",
        tags=["Metering rules"],
        summary="Set what a metric costs",
        description=(
            "For everyone, for the customers of a plan variant, or for one customer; the most specific rule "
            "wins. A rule never changes: the next one for the same metric and scope takes over at its "
            "`effective_from` (now, or later), and events keep pointing at the version that priced them."
        ),
        request=RuleCreate,
        responses={201: RuleMade},
        examples=[_SHOWN, _PER_UNIT, _TIERED, _BY_MODEL],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        wish = self.read(RuleCreate)
        rule = rule_create(
            caller=request.caller,
            metric_key=wish["billable_metric_key"],
            definition={name: wish[name] for name in MEMBERS if name in wish},
            customer_id=_customer_id(request, wish),
            plan_variant_id=wish.get("plan_variant_id"),
            effective_from=wish.get("effective_from"),
            now=request.now,
        )
        warnings = priced_twice_warnings(
            environment_id=request.caller.environment_id, metric_key=wish["billable_metric_key"]
        )
        shown = RuleShow(rule_get(rule_id=rule.id, now=request.now)).data
        return Response({**shown, **({"warnings": warnings} if warnings else {})}, status=201)


class RuleDetail(Endpoint):
    resource = "catalog"
    serializer_class = RuleShow

    @extend_schema(
        operation_id="metering_rules_get",
        tags=["Metering rules"],
        summary="Get a metering rule",
        responses=RuleShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, rule_id: str) -> Response:
        return Response(RuleShow(rule_get(rule_id=object_id("rul", rule_id), now=request.now)).data)


def _customer_id(request: ApiRequest, wish: dict[str, Any]) -> UUID | None:
    """The inside id of the customer the rule is for; a rule for everyone names none."""
    customer_id, external_id = wish.get("customer_id"), wish.get("external_customer_id")
    if customer_id is None and external_id is None:
        return None
    by, reference = customer_named(customer_id, external_id)
    return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference).id
