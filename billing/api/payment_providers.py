"""`/v1/payment-providers/stripe`: the tenant's own account there."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import ProviderAccount
from billing.services.provider_accounts import (
    provider_account_delete,
    provider_account_get,
    provider_account_set,
)
from customers.api.fields import InstantField, StrictSerializer, TextField
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint


class StripeInput(StrictSerializer):
    secret_key = TextField(
        max_length=255, help_text="A secret or restricted key, of the mode that the environment has."
    )
    webhook_secret = TextField(max_length=255, help_text="Of the webhook endpoint that you made at Stripe.")


class ProviderOutput(serializers.Serializer[ProviderAccount]):
    """The secrets are stored encrypted and never shown."""

    provider = serializers.CharField()
    key_hint = serializers.CharField(help_text="The last four characters of the key.")
    webhook_url = serializers.SerializerMethodField(help_text="Where Stripe is to send its events.")
    created_at = InstantField()
    updated_at = InstantField()

    def get_webhook_url(self, account: ProviderAccount) -> str:
        return f"{settings.PURSER_URL}/v1/providers/stripe/webhook"


_ASKED = OpenApiExample(
    "Connect Stripe", {"secret_key": "sk_test_51N…", "webhook_secret": "whsec_8fA…"}, request_only=True
)
_SHOWN = OpenApiExample(
    "Connected",
    {
        "provider": "stripe",
        "key_hint": "4Tzq",
        "webhook_url": "https://billing.example.com/v1/providers/stripe/webhook",
        "created_at": "2026-04-03T09:01:00Z",
        "updated_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)


class StripeAccount(Endpoint):
    # Whoever can set it decides where the money goes.
    resource = "keys"
    serializer_class = ProviderOutput

    @extend_schema(
        operation_id="payment_providers_stripe_get",
        tags=["payments"],
        summary="Show which Stripe account is connected",
        responses=ProviderOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        account = provider_account_get(environment_id=request.caller.environment_id)
        return Response(ProviderOutput(account).data)

    @extend_schema(
        operation_id="payment_providers_stripe_set",
        tags=["payments"],
        summary="Connect a Stripe account",
        description="Its customers' saved payment methods are charged from now on. Have Stripe send its events "
        "`payment_intent.*` and `refund.*` to `webhook_url`. The keys are stored encrypted and never shown again.",
        request=StripeInput,
        responses=ProviderOutput,
        examples=[_ASKED, _SHOWN],
    )
    def put(self, request: ApiRequest) -> Response:
        given: dict[str, Any] = self.read(StripeInput)
        account = provider_account_set(caller=request.caller, **given, now=request.now)
        return Response(ProviderOutput(account).data)

    @extend_schema(
        operation_id="payment_providers_stripe_delete",
        tags=["payments"],
        summary="Disconnect the Stripe account",
        description="Its keys are forgotten. Payments that are under way stay so until it is connected again.",
        responses={204: None},
    )
    def delete(self, request: ApiRequest) -> Response:
        provider_account_delete(caller=request.caller, now=request.now)
        return Response(status=204)
