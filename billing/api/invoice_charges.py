"""`POST /v1/invoices/{id}/charge`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.payments import PAYMENT_ID_EXAMPLE
from billing.models import Payment, PaymentStatus
from billing.services.payments import Wish, invoice_charge
from customers.api.fields import InstantField, StrictSerializer, TextField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.instants import instant_text


class ChargeInput(StrictSerializer):
    payment_method_id = TextField(
        max_length=255,
        required=False,
        help_text="Instead of the customer's `payment_method_id`, or what the provider has saved for them.",
    )
    return_url = serializers.URLField(
        max_length=2000,
        required=False,
        help_text="Where the payer comes back to after confirming the payment (3-D Secure).",
    )
    reason = TextField(max_length=1000, required=False, allow_blank=True)


class ChargeOutput(serializers.Serializer[Payment]):
    """`payment_id`, `payment_status` and `action_url` are there while the payment waits."""

    invoice_id = serializers.CharField()
    status = serializers.ChoiceField(choices=("paid", "processing"), help_text="Of the invoice.")
    payment_intent_id = serializers.CharField()
    charged_at = InstantField(allow_null=True)
    payment_id = serializers.CharField(required=False)
    payment_status = serializers.ChoiceField(choices=("processing", "requires_action"), required=False)
    action_url = serializers.CharField(required=False, help_text="Where the payer confirms it.")


_PAID = OpenApiExample(
    "Paid",
    {
        "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "status": "paid",
        "payment_intent_id": "pi_3Nx8kStripe123456",
        "charged_at": "2026-04-03T09:45:00Z",
    },
    response_only=True,
)
_WAITS = OpenApiExample(
    "The payer has to confirm it",
    {
        "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "status": "processing",
        "payment_intent_id": "pi_3Nx8kStripe123456",
        "charged_at": None,
        "payment_id": PAYMENT_ID_EXAMPLE,
        "payment_status": "requires_action",
        "action_url": "https://hooks.stripe.com/redirect/authenticate/src_1",
    },
    response_only=True,
)


class InvoiceCharge(Endpoint):
    resource = "invoices"

    @extend_schema(
        operation_id="invoices_charge",
        tags=["payments"],
        summary="Charge an invoice",
        description="What is due on it, by the customer's payment provider: Stripe, or in a test environment without a "
        "Stripe account the sandbox. At most one payment of an invoice is ever under way or has succeeded, so it is "
        "safe to call again: a payment whose outcome is not known yet is asked about, never repeated.\n\n"
        "A declined payment is a 402, and the invoice stays open; it is then tried again by itself on the days that "
        "`dunning_days` of the invoice settings say. A payment that the payer has to confirm leaves the invoice "
        "`processing`; the provider's webhook settles it. Without an answer from the provider it is a 503.",
        request=ChargeInput,
        responses=ChargeOutput,
        examples=[
            OpenApiExample("As the customer usually pays", {}, request_only=True),
            OpenApiExample("By another card", {"payment_method_id": "pm_1NvRj2"}, request_only=True),
            _PAID,
            _WAITS,
        ],
    )
    @idempotent(family="charge", stepwise=True)
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        given = self.read(ChargeInput)
        wish = Wish(**given)
        payment = invoice_charge(
            caller=request.caller, invoice_id=object_id("inv", invoice_id), wish=wish, now=request.now
        )
        return Response(_document(payment))


def _document(payment: Payment) -> dict[str, Any]:
    is_paid = payment.status == PaymentStatus.SUCCEEDED
    settled = payment.settled_at
    shown: dict[str, Any] = {
        "invoice_id": payment.invoice.public_id,
        "status": "paid" if is_paid else "processing",
        "payment_intent_id": payment.provider_payment_id,
        "charged_at": instant_text(settled) if settled else None,
    }
    if is_paid:
        return shown
    return {
        **shown,
        "payment_id": payment.public_id,
        "payment_status": payment.status,
        "action_url": payment.action_url,
    }
