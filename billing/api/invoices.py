"""`/v1/invoices/{id}`, its events, and a customer's invoices. What makes invoices is in subscriptions."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.models import Invoice, InvoiceEvent, InvoiceLine, InvoiceSource, InvoiceStatus, LineKind
from billing.selectors.invoices import invoice_get, invoices_shown
from customers.api.fields import InstantField, UnitsField
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text
from customers.services.customers import By, customer_find_id, customer_resolve


class LineOutput(serializers.Serializer[InvoiceLine]):
    """Amounts are in minor units. A line that goes on from an earlier invoice's bills what came since, see
    `billed_before`."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(choices=LineKind.choices)
    description = serializers.CharField()
    quantity = UnitsField()
    amount = serializers.IntegerField(source="amount_minor")
    billed_before = serializers.IntegerField(source="rated_before_minor")
    is_adjustment = serializers.BooleanField(help_text="Bills what came to light after its period's invoice.")
    metric_key = serializers.SerializerMethodField()
    subscription_id = serializers.SerializerMethodField()
    period_start = InstantField()
    period_end = InstantField()

    def get_metric_key(self, line: InvoiceLine) -> str | None:
        return line.metric_key or None

    def get_subscription_id(self, line: InvoiceLine) -> str | None:
        return typeid("sub", line.subscription_id) if line.subscription_id else None


class PartyOutput(serializers.Serializer[Any]):
    """Somebody as they were when the invoice was issued."""

    name = serializers.CharField(allow_null=True)
    email = serializers.CharField(allow_null=True)
    address = serializers.CharField(allow_null=True)
    tax_id = serializers.CharField(allow_null=True)


class InvoiceOutput(serializers.Serializer[Invoice]):
    """An invoice; `total_amount = subtotal + tax - credits_applied`, `amount_due` is what is left of it."""

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id", allow_null=True)
    number = serializers.CharField(allow_null=True, help_text="Null until it is issued.")
    status = serializers.ChoiceField(choices=InvoiceStatus.choices)
    source = serializers.ChoiceField(choices=InvoiceSource.choices)  # type: ignore[assignment]
    total_amount = serializers.IntegerField(source="total_minor")
    currency = serializers.CharField()
    period_start = InstantField()
    period_end = serializers.SerializerMethodField()
    line_items = LineOutput(source="lines", many=True)
    subtotal = serializers.IntegerField(source="subtotal_minor")
    tax_rate = UnitsField(help_text="In percent.")
    tax = serializers.IntegerField(source="tax_minor")
    credits_applied = serializers.IntegerField(source="credits_applied_minor")
    amount_paid = serializers.IntegerField(source="paid_minor")
    amount_credited = serializers.IntegerField(source="credited_minor")
    amount_due = serializers.IntegerField(source="amount_due_minor")
    due_date = InstantField(source="due_at", allow_null=True)
    bill_to = PartyOutput()
    memo = serializers.CharField(allow_blank=True)
    metadata = serializers.DictField()
    replaces_invoice_id = serializers.SerializerMethodField()
    created_at = InstantField()
    issued_at = InstantField(allow_null=True)
    paid_at = InstantField(allow_null=True)
    voided_at = InstantField(allow_null=True)
    uncollectible_at = InstantField(allow_null=True)
    next_charge_at = InstantField(allow_null=True)

    def get_period_end(self, invoice: Invoice) -> str:
        return invoice.period_end_shown or instant_text(invoice.period_end)

    def get_replaces_invoice_id(self, invoice: Invoice) -> str | None:
        return typeid("inv", invoice.replaces_id) if invoice.replaces_id else None


class InvoiceEventOutput(serializers.Serializer[InvoiceEvent]):
    """One thing that happened to an invoice. Nothing of this is ever changed."""

    id = serializers.CharField(source="public_id")
    type = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]
    actor = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    occurred_at = InstantField()


class InvoiceFilter(filters.FilterSet):  # type: ignore[misc, unused-ignore] # untyped in every release so far
    customer_id = filters.CharFilter(method="by_customer", label="Of the customer with this id.")
    external_customer_id = filters.CharFilter(
        method="by_external_customer", label="Of the customer with this external id."
    )
    status = filters.ChoiceFilter(choices=InvoiceStatus.choices)
    source = filters.ChoiceFilter(choices=InvoiceSource.choices)
    number = filters.CharFilter(label="Exactly this number.")
    currency = filters.CharFilter(lookup_expr="iexact", label="In this currency, in any case.")
    due_before = filters.IsoDateTimeFilter(field_name="due_at", lookup_expr="lt")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gt")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Invoice
        fields: tuple[str, ...] = ()

    def by_customer(self, rows: QuerySet[Invoice], _name: str, value: str) -> QuerySet[Invoice]:
        return self._of(rows, "id", value)

    def by_external_customer(self, rows: QuerySet[Invoice], _name: str, value: str) -> QuerySet[Invoice]:
        return self._of(rows, "external", value)

    def _of(self, rows: QuerySet[Invoice], by: By, reference: str) -> QuerySet[Invoice]:
        environment_id = self.request.caller.environment_id
        found = customer_find_id(environment_id=environment_id, by=by, reference=reference)
        return rows.filter(customer_id=found) if found else rows.none()


