"""`/v1/payments`: every attempt to have an invoice paid."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.gateways.payments.provider import Told
from billing.models import Payment, PaymentStatus
from billing.services.payment_outcomes import sandbox_settle
from billing.services.payments import payment_get, payment_refresh
from customers.api.fields import InstantField, StrictSerializer
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.ids import typeid_parse
from customers.services.customers import customer_find_id

PAYMENT_ID_EXAMPLE: Final = "pay_01k7x3s9c5ef6v8b2n4m6q8r0t"


class PaymentOutput(serializers.Serializer[Payment]):
    id = serializers.CharField(source="public_id")
    invoice_id = serializers.CharField(source="invoice.public_id")
    invoice_number = serializers.CharField(source="invoice.number")
    customer_id = serializers.CharField(source="invoice.customer.public_id")
    attempt = serializers.IntegerField(help_text="1, 2, … of this invoice.")
    provider = serializers.CharField()
    status = serializers.ChoiceField(choices=PaymentStatus.choices)
    amount = serializers.IntegerField(source="amount_minor")
    amount_refunded = serializers.IntegerField(source="refunded_minor")
    currency = serializers.CharField()
    payment_intent_id = serializers.CharField(source="provider_payment_id", allow_null=True)
    action_url = serializers.CharField(help_text="Where the payer confirms it, while it requires that.")
    failure_code = serializers.CharField()
    failure_message = serializers.CharField()
    created_at = InstantField()
    settled_at = InstantField(allow_null=True)


class PaymentFilter(filters.FilterSet):  # type: ignore[misc, unused-ignore] # untyped in every release so far
    status = filters.ChoiceFilter(choices=PaymentStatus.choices)
    provider = filters.CharFilter(label="Exactly this provider.")
    invoice_id = filters.CharFilter(label="Of this invoice.", method="of_invoice")
    customer_id = filters.CharFilter(label="Of this customer's invoices.", method="of_customer")

    class Meta:
        model = Payment
        fields: tuple[str, ...] = ()

    def of_invoice(self, payments: QuerySet[Payment], name: str, value: str) -> QuerySet[Payment]:
        found = typeid_parse("inv", value)
        return payments.filter(invoice_id=found) if found else payments.none()

    def of_customer(self, payments: QuerySet[Payment], name: str, value: str) -> QuerySet[Payment]:
        environment_id = self.request.caller.environment_id
        found = customer_find_id(environment_id=environment_id, by="id", reference=value)
        return payments.filter(invoice__customer_id=found) if found else payments.none()


_SHOWN: Final = OpenApiExample(
    "A payment",
    {
        "id": PAYMENT_ID_EXAMPLE,
        "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "invoice_number": "INV-000042",
        "customer_id": "cust_acme",
        "attempt": 1,
        "provider": "stripe",
        "status": "succeeded",
        "amount": 14900,
        "amount_refunded": 0,
        "currency": "usd",
        "payment_intent_id": "pi_3Nx8kStripe123456",
        "action_url": "",
        "failure_code": "",
        "failure_message": "",
        "created_at": "2026-04-03T09:45:00Z",
        "settled_at": "2026-04-03T09:45:00Z",
    },
    response_only=True,
)


class Payments(Endpoint):
    resource = "invoices"
    filterset_class = PaymentFilter
    queryset = Payment.objects.none()
    serializer_class = PaymentOutput

    @extend_schema(
        operation_id="payments_list",
        tags=["payments"],
        summary="List payments, newest first",
        description="Every attempt, also those that failed.",
        responses=PaymentOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        payments = Payment.objects.filter(environment_id=request.caller.environment_id)
        return self.page(payments.select_related("invoice__customer"), PaymentOutput)


class PaymentDetail(Endpoint):
    resource = "invoices"
    serializer_class = PaymentOutput

    @extend_schema(
        operation_id="payments_get",
        tags=["payments"],
        summary="Get a payment",
        responses=PaymentOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, payment_id: str) -> Response:
        payment = payment_get(
            environment_id=request.caller.environment_id, payment_id=object_id("pay", payment_id)
        )
        return Response(PaymentOutput(payment).data)


class PaymentRefresh(Endpoint):
    resource = "invoices"
    serializer_class = PaymentOutput

    @extend_schema(
        operation_id="payments_refresh",
        tags=["payments"],
        summary="Ask the provider what has become of a payment",
        description="Purser does so by itself for every payment that is not settled; this does it at once. One that "
        "has succeeded or failed is answered as it is.",
        request=None,
        responses=PaymentOutput,
        examples=[_SHOWN],
    )
    @idempotent(stepwise=True)
    def post(self, request: ApiRequest, payment_id: str) -> Response:
        payment = object_id("pay", payment_id)
        payment_refresh(caller=request.caller, payment_id=payment, now=request.now)
        shown = payment_get(environment_id=request.caller.environment_id, payment_id=payment)
        return Response(PaymentOutput(shown).data)


class SimulateInput(StrictSerializer):
    outcome = serializers.ChoiceField(choices=("succeeded", "failed"))


class PaymentSimulate(Endpoint):
    resource = "invoices"
    serializer_class = PaymentOutput

    @extend_schema(
        operation_id="payments_simulate",
        tags=["payments"],
        summary="Say what becomes of a sandbox payment",
        description="Plays the payer who confirms, or the bank that takes its time: a payment of the sandbox that is "
        "`requires_action` or `processing` succeeds or fails. Payments of real providers refuse it.",
        request=SimulateInput,
        responses=PaymentOutput,
        examples=[OpenApiExample("Confirmed", {"outcome": "succeeded"}, request_only=True), _SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, payment_id: str) -> Response:
        given: dict[str, Any] = self.read(SimulateInput)
        payment = sandbox_settle(
            caller=request.caller,
            payment_id=object_id("pay", payment_id),
            told=Told(given["outcome"]),
            now=request.now,
        )
        return Response(PaymentOutput(payment).data)
