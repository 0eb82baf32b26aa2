"""How movements of credits and ledger entries are shown."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

from billing.api.blocks import block_document
from billing.models import BlockSource, EntryKind, LedgerEntry
from billing.services.credits import Movement
from customers.api.fields import InstantField
from customers.kernel.ids import typeid
from customers.models import Customer


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
        return {"type": entry.source_type, "id": entry.source_public_id}

    def get_reverses(self, entry: LedgerEntry) -> str | None:
        return typeid("led", entry.reverses_id) if entry.reverses_id else None

    def get_metadata(self, entry: LedgerEntry) -> dict[str, Any]:
        return entry.metadata or {}


BLOCK_EXAMPLE: dict[str, Any] = {
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
BALANCE_EXAMPLE: dict[str, Any] = {
    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_customer_id": "user_quickstart",
    "balance": 100000,
    "reserved_balance": 0,
    "effective_balance": 100000,
}
GRANTED_EXAMPLE = OpenApiExample(
    "Granted",
    {
        "ledger_entry_id": "led_01jr2zk5q9f3v8x2m4n6p8q0rs",
        "block": BLOCK_EXAMPLE,
        **BALANCE_EXAMPLE,
        "duplicate": False,
    },
    response_only=True,
)
TAKEN_BACK_EXAMPLE = OpenApiExample(
    "Taken back",
    {
        "ledger_entry_id": "led_01jr2zk5q9f3v8x2m4n6p8q0rs",
        "block": None,
        **BALANCE_EXAMPLE,
        "balance": 95000,
        "effective_balance": 95000,
        "duplicate": False,
    },
    response_only=True,
)
ENTRY_EXAMPLE = OpenApiExample(
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


def movement_document(customer: Customer, movement: Movement, *, duplicate: bool = False) -> dict[str, Any]:
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