LINE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "iln_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "kind": "usage",
    "description": "API Calls — tiered usage (1,200,000 calls)",
    "quantity": 1200000,
    "amount": 10000,
    "billed_before": 0,
    "is_adjustment": False,
    "metric_key": "api_calls",
    "subscription_id": "sub_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "period_start": "2026-04-01T00:00:00Z",
    "period_end": "2026-05-01T00:00:00Z",
}
INVOICE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "customer_id": "cust_acme",
    "external_customer_id": "cust_acme",
    "number": "INV-000042",
    "status": "issued",
    "source": "api",
    "total_amount": 14900,
    "currency": "usd",
    "period_start": "2026-04-01T00:00:00Z",
    "period_end": "2026-04-30T23:59:59Z",
    "line_items": [
        LINE_EXAMPLE,
        {
            **LINE_EXAMPLE,
            "id": "iln_01k7x3s9c5ef6v8b2n4m6q8r1t",
            "kind": "fee",
            "description": "Growth base fee",
            "quantity": 1,
            "amount": 4900,
            "metric_key": None,
        },
    ],
    "subtotal": 14900,
    "tax_rate": 0,
    "tax": 0,
    "credits_applied": 0,
    "amount_paid": 0,
    "amount_credited": 0,
    "amount_due": 14900,
    "due_date": "2026-05-15T09:00:00Z",
    "bill_to": {
        "name": "Acme Corp",
        "email": "billing@acme.io",
        "address": "1 Road\nSpringfield",
        "tax_id": None,
    },
    "memo": "",
    "metadata": {},
    "replaces_invoice_id": None,
    "created_at": "2026-05-01T09:00:00Z",
    "issued_at": "2026-05-01T09:00:00Z",
    "paid_at": None,
    "voided_at": None,
    "uncollectible_at": None,
    "next_charge_at": None,
}
INVOICE_SHOWN: Final = OpenApiExample("An invoice", INVOICE_EXAMPLE, response_only=True)
_EVENT_SHOWN: Final = OpenApiExample(
    "An event",
    {
        "id": "iev_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "type": "invoice.paid",
        "data": {"amount": 14900, "payment_id": "pay_01k7x3s9c5ef6v8b2n4m6q8r0t", "provider": "stripe"},
        "actor": "key:key_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "reason": "",
        "occurred_at": "2026-05-01T09:05:00Z",
    },
    response_only=True,
)


class InvoiceDetail(Endpoint):
    resource = "invoices"
    serializer_class = InvoiceOutput

    @extend_schema(
        operation_id="invoices_get",
        tags=["invoices"],
        summary="Get an invoice",
        extensions={"x-problems": ["invoice-not-found"]},
        responses=InvoiceOutput,
        examples=[INVOICE_SHOWN],
    )
    def get(self, request: ApiRequest, invoice_id: str) -> Response:
        return Response(InvoiceOutput(invoice_named(request, invoice_id)).data)


class InvoiceEvents(Endpoint):
    """`GET …/events`: what happened to an invoice."""

    resource = "invoices"
    queryset = InvoiceEvent.objects.none()
    serializer_class = InvoiceEventOutput

    @extend_schema(
        operation_id="invoices_events",
        tags=["invoices"],
        summary="List what happened to an invoice, newest first",
        description="Its audit trail: created, issued, each attempt to charge it, paid, credited, emailed, voided; who "
        "did it, when and why. Append-only.",
        extensions={"x-problems": ["invoice-not-found"]},
        responses=InvoiceEventOutput(many=True),
        examples=[_EVENT_SHOWN],
    )
    def get(self, request: ApiRequest, invoice_id: str) -> Response:
        invoice = invoice_named(request, invoice_id)
        return self.page(InvoiceEvent.objects.filter(invoice=invoice), InvoiceEventOutput)


class CustomerInvoices(Endpoint):
    """`GET …/invoices`."""

    resource = "invoices"
    filterset_class = InvoiceFilter
    queryset = Invoice.objects.none()
    serializer_class = InvoiceOutput

    @extend_schema(
        operation_id="customer_invoices_list",
        tags=["invoices"],
        summary="List a customer's invoices, newest first",
        extensions={"x-problems": ["customer-not-found"]},
        responses=InvoiceOutput(many=True),
        examples=[INVOICE_SHOWN],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        environment_id = request.caller.environment_id
        customer = customer_resolve(environment_id=environment_id, by=by, reference=reference)
        return self.page(invoices_shown(environment_id).filter(customer=customer), InvoiceOutput)


def invoice_named(request: ApiRequest, text: str) -> Invoice:
    """The invoice that a path names. Raises NotFound, InvoiceNotFound."""
    return invoice_get(environment_id=request.caller.environment_id, invoice_id=object_id("inv", text))
