"""/v1/metering-rules/preview: prices tried out on hypothetical units, or on what was really used."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictSerializer,
    TextField,
    TypeIdField,
    UnitsField,
)
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import FieldError, ValidationFailed
from customers.kernel.clock import system_now
from customers.services.customers import customer_resolve
from metering.api.rules import Prices
from metering.engine.definitions import MEMBERS
from metering.engine.pricing import Line
from metering.services.previews import PricedEvent, price_preview
from metering.services.replays import ReplayAsked, replay_start


class ReplayOf(StrictSerializer):
    """Whose usage, received when."""

    to = InstantField(required=False, help_text="Not included; now without it.")
    customer_id = TextField(max_length=255, required=False, allow_null=True)
    external_customer_id = TextField(max_length=255, required=False, allow_null=True)
    plan_variant_id = TypeIdField("pvr", required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # A word of Python's own cannot be an attribute.
        return {"from": InstantField(), **super().get_fields()}


class PreviewAsked(Prices):
    units = serializers.ListField(
        child=UnitsField(above=Decimal(0)),
        min_length=1,
        max_length=100,
        required=False,
        help_text="Events, one after the other.",
    )
    billable_metric_key = TextField(max_length=64, required=False, help_text="With `replay`.")
    replay = ReplayOf(required=False, help_text="Instead of `units`.")
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


_PRICES: dict[str, Any] = {
    "total_cost": 12500000,
    "events": [
        {
            "units": 15000,
            "cycle_units": 0,
            "cost": 12500000,
            "lines": [
                {"kind": "tier", "tier": 1, "units": 10000, "unit_cost": 1000, "amount": 10000000},
                {"kind": "tier", "tier": 2, "units": 5000, "unit_cost": 500, "amount": 2500000},
            ],
        }
    ],
}
_REPLAY: dict[str, Any] = {
    **JOB_EXAMPLE,
    "state": "done",
    "progress": {"done": 1200, "total": 1200},
    "result": {
        "billable_metric_key": "api_call",
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-04-01T00:00:00Z",
        "events": 1200,
        "before": 1200000,
        "after": 900000,
        "difference": -300000,
        "kept_events": 0,
        "unpriced_events": 0,
        "reproduced": True,
        "mismatched_events": 0,
        "customers": 7,
        "winners": 5,
        "losers": 0,
        "unchanged": 2,
    },
    "finished_at": "2026-04-03T09:00:01Z",
}


class RulePreview(Endpoint):
    resource = "catalog"
    serializer_class = PreviewShow

    @extend_schema(
        operation_id="metering_rules_preview",
        tags=["Metering rules"],
        summary="Try prices out",
        description=(
            "Changes nothing. With `units`: what events of one cycle would cost by these prices, with the arithmetic "
            "(200). With `replay`: real usage of the past is priced again, by these prices from `from` on, as if the "
            "rule had been made then for everyone, for a customer or for a plan variant. That is a job (202): done at "
            "once when there is little to replay, else see its progress at `/v1/jobs/{id}`, and each customer's "
            "before, after and difference at `/v1/jobs/{id}/results`. `reproduced` says that the rules in force came "
            "to exactly what was charged; `kept_events` were priced by a more specific rule and count as charged; "
            "`unpriced_events` have no rate in the draft and count nothing."
        ),
        request=PreviewAsked,
        responses={200: PreviewShow, 202: JobShow},
        extensions={"x-problems": ["invalid-metering-rule", "metric-not-found", "no-rate-for-property"]},
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
                "March under a new price",
                value={
                    "billable_metric_key": "api_call",
                    "cost_type": "per_unit",
                    "unit_cost": 750,
                    "replay": {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"},
                },
                request_only=True,
            ),
            OpenApiExample("Prices", value=_PRICES, response_only=True, status_codes=["200"]),
            OpenApiExample("A replay", value=_REPLAY, response_only=True, status_codes=["202"]),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        wish = self.read(PreviewAsked)
        if ("units" in wish) == ("replay" in wish):
            raise _needed("units", "Give either units or replay.")
        return self._replayed(request, wish) if "replay" in wish else self._priced(wish)

    def _priced(self, wish: dict[str, Any]) -> Response:
        events = price_preview(
            definition={name: wish[name] for name in MEMBERS if name in wish},
            units=wish["units"],
            cycle_units=wish.get("cycle_units", Decimal(0)),
            charged_mc=wish.get("cycle_cost", 0),
            properties=wish.get("properties"),
        )
        total_mc = sum(event.breakdown.cost_mc for event in events)
        return Response(PreviewShow({"total_cost": total_mc, "events": events}).data)

    def _replayed(self, request: ApiRequest, wish: dict[str, Any]) -> Response:
        replay = wish["replay"]
        if "billable_metric_key" not in wish:
            raise _needed("billable_metric_key", "Say which metric's usage is to be replayed.")
        job = replay_start(
            caller=request.caller,
            asked=ReplayAsked(
                definition={name: wish[name] for name in MEMBERS if name in wish},
                metric_key=wish["billable_metric_key"],
                begin=replay["from"],
                end=replay.get("to", request.now),
                customer_id=_customer_id(request, replay),
                plan_variant_id=replay.get("plan_variant_id"),
            ),
            now=request.now,
            clock=system_now,
        )
        return Response(JobShow(job).data, status=202)


def _customer_id(request: ApiRequest, replay: dict[str, Any]) -> UUID | None:
    if replay.get("customer_id") is None and replay.get("external_customer_id") is None:
        return None
    by, reference = customer_named_in(replay)
    return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference).id


def _needed(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "required", message)])
