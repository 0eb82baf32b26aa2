"""`/v1/invoice-settings`: how an environment invoices."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import InvoiceSettings
from billing.services.invoice_numbers import invoice_settings
from billing.services.invoice_settings import invoice_settings_update
from customers.api.fields import (
    InstantField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
)
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint

_NUMBER_MAX: Final = 10**12
_DAYS_MAX: Final = 365
_ATTEMPTS_MAX: Final = 10


def _text(length: int) -> TextField:
    return TextField(max_length=length, required=False, allow_blank=True)


class SettingsInput(StrictSerializer):
    number_prefix = _text(20)
    credit_note_prefix = _text(20)
    next_invoice_number = StrictIntegerField(
        min_value=1, max_value=_NUMBER_MAX, required=False, help_text="Only before the first was given."
    )
    next_credit_note_number = StrictIntegerField(
        min_value=1, max_value=_NUMBER_MAX, required=False, help_text="Only before the first was given."
    )
    days_until_due = StrictIntegerField(min_value=0, max_value=_DAYS_MAX, required=False)
    dunning_days = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=_DAYS_MAX),
        max_length=_ATTEMPTS_MAX,
        required=False,
        help_text="Days after each failed charge until it is tried again; after the last the invoice is uncollectible.",
    )
    charges_automatically = StrictBooleanField(
        required=False, help_text="Charge invoices that are made by themselves."
    )
    emails_invoices = StrictBooleanField(
        required=False, help_text="Send invoices that are made by themselves, or in bulk, to the customer."
    )
    seller_name = _text(200)
    seller_address = _text(1000)
    seller_tax_id = _text(64)
    seller_email = serializers.EmailField(max_length=320, required=False, allow_blank=True)
    footer = _text(1000)


class SettingsOutput(serializers.Serializer[InvoiceSettings]):
    number_prefix = serializers.CharField()
    credit_note_prefix = serializers.CharField()
    next_invoice_number = serializers.SerializerMethodField()
    next_credit_note_number = serializers.SerializerMethodField()
    days_until_due = serializers.IntegerField()
    dunning_days = serializers.ListField(child=serializers.IntegerField())
    charges_automatically = serializers.BooleanField()
    emails_invoices = serializers.BooleanField()
    seller_name = serializers.CharField(allow_blank=True)
    seller_address = serializers.CharField(allow_blank=True)
    seller_tax_id = serializers.CharField(allow_blank=True)
    seller_email = serializers.CharField(allow_blank=True)
    footer = serializers.CharField(allow_blank=True)
    updated_at = InstantField()

    def get_next_invoice_number(self, settings: InvoiceSettings) -> int:
        return settings.last_number + 1

    def get_next_credit_note_number(self, settings: InvoiceSettings) -> int:
        return settings.last_credit_note_number + 1


_SHOWN = OpenApiExample(
    "Settings",
    {
        "number_prefix": "INV-",
        "credit_note_prefix": "CN-",
        "next_invoice_number": 43,
        "next_credit_note_number": 8,
        "days_until_due": 14,
        "dunning_days": [3, 5, 7],
        "charges_automatically": True,
        "emails_invoices": False,
        "seller_name": "Example Inc",
        "seller_address": "1 Road\nSpringfield",
        "seller_tax_id": "US-123",
        "seller_email": "billing@example.test",
        "footer": "Thank you.",
        "updated_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)


class InvoiceSettingsShow(Endpoint):
    resource = "invoices"
    serializer_class = SettingsOutput

    @extend_schema(
        operation_id="invoice_settings_get",
        tags=["invoices"],
        summary="Get how invoices are made",
        responses=SettingsOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        settings = invoice_settings(environment_id=request.caller.environment_id, now=request.now)
        return Response(SettingsOutput(settings).data)

    @extend_schema(
        operation_id="invoice_settings_update",
        tags=["invoices"],
        summary="Change how invoices are made",
        description="For invoices to come; those that were issued stay. Only the members that are sent change.",
        request=SettingsInput,
        extensions={"x-problems": ["numbers-given"]},
        responses=SettingsOutput,
        examples=[
            OpenApiExample("Who we are", {"seller_name": "Example Inc"}, request_only=True),
            _SHOWN,
        ],
    )
    @idempotent()
    def patch(self, request: ApiRequest) -> Response:
        terms = _terms(self.read(SettingsInput, partial=True))
        settings = invoice_settings_update(caller=request.caller, terms=terms, now=request.now)
        return Response(SettingsOutput(settings).data)


def _terms(given: dict[str, Any]) -> dict[str, Any]:
    counters = {"next_invoice_number": "last_number", "next_credit_note_number": "last_credit_note_number"}
    return {
        counters.get(name, name): value - 1 if name in counters else value for name, value in given.items()
    }
