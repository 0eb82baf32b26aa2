"""`/v1/invoices/{id}/explain`: from a line to its arithmetic, and on to the events that it counts."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.invoices import LINE_EXAMPLE, LineOutput, invoice_named
from billing.models import Invoice, InvoiceLine
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from metering.api.events import EventShow
from metering.models import UsageEvent
from metering.selectors.billed_events import line_events
from subscriptions.errors import InvoiceLineNotFound

#: What rating writes into a line's details beside the charge and its arithmetic.
_SHARE: Final = ("fee", "seconds", "of_seconds", "minimum", "for_the_part", "other_lines")
_LINE: Final[dict[str, Any]] = {
    **LINE_EXAMPLE,
    "rated": 10000,
    "charge": {
        "key": "0",
        "metric_key": "api_calls",
        "pricing_model": "tiered",
        "tiers": [{"up_to": 1000000, "unit_price": "0.0001"}, {"up_to": None, "unit_price": "0.00005"}],
        "pay_in": "arrears",
    },
    "breakdown": [
        {
            "kind": "tier",
            "tier": 1,
            "from": "0",
            "up_to": "1000000",
            "quantity": "1000000",
            "unit_price": "0.0001",
            "amount": "100",
        }
    ],
    "share": None,
    "usage": {
        "aggregation": "sum",
        "event_count": 1200,
        "late_event_count": 0,
        "snapshot": "712:712:",
        "events": "/v1/invoices/inv_01k7x3s9c5ef6v8b2n4m6q8r0t/lines/iln_01k7x3s9c5ef6v8b2n4m6q8r0t/events",
    },
}
_EVENT: Final[dict[str, Any]] = {
    "id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "status": "recorded",
    "customer_id": "cust_acme",
    "external_customer_id": None,
    "metric_key": "api_calls",
    "value": 1000,
    "timestamp": "2026-04-03T09:30:00Z",
    "received_at": "2026-04-03T09:30:01.5Z",
    "idempotency_key": "req_7f8a9b2c3d4e5f6a",
    "properties": {},
    "metadata": {},
    "cost": 0,
    "metering_rule_id": None,
    "ledger_entry_id": None,
    "void": None,
    "effect": "counted",
}


class LineExplained(LineOutput):
    """A line with its arithmetic. `amount = rated - billed_before`; `breakdown` is exact, in major units, unrounded."""

    rated = serializers.IntegerField(
        source="rated_minor", help_text="What its charge comes to in this period."
    )
    charge = serializers.SerializerMethodField(help_text="As the price plan says it; null for a minimum.")
    breakdown = serializers.SerializerMethodField()
    share = serializers.SerializerMethodField(help_text="Of a fee or a minimum: the seconds that it is for.")
    usage = serializers.SerializerMethodField(
        help_text="How the quantity came about, and where its events are."
    )

    def get_charge(self, line: InvoiceLine) -> dict[str, Any] | None:
        charge: dict[str, Any] | None = line.details.get("charge")
        return charge

    def get_breakdown(self, line: InvoiceLine) -> list[dict[str, Any]]:
        return list(line.details.get("breakdown", []))

    def get_share(self, line: InvoiceLine) -> dict[str, Any] | None:
        return {name: line.details[name] for name in _SHARE if name in line.details} or None

    def get_usage(self, line: InvoiceLine) -> dict[str, Any] | None:
        if not line.metric_key:
            return None
        return {
            "aggregation": line.details.get("aggregation"),
            "event_count": line.details.get("events"),
            "late_event_count": line.details.get("late_events"),
            "snapshot": line.snapshot,
            "events": f"/v1/invoices/{line.invoice.public_id}/lines/{line.public_id}/events",
        }


class InvoiceExplained(serializers.Serializer[Invoice]):
    invoice_id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    currency = serializers.CharField()
    subtotal = serializers.IntegerField(source="subtotal_minor")
    lines = LineExplained(many=True)


class LineEvent(EventShow):
    """An event of a line."""

    effect = serializers.ChoiceField(
        choices=("counted", "taken_back"),
        help_text="`taken_back`: the line before counted it, and it has been voided since.",
    )


class InvoiceExplain(Endpoint):
    resource = "invoices"
    serializer_class = InvoiceExplained

    @extend_schema(
        operation_id="invoices_explain",
        tags=["invoices"],
        summary="Explain an invoice",
        description="Line by line: the charge as it was agreed, tier by tier what it comes to, the share of a fee, and "
        "where the events are that were counted. All as it was when the invoice was made.",
        responses=InvoiceExplained,
        extensions={"x-problems": ["invoice-not-found"]},
        examples=[
            OpenApiExample(
                "A line of usage",
                {
                    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "customer_id": "cust_acme",
                    "currency": "usd",
                    "subtotal": 10000,
                    "lines": [_LINE],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, invoice_id: str) -> Response:
        return Response(InvoiceExplained(invoice_named(request, invoice_id)).data)


class InvoiceLineEvents(Endpoint):
    resource = "invoices"
    queryset = UsageEvent.objects.none()
    serializer_class = LineEvent

    @extend_schema(
        operation_id="invoices_line_events",
        tags=["invoices"],
        summary="List the events that a line counts, newest first",
        description="Of a line that goes on from an earlier invoice's: those by which it differs from that one. An "
        "event that was told of later is not among them, but on the line that corrects this one.",
        responses=LineEvent(many=True),
        extensions={"x-problems": ["invoice-not-found", "invoice-line-not-found"]},
        examples=[OpenApiExample("An event", _EVENT, response_only=True)],
    )
    def get(self, request: ApiRequest, invoice_id: str, line_id: str) -> Response:
        invoice = invoice_named(request, invoice_id)
        lines = InvoiceLine.objects.select_related("invoice", "previous")
        line = lines.filter(invoice=invoice, id=object_id("iln", line_id)).first()
        if line is None:
            raise InvoiceLineNotFound
        if not line.metric_key:
            return self.page(UsageEvent.objects.none(), LineEvent)
        return self.page(line_events(line), LineEvent)
