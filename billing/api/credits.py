"""A customer's credits: balance, grant, adjust, history."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.movements import (
    ENTRY_EXAMPLE,
    GRANTED_EXAMPLE,
    TAKEN_BACK_EXAMPLE,
    EntryOutput,
    MovementOutput,
    movement_document,
)
from billing.models import BlockSource, CreditAccount, CreditBlock, EntryKind, LedgerEntry
from billing.selectors.effects import block_of_key, entry_of_key
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
            GRANTED_EXAMPLE,
            OpenApiExample(
                "Welcome credits",
                {"credits": 100000, "source": "promotional", "reason": "Quickstart welcome credits"},
                request_only=True,
            ),
        ],
    )
    @idempotent(family="grant", required=True, again="grant_again", made="grant_made")
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
        return Response(movement_document(customer, movement), status=201)

    def grant_made(self, request: ApiRequest, key: str) -> UUID | None:
        return block_of_key(environment_id=request.caller.environment_id, cause_type="grant", key=key)

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
        return Response(movement_document(customer, movement, duplicate=True), status=201)


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
            TAKEN_BACK_EXAMPLE,
            OpenApiExample("Take back", {"delta": -5000, "reason": "granted twice"}, request_only=True),
        ],
    )
    @idempotent(family="adjust", required=True, again="adjust_again", made="adjust_made")
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
        return Response(movement_document(customer, movement), status=201)

    def adjust_made(self, request: ApiRequest, key: str) -> UUID | None:
        return entry_of_key(environment_id=request.caller.environment_id, source_type="adjustment", key=key)

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
        return Response(movement_document(customer, movement, duplicate=True), status=201)


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
        examples=[ENTRY_EXAMPLE],
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
