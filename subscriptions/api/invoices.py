"""`/v1/invoices`: bill what is unbilled, list what was billed. One invoice's own paths are in billing."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.fields import CurrencyField
from billing.api.invoices import INVOICE_EXAMPLE, INVOICE_SHOWN, InvoiceFilter, InvoiceOutput
from billing.models import Invoice
from billing.selectors.invoices import invoice_get, invoices_shown
from customers.api.fields import (
    InstantField,
    MetadataField,
    StrictBooleanField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import CustomerNotFound, FieldError
from customers.kernel.clock import system_now
from customers.models import Customer
from customers.services.customers import customer_resolve
from subscriptions.services.billing_bulk import customers_bill
from subscriptions.services.billing_run import BillAsked, customer_bill, customer_bill_preview

_CUSTOMERS_MAX: Final = 10_000
_REFUSED: Final = (
    "customer-not-found",
    "nothing-to-bill",
    "already-invoiced",
    "currency-required",
    "cutoff-in-future",
    "replaces-refused",
    "invoice-not-found",
    "amount-too-large",
    "invoice-too-large",
)


class BillInput(StrictSerializer):
    """Exactly one of `customer_id` and `external_customer_id` names the customer."""

    customer_id = TextField(required=False, allow_null=True)
    external_customer_id = TextField(required=False, allow_null=True)
    cutoff_date = InstantField(
        required=False,
        allow_null=True,
        help_text="Now without it. The last second of a period means its end.",
    )
    currency = CurrencyField(
        required=False, allow_null=True, help_text="Needed when there is something to bill in several."
    )
    preview = StrictBooleanField(required=False, help_text="Show the invoice, and make none.")
    draft = StrictBooleanField(required=False, help_text="Issue it later: `POST …/issue`.")
    replaces_invoice_id = TypeIdField(
        "inv", required=False, allow_null=True, help_text="A voided invoice that this one takes the place of."
    )
    memo = TextField(max_length=1000, allow_blank=True, required=False)
    metadata = MetadataField(required=False)


class BulkInput(StrictSerializer):
    cutoff_date = InstantField(required=False, allow_null=True, help_text="Now without it.")
    customer_ids = serializers.ListField(
        child=TextField(max_length=255),
        max_length=_CUSTOMERS_MAX,
        required=False,
        help_text="Only these; everybody who has a price plan without it.",
    )
    price_plan_id = TextField(
        max_length=255,
        required=False,
        allow_null=True,
        help_text="Only customers who have, or had, this one.",
    )
    currency = CurrencyField(required=False, allow_null=True, help_text="Only what is owed in this one.")
    draft = StrictBooleanField(required=False)


class Invoices(Endpoint):
    resource = "invoices"
    filterset_class = InvoiceFilter
    queryset = Invoice.objects.none()
    serializer_class = InvoiceOutput

    @extend_schema(
        operation_id="invoices_list",
        tags=["invoices"],
        summary="List invoices, newest first",
        responses=InvoiceOutput(many=True),
        examples=[INVOICE_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(invoices_shown(request.caller.environment_id), InvoiceOutput)

    @extend_schema(
        operation_id="invoices_create",
        tags=["invoices"],
        summary="Invoice a customer",
        description="Bills everything up to the cutoff that is on no invoice yet, of all the customer's subscriptions "
        "to price plans in one currency: usage exactly, from the events in one snapshot; fees of the periods that are "
        "over or, paid in advance, have begun. With a cutoff inside a period its usage so far is billed, and tiers go "
        "on counting; the period's last invoice bills the rest. Events that came late are billed as adjustment lines: "
        "their period is rated again with all of its events, and the line is for the difference. Each period is closed "
        "by one invoice; asking again answers 409 with its id. With `preview` (200) the invoice is shown as it would "
        "be, without an id and a number, and nothing is made.",
        request=BillInput,
        responses={200: InvoiceOutput, 201: InvoiceOutput},
        extensions={"x-problems": list(_REFUSED)},
        examples=[
            OpenApiExample(
                "A month",
                {"customer_id": "cust_acme", "cutoff_date": "2026-04-30T23:59:59Z"},
                request_only=True,
            ),
            OpenApiExample("Look first", {"customer_id": "cust_acme", "preview": True}, request_only=True),
            OpenApiExample("The invoice", INVOICE_EXAMPLE, response_only=True, status_codes=["200", "201"]),
        ],
    )
    @idempotent(again="invoiced_again", made="invoiced")
    def post(self, request: ApiRequest) -> Response:
        given = self.read(BillInput)
        by, reference = customer_named_in(given)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        asked = BillAsked(
            cutoff=given.get("cutoff_date"),
            currency=given.get("currency"),
            is_draft=given.get("draft", False),
            replaces_id=given.get("replaces_invoice_id"),
            idempotency_key=None if given.get("preview") else key_of(request),
            memo=given.get("memo", ""),
            metadata=given.get("metadata", {}),
        )
        if given.get("preview"):
            return Response(_previewed(request, customer, asked), status=200)
        invoice = customer_bill(caller=request.caller, customer=customer, asked=asked, now=request.now)
        request.idempotency_effect(invoice.id)
        return Response(_shown(request, invoice.id), status=201)

    def invoiced(self, request: ApiRequest, key: str) -> UUID | None:
        """What this key made, should its record be gone."""
        made = Invoice.objects.filter(environment_id=request.caller.environment_id, idempotency_key=key)
        return made.values_list("id", flat=True).first()

    def invoiced_again(self, request: ApiRequest, effect_id: UUID) -> Response:
        return Response({**_shown(request, effect_id), "duplicate": True}, status=201)


class InvoicesBulk(Endpoint):
    resource = "invoices"
    serializer_class = JobShow

    @extend_schema(
        operation_id="invoices_bulk",
        tags=["invoices"],
        summary="Invoice many customers",
        description="A job (202): each customer is invoiced for itself, as `POST /v1/invoices` does it. A row for "
        "each, with its invoice or why there is none, is at `/v1/jobs/{id}/results`. The job can be paused, resumed "
        "and canceled, and goes on behind the last customer when its worker dies: nobody is billed twice.",
        request=BulkInput,
        responses={202: JobShow},
        extensions={"x-problems": ["customer-not-found", "cutoff-in-future"]},
        examples=[
            OpenApiExample("Everybody", {"cutoff_date": "2026-04-30T23:59:59Z"}, request_only=True),
            OpenApiExample(
                "A job",
                {**JOB_EXAMPLE, "kind": "subscriptions.invoice", "progress": {"done": 2500, "total": 10000}},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        given = self.read(BulkInput)
        job = customers_bill(
            caller=request.caller,
            cutoff=given.get("cutoff_date") or request.now,
            customers=_customers(request, given.get("customer_ids", [])),
            price_plan_key=given.get("price_plan_id"),
            currency=given.get("currency"),
            is_draft=given.get("draft", False),
            now=request.now,
            clock=system_now,
        )
        return Response(JobShow(job).data, status=202)


def _shown(request: ApiRequest, invoice_id: UUID) -> dict[str, Any]:
    stored = invoice_get(environment_id=request.caller.environment_id, invoice_id=invoice_id)
    return dict(InvoiceOutput(stored).data)


def _previewed(request: ApiRequest, customer: Customer, asked: BillAsked) -> dict[str, Any]:
    """As it would be; what it is not yet has no id and no number."""
    invoice = customer_bill_preview(caller=request.caller, customer=customer, asked=asked, now=request.now)
    document = dict(InvoiceOutput(invoice).data)
    lines = [{**line, "id": None} for line in document["line_items"]]
    return {**document, "id": None, "number": None, "line_items": lines}


def _customers(request: ApiRequest, named: list[str]) -> list[Customer]:
    if not named:
        return []
    found = {
        customer.public_id: customer
        for customer in Customer.objects.filter(
            environment_id=request.caller.environment_id, public_id__in=named
        )
    }
    missing = [index for index, each in enumerate(named) if each not in found]
    if missing:
        raise CustomerNotFound(
            errors=[
                FieldError(f"customer_ids.{index}", "customer-not-found", "There is no such customer.")
                for index in missing[:20]
            ]
        )
    return list(found.values())
