"""`GET …/credits/explain/{ledger_entry_id}`: why was I charged?"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.blocks import block_document
from billing.api.movements import BLOCK_EXAMPLE, ENTRY_EXAMPLE, BlockOutput, EntryOutput
from billing.api.topups import TopupOutput
from billing.errors import LedgerEntryNotFound
from billing.selectors.explanations import Explanation, entry_explained
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.ids import typeid_parse
from customers.kernel.instants import instant_text
from customers.services.customers import By, customer_resolve

#: What the owners of causes may add; always there, so that readers need not look for members.
_TOLD: Final = {"event": None, "reservation": None, "pricing": None, "grant_run": None}


class ActorOutput(serializers.Serializer[Any]):
    type = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField(allow_null=True)


class PartOutput(serializers.Serializer[Any]):
    amount = serializers.IntegerField()
    block = BlockOutput(allow_null=True)


class RefundPartOutput(serializers.Serializer[Any]):
    ledger_entry_id = serializers.CharField()
    amount = serializers.IntegerField()
    reason = serializers.CharField()
    occurred_at = serializers.DateTimeField()


class ExplanationOutput(serializers.Serializer[Any]):
    """`blocks` shows what was taken from or put into each, null being overdraft."""

    entry = EntryOutput()
    actor = ActorOutput()
    blocks = PartOutput(many=True)
    event = serializers.DictField(allow_null=True)
    pricing = serializers.DictField(allow_null=True)
    reservation = serializers.DictField(allow_null=True)
    grant_run = serializers.DictField(allow_null=True)
    topup = TopupOutput(allow_null=True)
    conversion = serializers.DictField(allow_null=True)
    refunded_amount = serializers.IntegerField()
    refunds = RefundPartOutput(many=True)


_DEBIT_EXAMPLE: dict[str, Any] = {
    **ENTRY_EXAMPLE.value,
    "kind": "debit",
    "amount": -1000,
    "allocations": [{"block_id": BLOCK_EXAMPLE["id"], "amount": -1000}],
    "source": {"type": "event", "id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t"},
}


class CreditsExplain(Endpoint):
    resource = "credits"
    serializer_class = ExplanationOutput

    @extend_schema(
        operation_id="credits_explain",
        tags=["credits"],
        summary="Explain a ledger entry",
        description="What caused it and who asked; what it took from which block; for usage the event, the rule "
        "version and the arithmetic of its price, whose lines add up to the cost exactly; for a plan's grant, and what "
        "rolled over with it, the subscription and the interval.",
        responses=ExplanationOutput,
        examples=[
            OpenApiExample(
                "A usage event",
                {
                    "entry": _DEBIT_EXAMPLE,
                    "actor": {
                        "type": "key",
                        "id": "key_01jzgd2kq8e5rtx3m9v7c4b6na",
                        "name": "First key",
                    },
                    "blocks": [{"amount": -1000, "block": BLOCK_EXAMPLE}],
                    "event": {
                        "id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t",
                        "billable_metric_key": "api_call",
                        "units": 1,
                        "occurred_at": "2026-04-03T09:01:00Z",
                        "received_at": "2026-04-03T09:01:00Z",
                        "idempotency_key": "quickstart-event-1",
                        "properties": {},
                        "metadata": {},
                    },
                    "pricing": {
                        "metering_rule_id": "rul_01k7x3s9c5ef6v8b2n4m6q8r0t",
                        "version": 1,
                        "rule": {"cost_type": "per_unit", "unit_cost": 1000},
                        "units": 1,
                        "cycle_units_before": None,
                        "cycle_charged_before": None,
                        "lines": [
                            {"kind": "units", "tier": None, "units": 1, "unit_cost": 1000, "amount": 1000}
                        ],
                        "cost": 1000,
                    },
                    "reservation": None,
                    "grant_run": None,
                    "topup": None,
                    "conversion": None,
                    "refunded_amount": 0,
                    "refunds": [],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, by: By, reference: str, ledger_entry_id: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        entry_id = typeid_parse("led", ledger_entry_id)
        found = entry_explained(customer_id=customer.id, entry_id=entry_id) if entry_id else None
        if found is None:
            raise LedgerEntryNotFound
        return Response(_document(found))


def _document(found: Explanation) -> dict[str, Any]:
    entry = found.entry
    kind, _, reference = entry.actor.partition(":")
    return {
        "entry": EntryOutput(entry).data,
        "actor": {"type": kind, "id": reference, "name": found.key_name},
        "blocks": [
            {"amount": amount, "block": block_document(block) if block else None}
            for block, amount in found.parts
        ],
        **_TOLD,
        **found.told,
        "topup": TopupOutput(found.topup).data if found.topup else None,
        "conversion": {"price": found.conversion.price_mc, "credits": found.conversion.credits_mc}
        if found.conversion
        else None,
        "refunded_amount": sum(refund.amount_mc for refund in found.refunds),
        "refunds": [
            {
                "ledger_entry_id": refund.public_id,
                "amount": refund.amount_mc,
                "reason": refund.reason,
                "occurred_at": instant_text(refund.occurred_at),
            }
            for refund in found.refunds
        ],
    }
