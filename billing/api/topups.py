"""`POST /v1/topup/grant` and a customer's topups."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.fields import CurrencyField
from billing.api.movements import (
    BALANCE_EXAMPLE,
    BLOCK_EXAMPLE,
    MovementOutput,
    movement_document,
)
from billing.models import Topup
from billing.services.topups import ToppedUp, topup_found, topup_grant, topup_terms
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.ids import typeid
from customers.models import Customer
from customers.services.customers import By, customer_ensure, customer_resolve


class TopupInput(StrictSerializer):
    """Exactly one of `customer_id` and `external_customer_id` names the customer."""

    customer_id = TextField(required=False, allow_null=True)
    external_customer_id = TextField(required=False, allow_null=True)
    credits = McField(min_value=1, required=False, help_text="In mc; left out: the package's.")
    bonus_credits = McField(required=False, help_text="On top, in mc, in the same block.")
    price_paid = McField(required=False, allow_null=True, help_text="In the currency's minor unit.")
    currency = CurrencyField(required=False, allow_null=True)
    package_id = TypeIdField("pkg", required=False, allow_null=True)
    external_payment_id = TextField(max_length=255, required=False, allow_null=True)
    topup_request_id = TypeIdField("tpr", required=False, allow_null=True)
    expires_at = InstantField(required=False, allow_null=True)
    priority = StrictIntegerField(min_value=0, max_value=100, required=False)
    metadata = MetadataField(required=False, default=dict)


#: What may override a package's terms, and what it is called inside.
_TERMS = {
    "credits": "credits_mc",
    "bonus_credits": "bonus_credits_mc",
    "price_paid": "price_paid_minor",
    "currency": "currency",
    "expires_at": "expires_at",
    "priority": "priority",
}


class TopupOutput(serializers.Serializer[Topup]):
    """A topup, as lists show it."""

    topup_id = serializers.CharField(source="public_id")
    credits = serializers.IntegerField(source="credits_mc")
    bonus_credits = serializers.IntegerField(source="bonus_credits_mc")
    price_paid = serializers.IntegerField(source="price_paid_minor", allow_null=True)
    currency = serializers.CharField(allow_null=True)
    package_id = serializers.SerializerMethodField()
    external_payment_id = serializers.CharField(allow_null=True)
    topup_request_id = serializers.SerializerMethodField()
    priority = serializers.IntegerField()
    expires_at = InstantField(allow_null=True)
    metadata = serializers.DictField()
    created_at = InstantField()

    def get_package_id(self, topup: Topup) -> str | None:
        return typeid("pkg", topup.package_id) if topup.package_id else None

    def get_topup_request_id(self, topup: Topup) -> str | None:
        return typeid("tpr", topup.topup_request_id) if topup.topup_request_id else None


class ToppedUpOutput(TopupOutput, MovementOutput):
    """The topup, its block, and the balances after it."""


def _asked(request: ApiRequest) -> str:
    """What makes two calls with one key the same: not `expires_at`, which callers reckon anew at each retry."""
    data = cast(dict[str, Any], request.data)
    names = (
        "customer_id",
        "external_customer_id",
        "credits",
        "bonus_credits",
        "package_id",
        "external_payment_id",
    )
    return json.dumps([data.get(name) for name in names], default=str)


_TOPUP_EXAMPLE: dict[str, Any] = {
    "topup_id": "top_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "credits": 100000,
    "bonus_credits": 0,
    "price_paid": 1000,
    "currency": "usd",
    "package_id": None,
    "external_payment_id": "pi_123",
    "topup_request_id": None,
    "priority": 0,
    "expires_at": None,
    "metadata": {},
    "created_at": "2026-04-03T09:01:00Z",
}


class TopupGrant(Endpoint):
    resource = "credits"

    @extend_schema(
        operation_id="topup_grant",
        tags=["topups"],
        summary="Grant credits that were bought",
        description="Makes one block `topup`. A package's terms are inherited and may be overridden one by one. The "
        "same `external_payment_id` again answers with the topup it made and `duplicate: true`, whatever its "
        "Idempotency-Key. An unknown customer is created. A retry may carry another `expires_at`: the first counts.",
        request=TopupInput,
        responses={201: ToppedUpOutput},
        examples=[
            OpenApiExample(
                "Paid by card",
                {
                    "external_customer_id": "user_quickstart",
                    "credits": 100000,
                    "price_paid": 1000,
                    "currency": "usd",
                    "external_payment_id": "pi_123",
                },
                request_only=True,
            ),
            OpenApiExample(
                "Topped up",
                {
                    **_TOPUP_EXAMPLE,
                    "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "block": {**BLOCK_EXAMPLE, "source": "topup", "price_paid": 1000, "currency": "usd"},
                    **BALANCE_EXAMPLE,
                    "duplicate": False,
                },
                response_only=True,
            ),
        ],
    )
    @idempotent(family="topup", required=True, again="topup_again", made="topup_made", fingerprint=_asked)
    def post(self, request: ApiRequest) -> Response:
        given = self.read(TopupInput)
        by, reference = customer_named_in(given)
        caller = request.caller
        terms = topup_terms(
            environment_id=caller.environment_id,
            package_id=given.get("package_id"),
            said={inside: given[name] for name, inside in _TERMS.items() if name in given},
            now=request.now,
        )
        customer_id, _ = customer_ensure(
            environment_id=caller.environment_id, by=by, reference=reference, now=request.now
        )
        topped_up = topup_grant(
            caller=caller,
            customer=Customer.objects.get(id=customer_id),
            terms=terms,
            external_payment_id=given.get("external_payment_id"),
            topup_request_id=given.get("topup_request_id"),
            metadata=given["metadata"],
            idempotency_key=key_of(request),
            now=request.now,
        )
        request.idempotency_effect(topped_up.topup.id)
        return _answer(topped_up)

    def topup_made(self, request: ApiRequest, key: str) -> UUID | None:
        topups = Topup.objects.filter(environment_id=request.caller.environment_id, idempotency_key=key)
        return topups.values_list("id", flat=True).first()

    def topup_again(self, request: ApiRequest, effect_id: UUID) -> Response:
        return _answer(topup_found(Topup.objects.get(id=effect_id)))


def _answer(topped_up: ToppedUp) -> Response:
    topup = topped_up.topup
    customer = Customer.objects.get(id=topup.account_id)
    movement = movement_document(customer, topped_up.movement, duplicate=topped_up.duplicate)
    return Response({**TopupOutput(topup).data, **movement}, status=201)


class CustomerTopups(Endpoint):
    """`GET …/topups`."""

    resource = "credits"
    queryset = Topup.objects.none()
    serializer_class = TopupOutput

    @extend_schema(
        operation_id="topups_list",
        tags=["topups"],
        summary="List a customer's topups, newest first",
        responses=TopupOutput(many=True),
        examples=[OpenApiExample("A topup", _TOPUP_EXAMPLE, response_only=True)],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        return self.page(Topup.objects.filter(account_id=customer.id), TopupOutput)
