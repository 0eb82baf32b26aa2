"""A customer's credits: balance, grant, adjust, history."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.blocks import block_document
from billing.models import BlockSource, CreditAccount, CreditBlock, EntryKind, LedgerEntry
from billing.selectors.entries import entries_of
from billing.services.credits import Movement, credits_adjust, credits_grant
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import FieldError, ValidationFailed
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_parse
from customers.models import Customer
from customers.services.customers import By, customer_ensure, customer_resolve


class GrantInput(StrictSerializer):
    credits = McField(min_value=1, help_text="How much, in mc.")
    source = serializers.ChoiceField(choices=BlockSource.choices, default=BlockSource.MANUAL)  # type: ignore[assignment]
    reason = TextField(max_length=1000, allow_blank=True, default="")
    priority = StrictIntegerField(min_value=0, max_value=100, default=0)
    expires_at = InstantField(required=False, allow_null=True, default=None)
    effective_at = InstantField(required=False, allow_null=True, default=None)
    metric_keys = serializers.ListField(
        child=TextField(max_length=64),
        min_length=1,
        max_length=50,
        required=False,
        allow_null=True,
        default=None,
    )
    metadata = MetadataField(required=False, default=dict)


class AdjustInput(StrictSerializer):
    delta = StrictIntegerField(min_value=-AMOUNT_MAX, max_value=AMOUNT_MAX, help_text="In mc, not 0.")
    reason = TextField(max_length=1000, allow_blank=True, default="")
    metadata = MetadataField(required=False, default=dict)

    def validate_delta(self, value: int) -> int:
        if value == 0:
            raise serializers.ValidationError("Must not be 0.", code="zero")
        return value


class BlockOutput(serializers.Serializer[Any]):
    """For the documentation; `billing.api.blocks` renders it."""

    id = serializers.CharField()
    original_amount = serializers.IntegerField()
    remaining_amount = serializers.IntegerField()
    status = serializers.CharField()
    held_amount = serializers.IntegerField()
    priority = serializers.IntegerField()
    effective_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    source = serializers.ChoiceField(choices=BlockSource.choices)  # type: ignore[assignment]
    reason = serializers.CharField()
    price_paid = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    metric_keys = serializers.ListField(child=serializers.CharField(), allow_null=True)
    metadata = serializers.DictField()
    created_at = serializers.DateTimeField()


class BalanceOutput(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField(allow_null=True)
    balance = serializers.IntegerField()
    reserved_balance = serializers.IntegerField()
    effective_balance = serializers.IntegerField()


class MovementOutput(BalanceOutput):
    ledger_entry_id = serializers.CharField(allow_null=True)
    block = BlockOutput(allow_null=True)
    duplicate = serializers.BooleanField()


class EntryOutput(serializers.Serializer[LedgerEntry]):
    """One movement, as history shows it."""

    id = serializers.CharField(source="public_id")
    sequence = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=EntryKind.choices)
    amount = serializers.IntegerField(source="amount_mc")
    allocations = serializers.SerializerMethodField()
    balance_after = serializers.IntegerField(source="balance_after_mc")
    effective_after = serializers.IntegerField(source="effective_after_mc")
    source = serializers.SerializerMethodField()  # type: ignore[assignment]
    reverses = serializers.SerializerMethodField()
    actor = serializers.CharField()
    reason = serializers.CharField()
    idempotency_key = serializers.CharField(allow_null=True)
    request_id = serializers.CharField()
    metadata = serializers.SerializerMethodField()
    occurred_at = InstantField()
    created_at = InstantField()

    def get_allocations(self, entry: LedgerEntry) -> list[dict[str, Any]]:
        return [
            {"block_id": typeid("blk", block_id) if block_id else None, "amount": amount}
            for block_id, amount in zip(entry.block_ids, entry.block_amounts, strict=True)
        ]

    def get_source(self, entry: LedgerEntry) -> dict[str, str]:
        return {"type": entry.source_type, "id": source_text(entry.source_type, entry.source_id)}

    def get_reverses(self, entry: LedgerEntry) -> str | None:
        return typeid("led", entry.reverses_id) if entry.reverses_id else None

    def get_metadata(self, entry: LedgerEntry) -> dict[str, Any]:
        return entry.metadata or {}


_SOURCE_PREFIXES = {"event": "evt", "reservation": "res", "block": "blk", "grant": "blk", "topup": "top"}


def source_text(source_type: str, source_id: UUID) -> str:
    """The id of what caused an entry, as the API shows it."""
    prefix = _SOURCE_PREFIXES.get(source_type)
    return typeid(prefix, source_id) if prefix else str(source_id)


_BLOCK_EXAMPLE: dict[str, Any] = {
    "id": "blk_01jr2zk5q8e4f9t6v7w8x9y0za",
    "original_amount": 100000,
    "remaining_amount": 100000,
    "status": "live",
    "held_amount": 0,
    "priority": 0,
    "effective_at": "2026-04-03T09:01:00Z",
    "expires_at": None,
    "source": "promotional",
    "reason": "Quickstart welcome credits",
    "price_paid": None,
    "currency": None,
    "metric_keys": None,
    "metadata": {},
    "created_at": "2026-04-03T09:01:00Z",
}
_BALANCE_EXAMPLE: dict[str, Any] = {
    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_customer_id": "user_quickstart",
    "balance": 100000,
    "reserved_balance": 0,
    "effective_balance": 100000,
}
_GRANTED = OpenApiExample(
    "Granted",
    {
        "ledger_entry_id": "led_01jr2zk5q9f3v8x2m4n6p8q0rs",
        "block": _BLOCK_EXAMPLE,
        **_BALANCE_EXAMPLE,
        "duplicate": False,
    },
    response_only=True,
)
_TAKEN_BACK = OpenApiExample(
    "Taken back",
    {
        "ledger_entry_id": "led_01jr2zk5q9f3v8x2m4n6p8q0rs",
        "block": None,
        **_BALANCE_EXAMPLE,
        "balance": 95000,
        "effective_balance": 95000,
        "duplicate": False,
    },
    response_only=True,
)
_ENTRY = OpenApiExample(
    "A grant",
    {
        "id": "led_01jr2zk5q9f3v8x2m4n6p8q0rs",
        "sequence": 1,
        "kind": "grant",
        "amount": 100000,
        "allocations": [{"block_id": "blk_01jr2zk5q8e4f9t6v7w8x9y0za", "amount": 100000}],
        "balance_after": 100000,
        "effective_after": 100000,
        "source": {"type": "grant", "id": "blk_01jr2zk5q8e4f9t6v7w8x9y0za"},
        "reverses": None,
        "actor": "key:key_01jzgd2kq8e5rtx3m9v7c4b6na",
        "reason": "Quickstart welcome credits",
        "idempotency_key": "quickstart-grant-1",
        "request_id": "req_01jzgd2kq8e5rtx3m9v7c4b6na",
        "metadata": {},
        "occurred_at": "2026-04-03T09:01:00Z",
        "created_at": "2026-04-03T09:01:00Z",
    },
    response_only=True,
)


class CreditsGrant(Endpoint):
    """`POST …/credits/grant`."""

    resource = "credits"

    @extend_schema(
        operation_id="credits_grant",
        tags=["credits"],
        summary="Give a customer credits",
        description="Makes one block, whose terms never change. Overdraft is repaid first, by the same ledger entry. "
        "An unknown customer is created.",
        request=GrantInput,
        responses={201: MovementOutput},
        examples=[
            _GRANTED,
            OpenApiExample(
                "Welcome credits",
                {"credits": 100000, "source": "promotional", "reason": "Quickstart welcome credits"},
                request_only=True,
            ),
        ],
    )
    @idempotent(family="grant", required=True, again="grant_again")
    def post(self, request: ApiRequest, by: By, reference: str) -> Response:
        given = self.read(GrantInput)
        customer_id, _ = customer_ensure(
            environment_id=request.caller.environment_id, by=by, reference=reference, now=request.now
        )
        customer = Customer.objects.get(id=customer_id)
        movement = credits_grant(
            caller=request.caller,
            customer=customer,
            credits_mc=given.pop("credits"),
            idempotency_key=key_of(request),
            now=request.now,
            **given,
        )
        assert movement.block is not None  # noqa: S101 - a grant makes one
        request.idempotency_effect(movement.block.id)
        return Response(_movement_document(customer, movement), status=201)

    def grant_again(self, request: ApiRequest, effect_id: UUID, by: By, reference: str) -> Response:
        block = CreditBlock.objects.get(id=effect_id)
        entry = LedgerEntry.objects.filter(
            account_id=block.account_id, kind=EntryKind.GRANT, source_id=block.cause_id
        )
        movement = Movement(
            account=CreditAccount.objects.get(customer_id=block.account_id),
            amount_mc=block.original_mc,
            entry_id=entry.values_list("id", flat=True).first(),
            block=block,
        )
        customer = Customer.objects.get(id=block.account_id)
        return Response(_movement_document(customer, movement, duplicate=True), status=201)


class CreditsAdjust(Endpoint):
    """`POST …/credits/adjust`."""

    resource = "credits"

    @extend_schema(
        operation_id="credits_adjust",
        tags=["credits"],
        summary="Correct a balance",
        description="A positive `delta` repays overdraft, the rest becomes a block `adjustment`. A negative one drains "
        "blocks in burn order; with the policy `block` it is refused with 402 when less is available.",
        request=AdjustInput,
        responses={201: MovementOutput},
        extensions={"x-problems": ["customer-not-found", "insufficient-credits"]},
        examples=[
            _TAKEN_BACK,
            OpenApiExample("Take back", {"delta": -5000, "reason": "granted twice"}, request_only=True),
        ],
    )
    @idempotent(family="adjust", required=True, again="adjust_again")
    def post(self, request: ApiRequest, by: By, reference: str) -> Response:
        given = self.read(AdjustInput)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        movement = credits_adjust(
            caller=request.caller,
            customer=customer,
            delta_mc=given.pop("delta"),
            idempotency_key=key_of(request),
            now=request.now,
            **given,
        )
        assert movement.entry_id is not None  # noqa: S101 - an adjustment is booked at once
        request.idempotency_effect(movement.entry_id)
        return Response(_movement_document(customer, movement), status=201)

    def adjust_again(self, request: ApiRequest, effect_id: UUID, by: By, reference: str) -> Response:
        entry = LedgerEntry.objects.get(environment_id=request.caller.environment_id, id=effect_id)
        block = CreditBlock.objects.filter(cause_id=entry.source_id, account_id=entry.account_id).first()
        movement = Movement(
            account=CreditAccount.objects.get(customer_id=entry.account_id),
            amount_mc=entry.amount_mc,
            entry_id=entry.id,
            block=block,
        )
        customer = Customer.objects.get(id=entry.account_id)
        return Response(_movement_document(customer, movement, duplicate=True), status=201)


class CreditsHistory(Endpoint):
    """`GET …/credits/history`."""

    resource = "credits"
    cursor_field = "sequence"
    queryset = LedgerEntry.objects.none()

    @extend_schema(
        operation_id="credits_history",
        tags=["credits"],
        summary="List a customer's ledger entries, newest first",
        parameters=[
            OpenApiParameter("kind", enum=EntryKind.values),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="Entries of this instant and later."),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="Entries before this instant."),
        ],
        responses=EntryOutput(many=True),
        extensions={"x-problems": ["customer-not-found"]},
        examples=[_ENTRY],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        entries = entries_of(
            customer_id=customer.id,
            kind=_kind(request),
            since=_instant(request, "from"),
            until=_instant(request, "to"),
        )
        return self.page(entries, EntryOutput)

    def refuse_unknown_parameters(self) -> None:
        _refuse_unknown(self.request.query_params, {"limit", "cursor", "kind", "from", "to"})


def _movement_document(customer: Customer, movement: Movement, *, duplicate: bool = False) -> dict[str, Any]:
    account = movement.account
    return {
        "ledger_entry_id": typeid("led", movement.entry_id) if movement.entry_id else None,
        "block": block_document(movement.block) if movement.block else None,
        "customer_id": customer.public_id,
        "external_customer_id": customer.external_id,
        "balance": account.balance_mc,
        "reserved_balance": account.reserved_mc,
        "effective_balance": account.effective_mc,
        "duplicate": duplicate,
    }


def _kind(request: ApiRequest) -> str | None:
    kind = request.query_params.get("kind")
    if kind is not None and kind not in EntryKind.values:
        _refuse("kind", f"Must be one of {', '.join(EntryKind.values)}.")
    return kind


def _instant(request: ApiRequest, name: str) -> datetime | None:
    text = request.query_params.get(name)
    instant = instant_parse(text) if text else None
    if text and instant is None:
        _refuse(name, "Must be an instant such as 2026-04-03T09:01:00Z.")
    return instant


def _refuse(name: str, message: str) -> None:
    raise ValidationFailed(errors=[FieldError(name, "invalid", message)])


def _refuse_unknown(given: Any, known: set[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValidationFailed(
            errors=[FieldError(name, "unknown-parameter", "There is no such filter.") for name in unknown]
        )
