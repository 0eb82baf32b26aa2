"""/v1/metering-rules/preview."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import McField, MetadataField, UnitsField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from metering.api.rules import Prices
from metering.engine.definitions import MEMBERS
from metering.engine.pricing import Line
from metering.services.previews import PricedEvent, price_preview


class PreviewAsked(Prices):
    units = serializers.ListField(
        child=UnitsField(above=Decimal(0)),
        min_length=1,
        max_length=100,
        help_text="Events, one after the other.",
    )
    cycle_units = UnitsField(minimum=Decimal(0), required=False, help_text="Units of the cycle before them.")
    cycle_cost = McField(required=False, help_text="mc charged in the cycle before them; volume prices ask.")
    properties = MetadataField(required=False, help_text="Of each event, for rates by a property.")


class LineShow(serializers.Serializer[Line]):
    kind = serializers.CharField()
    tier = serializers.IntegerField(allow_null=True)
    units = UnitsField(allow_null=True)
    unit_cost = UnitsField(allow_null=True)
    amount = UnitsField(help_text="mc, exact; the lines of an event add up to its cost.")


class PreviewedEventShow(serializers.Serializer[PricedEvent]):
    units = UnitsField()
    cycle_units = UnitsField(help_text="Units of the cycle before this event.")
    cost = serializers.IntegerField(source="breakdown.cost_mc")
    lines = LineShow(source="breakdown.lines", many=True)


class PreviewShow(serializers.Serializer[Any]):
    total_cost = serializers.IntegerField()
    events = PreviewedEventShow(many=True)


class RulePreview(Endpoint):
    resource = "catalog"
    serializer_class = PreviewShow

    @extend_schema(
        operation_id="metering_rules_preview",
        tags=["Metering rules"],
        summary="Price hypothetical usage",
        description="What events of one cycle would cost by these prices, with the arithmetic. Changes nothing.",
        request=PreviewAsked,
        responses=PreviewShow,
        examples=[
            OpenApiExample(
                "15,000 calls at once",
                value={
                    "cost_type": "tiered",
                    "tiers": [{"up_to": 10000, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}],
                    "units": [15000],
                },
                request_only=True,
            ),
            OpenApiExample(
                "10,000 at 1,000 mc and 5,000 at 500 mc",
                value={
                    "total_cost": 12500000,
                    "events": [
                        {
                            "units": 15000,
                            "cycle_units": 0,
                            "cost": 12500000,
                            "lines": [
                                {
                                    "kind": "tier",
                                    "tier": 1,
                                    "units": 10000,
                                    "unit_cost": 1000,
                                    "amount": 10000000,
                                },
                                {
                                    "kind": "tier",
                                    "tier": 2,
                                    "units": 5000,
                                    "unit_cost": 500,
                                    "amount": 2500000,
                                },
                            ],
                        }
                    ],
                },
                response_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        wish = self.read(PreviewAsked)
        events = price_preview(
            definition={name: wish[name] for name in MEMBERS if name in wish},
            units=wish["units"],
            cycle_units=wish.get("cycle_units", Decimal(0)),
            charged_mc=wish.get("cycle_cost", 0),
            properties=wish.get("properties"),
        )
        total_mc = sum(event.breakdown.cost_mc for event in events)
        return Response(PreviewShow({"total_cost": total_mc, "events": events}).data)
