"""`GET …/invoice-credit`: money that a customer has with the tenant, for the next invoices."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import CreditBalance, CreditMovement
from customers.api.fields import InstantField
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.ids import typeid
from customers.services.customers import By, customer_resolve


class CreditOutput(serializers.Serializer[CreditBalance]):
    currency = serializers.CharField()
    balance = serializers.IntegerField(source="balance_minor")


class CreditsOutput(serializers.Serializer[Any]):
    """A balance for each currency there ever was credit in."""

    customer_id = serializers.CharField()
    balances = CreditOutput(many=True)


class CreditMovementOutput(serializers.Serializer[CreditMovement]):
    """`applied`: used by an invoice; `carried`: an invoice came to less than nothing; `credited`: a credit note;
    `returned`: an invoice that used it was voided."""

    what = serializers.ChoiceField(choices=("applied", "carried", "credited", "returned"))
    amount = serializers.IntegerField(source="amount_minor")
    balance_after = serializers.IntegerField(source="balance_after_minor")
    currency = serializers.CharField(source="balance.currency")
    invoice_id = serializers.SerializerMethodField()
    credit_note_id = serializers.SerializerMethodField()
    occurred_at = InstantField()

    def get_invoice_id(self, movement: CreditMovement) -> str | None:
        return typeid("inv", movement.invoice_id) if movement.invoice_id else None

    def get_credit_note_id(self, movement: CreditMovement) -> str | None:
        return typeid("cnt", movement.credit_note_id) if movement.credit_note_id else None


class InvoiceCredit(Endpoint):
    resource = "invoices"
    serializer_class = CreditsOutput

    @extend_schema(
        operation_id="invoice_credit_get",
        tags=["invoices"],
        summary="Get a customer's credit for invoices",
        description="Money, not credits: from credit notes and corrections. The next invoices in its currency use it.",
        extensions={"x-problems": ["customer-not-found"]},
        responses=CreditsOutput,
        examples=[
            OpenApiExample(
                "Credit",
                {"customer_id": "cust_acme", "balances": [{"currency": "USD", "balance": 300}]},
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        balances = CreditBalance.objects.filter(customer=customer).order_by("currency")
        document = {"customer_id": customer.public_id, "balances": balances}
        return Response(CreditsOutput(document).data)


class InvoiceCreditMovements(Endpoint):
    resource = "invoices"
    queryset = CreditMovement.objects.none()
    serializer_class = CreditMovementOutput

    @extend_schema(
        operation_id="invoice_credit_movements",
        tags=["invoices"],
        summary="List what moved a customer's credit for invoices, newest first",
        extensions={"x-problems": ["customer-not-found"]},
        responses=CreditMovementOutput(many=True),
        examples=[
            OpenApiExample(
                "Used by an invoice",
                {
                    "what": "applied",
                    "amount": -300,
                    "balance_after": 0,
                    "currency": "USD",
                    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "credit_note_id": None,
                    "occurred_at": "2026-05-01T09:00:00Z",
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        moved = CreditMovement.objects.filter(balance__customer=customer).select_related("balance")
        return self.page(moved, CreditMovementOutput)
