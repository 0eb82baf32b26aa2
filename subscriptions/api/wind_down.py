"""`POST …/wind-down`."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import StrictBooleanField, StrictSerializer, TextField
from customers.api.idempotency import idempotent, key_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.models import Customer
from customers.services.customers import By, customer_resolve
from subscriptions.models import WindDown
from subscriptions.services.wind_down import customer_wind_down, wind_down_preview


class WindDownInput(StrictSerializer):
    reason = TextField(max_length=1000, allow_blank=True, default="")
    preview = StrictBooleanField(default=False)


class ReleasedOutput(serializers.Serializer[Any]):
    reservation_id = serializers.CharField()
    amount = serializers.IntegerField()


class WindDownOutput(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField(allow_null=True)
    preview = serializers.BooleanField()
    reservations_released = ReleasedOutput(many=True)
    pending_credits_voided = serializers.IntegerField()
    credits_voided = serializers.IntegerField()
    ledger_entry_id = serializers.CharField(allow_null=True)
    balance = serializers.IntegerField()
    amount_owed = serializers.IntegerField()
    subscriptions_canceled = serializers.ListField(child=serializers.CharField())
    deleted_at = serializers.DateTimeField()
    duplicate = serializers.BooleanField()


class CustomerWindDown(Endpoint):
    resource = "customers"
    serializer_class = WindDownOutput

    @extend_schema(
        operation_id="customers_wind_down",
        tags=["Customers"],
        summary="Wind a customer down",
        description="Cancels their subscription at once, releases their reservations, voids what is left of their "
        "credits (those that would start later too), removes their auto-topup and deletes them; all or nothing. A "
        "negative balance stays, and is told as "
        "`amount_owed`. With `preview` the same is done and undone, and no Idempotency-Key is needed.",
        request=WindDownInput,
        responses=WindDownOutput,
        examples=[
            OpenApiExample("Look first", {"preview": True}, request_only=True),
            OpenApiExample(
                "Wound down",
                {
                    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
                    "external_customer_id": "user_quickstart",
                    "preview": False,
                    "reservations_released": [
                        {"reservation_id": "res_01k7x3s9c5ef6v8b2n4m6q8r0t", "amount": 5000}
                    ],
                    "pending_credits_voided": 0,
                    "credits_voided": 99000,
                    "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "balance": 0,
                    "amount_owed": 0,
                    "subscriptions_canceled": [],
                    "deleted_at": "2026-04-03T09:01:00Z",
                    "duplicate": False,
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: ApiRequest, by: By, reference: str) -> Response:
        given = self.read(WindDownInput)
        if not given["preview"]:
            once: Any = self._wind_down
            return cast(Response, once(request, by=by, reference=reference))
        customer = self._customer(request, by, reference)
        outcome = wind_down_preview(
            caller=request.caller, customer=customer, reason=given["reason"], now=request.now
        )
        return Response(_document(customer, outcome, preview=True))

    # For the API's description: a preview needs no key.
    post.idempotency_required = False  # type: ignore[attr-defined]

    @idempotent(family="wind-down", required=True, again="wound_down_again", made="wound_down")
    def _wind_down(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = self._customer(request, by, reference)
        done = customer_wind_down(
            caller=request.caller,
            customer=customer,
            reason=self.read(WindDownInput)["reason"],
            idempotency_key=key_of(request),
            now=request.now,
        )
        request.idempotency_effect(done.id)
        return Response(_document(customer, done.outcome))

    def wound_down(self, request: ApiRequest, key: str) -> UUID | None:
        done = WindDown.objects.filter(environment_id=request.caller.environment_id, idempotency_key=key)
        return done.values_list("id", flat=True).first()

    def wound_down_again(self, request: ApiRequest, effect_id: UUID, by: By, reference: str) -> Response:
        done = WindDown.objects.select_related("customer").get(id=effect_id)
        return Response(_document(done.customer, done.outcome, duplicate=True))

    def _customer(self, request: ApiRequest, by: By, reference: str) -> Customer:
        return customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)


def _document(
    customer: Customer, outcome: dict[str, Any], *, preview: bool = False, duplicate: bool = False
) -> dict[str, Any]:
    return {
        "customer_id": customer.public_id,
        "external_customer_id": customer.external_id,
        "preview": preview,
        **outcome,
        "duplicate": duplicate,
    }
