"""`POST /v1/credits/convert`: a plan bought with credits, as one operation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.movements import BALANCE_EXAMPLE, BLOCK_EXAMPLE, MovementOutput, movement_document
from billing.models import BlockSource, Conversion, CreditAccount, CreditBlock, LedgerEntry
from billing.selectors.effects import entry_of_key
from billing.services.credits import Movement, credits_convert
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.models import Customer
from customers.services.customers import customer_resolve


class ConvertInput(StrictSerializer):
    """Exactly one of `customer_id` and `external_customer_id` names the customer."""

    customer_id = TextField(required=False, allow_null=True)
    external_customer_id = TextField(required=False, allow_null=True)
    price = McField(help_text="What is debited, in mc.")
    credits = McField(min_value=1, help_text="What is granted for it, in mc.")
    expires_at = InstantField(required=False, allow_null=True, default=None)
    # Above what wallets have, so that the plan burns first.
    priority = StrictIntegerField(min_value=0, max_value=100, default=10)
    metric_keys = serializers.ListField(
        child=TextField(max_length=64),
        min_length=1,
        max_length=50,
        required=False,
        allow_null=True,
        default=None,
    )
    source = serializers.ChoiceField(choices=BlockSource.choices, default=BlockSource.PLAN_GRANT)  # type: ignore[assignment]
    reason = TextField(max_length=1000, allow_blank=True, default="")
    metadata = MetadataField(required=False, default=dict)


class ConvertOutput(MovementOutput):
    price = serializers.IntegerField()
    credits = serializers.IntegerField()


class CreditsConvert(Endpoint):
    resource = "credits"

    @extend_schema(
        operation_id="credits_convert",
        tags=["credits"],
        summary="Debit a price and grant what it buys, both or neither",
        description="One ledger entry, so there is nothing between the two halves to retry. The price comes from "
        "credits that any metric may burn. With the policy `block` and less than the price: 402, nothing moves.",
        request=ConvertInput,
        responses={201: ConvertOutput},
        examples=[
            OpenApiExample(
                "An hour's plan",
                {
                    "external_customer_id": "user42:companion7",
                    "price": 100000,
                    "credits": 50000,
                    "expires_at": "2026-04-13T14:00:00Z",
                    "priority": 10,
                    "metadata": {"plan_type": "1hr", "order_id": "order_98765"},
                },
                request_only=True,
            ),
            OpenApiExample(
                "Converted",
                {
                    "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "block": {**BLOCK_EXAMPLE, "source": "plan_grant", "priority": 10},
                    **BALANCE_EXAMPLE,
                    "duplicate": False,
                    "price": 100000,
                    "credits": 50000,
                },
                response_only=True,
            ),
        ],
    )
    @idempotent(family="convert", required=True, again="convert_again", made="convert_made")
    def post(self, request: ApiRequest) -> Response:
        given = self.read(ConvertInput)
        by, reference = customer_named_in(given)
        for name in ("customer_id", "external_customer_id"):
            given.pop(name, None)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        price_mc, credits_mc = given.pop("price"), given.pop("credits")
        movement = credits_convert(
            caller=request.caller,
            customer=customer,
            price_mc=price_mc,
            credits_mc=credits_mc,
            idempotency_key=key_of(request),
            now=request.now,
            **given,
        )
        assert movement.entry_id is not None  # noqa: S101 - a conversion is booked at once
        request.idempotency_effect(movement.entry_id)
        return Response(_document(customer, movement, price_mc, credits_mc), status=201)

    def convert_made(self, request: ApiRequest, key: str) -> UUID | None:
        return entry_of_key(environment_id=request.caller.environment_id, source_type="conversion", key=key)

    def convert_again(self, request: ApiRequest, effect_id: UUID) -> Response:
        entry = LedgerEntry.objects.get(environment_id=request.caller.environment_id, id=effect_id)
        conversion = Conversion.objects.get(id=entry.source_id)
        movement = Movement(
            account=CreditAccount.objects.get(customer_id=entry.account_id),
            amount_mc=entry.amount_mc,
            entry_id=entry.id,
            block=CreditBlock.objects.get(cause_id=entry.source_id, account_id=entry.account_id),
        )
        customer = Customer.objects.get(id=entry.account_id)
        document = _document(customer, movement, conversion.price_mc, conversion.credits_mc, duplicate=True)
        return Response(document, status=201)


def _document(
    customer: Customer, movement: Movement, price_mc: int, credits_mc: int, *, duplicate: bool = False
) -> dict[str, Any]:
    shown = movement_document(customer, movement, duplicate=duplicate)
    return {**shown, "price": price_mc, "credits": credits_mc}
