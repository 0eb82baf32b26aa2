"""What usage would cost: `/v1/pricing/…` and `/v1/price-plans/{id}/what-if`. Nothing of this writes anything."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.fields import CurrencyField
from billing.models import LineKind
from customers.api.fields import InstantField, StrictIntegerField, StrictSerializer, TextField, UnitsField
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import FieldError, ValidationFailed
from customers.kernel.clock import system_now
from customers.services.customers import customer_resolve
from subscriptions.api.offers import PricePlanIdField
from subscriptions.api.price_plans import ChargesField
from subscriptions.selectors.price_plans import price_plan_version_get
from subscriptions.services.pricing import Priced, PricedLine, pricing_calculate, pricing_preview
from subscriptions.services.what_if import WhatIfAsked, what_if_start

_QUANTITIES_MAX: Final = 100
_LINE: Final[dict[str, Any]] = {
    "kind": "usage",
    "description": "API Calls — tiered usage (1,200,000 calls)",
    "metric_key": "api_calls",
    "quantity": 1200000,
    "amount": 10000,
    "breakdown": [
        {
            "kind": "tier",
            "tier": 1,
            "from": "0",
            "up_to": None,
            "quantity": "1200000",
            "unit_price": "0.0001",
            "amount": "120",
        }
    ],
    "subscription_id": None,
    "plan_id": None,
    "plan_version": None,
}


class CalculateInput(StrictSerializer):
    """Exactly one of `customer_id` and `external_customer_id` names the customer."""

    customer_id = TextField(required=False, allow_null=True)
    external_customer_id = TextField(required=False, allow_null=True)
    period_start = InstantField()
    period_end = InstantField(help_text="Not included.")
    currency = CurrencyField(required=False, allow_null=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes["period_start"] >= attributes["period_end"]:
            message = "Must be after the beginning."
            raise ValidationFailed(errors=[FieldError("period_end", "invalid", message)])
        return attributes


class PreviewInput(StrictSerializer):
    plan_id = PricePlanIdField()
    plan_version = StrictIntegerField(
        min_value=1, required=False, allow_null=True, help_text="The newest without it."
    )
    quantities = serializers.DictField(
        child=UnitsField(), help_text=f"Per metric; at most {_QUANTITIES_MAX}. One that is not named is 0."
    )

    def validate_quantities(self, quantities: dict[str, Any]) -> dict[str, Any]:
        if len(quantities) > _QUANTITIES_MAX:
            raise serializers.ValidationError(f"Must be at most {_QUANTITIES_MAX}.", code="too-many")
        return quantities


class PricedLineOutput(serializers.Serializer[PricedLine]):
    """`amount` is rounded, in minor units; the breakdown is exact, in major units."""

    kind = serializers.ChoiceField(choices=LineKind.choices)
    description = serializers.CharField()
    metric_key = serializers.CharField(allow_null=True)
    quantity = UnitsField()
    amount = serializers.IntegerField(source="amount_minor")
    breakdown = serializers.ListField(child=serializers.DictField())
    subscription_id = serializers.SerializerMethodField()
    plan_id = serializers.SerializerMethodField()
    plan_version = serializers.SerializerMethodField()

    def get_subscription_id(self, line: PricedLine) -> str | None:
        return line.term.subscription.public_id if line.term else None

    def get_plan_id(self, line: PricedLine) -> str | None:
        return line.term.version.price_plan.key if line.term else None

    def get_plan_version(self, line: PricedLine) -> int | None:
        return line.term.version.version if line.term else None


class PricedOutput(serializers.Serializer[Priced]):
    currency = serializers.CharField()
    total_amount = serializers.IntegerField(source="total_minor", help_text="Without tax and credit.")
    line_items = PricedLineOutput(source="lines", many=True)


class WhatIfInput(StrictSerializer):
    """The draft: `charges` (and `minimum`), or a `plan_version`; the newest version without both."""

    to = InstantField(required=False, help_text="Now without it.")
    plan_version = StrictIntegerField(min_value=1, required=False, allow_null=True)
    charges = ChargesField(required=False)
    minimum = UnitsField(required=False, allow_null=True, help_text="Of each period, in major units.")

    def get_fields(self) -> dict[str, Any]:
        # A word of Python's own cannot be an attribute.
        return {"from": InstantField(), **super().get_fields()}


_SHOWN: Final = OpenApiExample(
    "What it costs",
    {"currency": "usd", "total_amount": 10000, "line_items": [_LINE]},
    response_only=True,
)


class PricingCalculate(Endpoint):
    resource = "invoices"
    serializer_class = PricedOutput

    @extend_schema(
        operation_id="pricing_calculate",
        tags=["Price plans"],
        summary="Price a customer's usage of any time",
        description="What the customer used in [period_start, period_end), exactly, on the price plans that held then, "
        "with their fees and minimums, as if that were one billing period. Whether it was invoiced plays no part.",
        request=CalculateInput,
        responses={200: PricedOutput},
        extensions={"x-problems": ["customer-not-found", "nothing-to-bill", "currency-required"]},
        examples=[
            OpenApiExample(
                "April",
                {
                    "customer_id": "cust_acme",
                    "period_start": "2026-04-01T00:00:00Z",
                    "period_end": "2026-05-01T00:00:00Z",
                },
                request_only=True,
            ),
            _SHOWN,
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        given = self.read(CalculateInput)
        by, reference = customer_named_in(given)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        priced = pricing_calculate(
            customer=customer,
            begin=given["period_start"],
            end=given["period_end"],
            currency=given.get("currency"),
        )
        return Response(PricedOutput(priced).data)


class PricingPreview(Endpoint):
    resource = "catalog"
    serializer_class = PricedOutput

    @extend_schema(
        operation_id="pricing_preview",
        tags=["Price plans"],
        summary="Price quantities on a price plan",
        description="What a whole period with these quantities comes to, fees and minimum included.",
        request=PreviewInput,
        responses={200: PricedOutput},
        extensions={"x-problems": ["price-plan-not-found", "amount-too-large"]},
        examples=[
            OpenApiExample(
                "A month of calls",
                {"plan_id": "plan_growth", "quantities": {"api_calls": 1200000}},
                request_only=True,
            ),
            _SHOWN,
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        given = self.read(PreviewInput)
        version = price_plan_version_get(
            environment_id=request.caller.environment_id,
            key=given["plan_id"],
            version=given.get("plan_version"),
        )
        return Response(PricedOutput(pricing_preview(version=version, quantities=given["quantities"])).data)


class PricePlanWhatIf(Endpoint):
    resource = "catalog"
    serializer_class = JobShow

    @extend_schema(
        operation_id="price_plans_what_if",
        tags=["Price plans"],
        summary="Try other prices on a price plan's past",
        description="A job (202), done at once for few customers: all periods of the price plan's customers that ended "
        "in (`from`, `to`] are rated as they were agreed, and again as if the draft had held. A row for each customer "
        "is at `/v1/jobs/{id}/results`: `before`, `after`, `difference`; `invoiced` is what the periods came to on "
        "invoices (null when one has none yet), and `reproduced` whether `before` is exactly that. Changes nothing.",
        request=WhatIfInput,
        responses={202: JobShow},
        extensions={"x-problems": ["price-plan-not-found", "invalid-price-plan"]},
        examples=[
            OpenApiExample(
                "A simpler price",
                {
                    "from": "2026-04-01T00:00:00Z",
                    "to": "2026-07-01T00:00:00Z",
                    "charges": [
                        {"metric_key": "api_calls", "pricing_model": "per_unit", "unit_price": "0.0001"}
                    ],
                },
                request_only=True,
            ),
            OpenApiExample(
                "A job",
                {**JOB_EXAMPLE, "kind": "subscriptions.what_if"},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        given = self.read(WhatIfInput)
        if given.get("charges") is not None and given.get("plan_version") is not None:
            message = "Other charges or another version, not both."
            raise ValidationFailed(errors=[FieldError("charges", "invalid", message)])
        asked = WhatIfAsked(
            price_plan_key=plan_id,
            begin=given["from"],
            end=given.get("to") or request.now,
            version=given.get("plan_version"),
            charges=given.get("charges"),
            minimum=given.get("minimum"),
        )
        job = what_if_start(caller=request.caller, asked=asked, now=request.now, clock=system_now)
        return Response(JobShow(job).data, status=202)
