"""`POST …/credits/refund`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.movements import BALANCE_EXAMPLE, MovementOutput, movement_document
from billing.errors import EventNotDebited
from billing.models import CreditAccount, CreditBlock, LedgerEntry
from billing.selectors.effects import entry_of_key
from billing.selectors.sources import debit_of_event
from billing.services.credits import Movement, credits_refund
from customers.api.fields import McField, MetadataField, StrictSerializer, TextField, TypeIdField
from customers.api.idempotency import idempotent, key_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.ids import typeid
from customers.models import Customer
from customers.services.customers import By, customer_resolve


class RefundInput(StrictSerializer):
    """Exactly one of `ledger_entry_id` and `event_id` says what is given back."""

    ledger_entry_id = TypeIdField("led", required=False, allow_null=True, default=None)
    event_id = TypeIdField("evt", required=False, allow_null=True, default=None)
    amount = McField(
        min_value=1,
        required=False,
        allow_null=True,
        default=None,
        help_text="In mc; left out: all that is left.",
    )
    reason = TextField(max_length=1000, allow_blank=True, default="")
    metadata = MetadataField(required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["ledger_entry_id"] is None) == (attrs["event_id"] is None):
            raise serializers.ValidationError(
                {"ledger_entry_id": ["Give either ledger_entry_id or event_id."]}, code="ambiguous"
            )
        return attrs


class RefundOutput(MovementOutput):
    """`block` is the (first) new one, if something could not go back where it came from."""

    refunded_entry_id = serializers.CharField()
    amount = serializers.IntegerField()


class CreditsRefund(Endpoint):
    resource = "credits"

    @extend_schema(
        operation_id="credits_refund",
        tags=["credits"],
        summary="Give a debit back",
        description="All or part of it, never more than was debited: back into the blocks it came from, last burned "
        "first restored. What came out of a block that is dead by now repays overdraft or becomes a new block "
        "`refund`, which lives as long as the dead one had, at its priority and for its metrics.",
        request=RefundInput,
        responses={201: RefundOutput},
        examples=[
            OpenApiExample(
                "A failed generation",
                {"event_id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t", "reason": "The generation failed"},
                request_only=True,
            ),
            OpenApiExample(
                "Refunded",
                {
                    "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r1t",
                    "block": None,
                    **BALANCE_EXAMPLE,
                    "duplicate": False,
                    "refunded_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "amount": 1000,
                },
                response_only=True,
            ),
        ],
    )
    @idempotent(family="refund", required=True, again="refund_again", made="refund_made")
    def post(self, request: ApiRequest, by: By, reference: str) -> Response:
        given = self.read(RefundInput)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        entry_id = given["ledger_entry_id"] or debit_of_event(
            customer_id=customer.id, event_id=given["event_id"]
        )
        if entry_id is None:
            raise EventNotDebited
        movement = credits_refund(
            caller=request.caller,
            customer=customer,
            entry_id=entry_id,
            amount_mc=given["amount"],
            reason=given["reason"],
            metadata=given["metadata"],
            idempotency_key=key_of(request),
            now=request.now,
        )
        assert movement.entry_id is not None  # noqa: S101 - a refund is booked at once
        request.idempotency_effect(movement.entry_id)
        return Response(_document(customer, movement, entry_id), status=201)

    def refund_made(self, request: ApiRequest, key: str) -> UUID | None:
        return entry_of_key(environment_id=request.caller.environment_id, source_type="refund", key=key)

    def refund_again(self, request: ApiRequest, effect_id: UUID, by: By, reference: str) -> Response:
        entry = LedgerEntry.objects.get(environment_id=request.caller.environment_id, id=effect_id)
        assert entry.reverses_id is not None  # noqa: S101 - a refund reverses a debit
        movement = Movement(
            account=CreditAccount.objects.get(customer_id=entry.account_id),
            amount_mc=entry.amount_mc,
            entry_id=entry.id,
            block=_first_new_block(entry),
        )
        customer = Customer.objects.get(id=entry.account_id)
        return Response(_document(customer, movement, entry.reverses_id, duplicate=True), status=201)


def _first_new_block(entry: LedgerEntry) -> CreditBlock | None:
    made = CreditBlock.objects.filter(cause_id=entry.source_id, account_id=entry.account_id).in_bulk()
    return next((made[block_id] for block_id in entry.block_ids if block_id in made), None)


def _document(
    customer: Customer, movement: Movement, refunded_entry_id: UUID, *, duplicate: bool = False
) -> dict[str, Any]:
    return {
        **movement_document(customer, movement, duplicate=duplicate),
        "refunded_entry_id": typeid("led", refunded_entry_id),
        "amount": movement.amount_mc,
    }
