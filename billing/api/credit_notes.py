"""`/v1/credit-notes` and an invoice's credit notes."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.invoices import invoice_named
from billing.models import CreditNote, CreditNoteKind, RefundStatus
from billing.services.credit_notes import LineCredit, credit_note_create, credit_note_get
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id

_LINES_MAX: Final = 100


class LineCreditInput(StrictSerializer):
    invoice_line_id = TypeIdField("iln")
    amount = McField(min_value=1, help_text="In minor units, tax included.")


class CreditNoteInput(StrictSerializer):
    amount = McField(
        min_value=1,
        required=False,
        allow_null=True,
        help_text="In minor units, tax included; left out: the lines', or all that is left.",
    )
    kind = serializers.ChoiceField(choices=CreditNoteKind.choices, required=False)
    lines = serializers.ListField(
        child=LineCreditInput(), max_length=_LINES_MAX, required=False, default=list
    )
    reason = TextField(max_length=1000, required=False, allow_blank=True, default="")
    metadata = MetadataField(required=False, default=dict)


class LineCreditOutput(serializers.Serializer[Any]):
    invoice_line_id = serializers.CharField()
    amount = serializers.IntegerField()


class CreditNoteOutput(serializers.Serializer[CreditNote]):
    """Money taken back from an invoice that stands."""

    id = serializers.CharField(source="public_id")
    number = serializers.CharField()
    invoice_id = serializers.CharField(source="invoice.public_id")
    customer_id = serializers.CharField(source="invoice.customer.public_id")
    kind = serializers.ChoiceField(choices=CreditNoteKind.choices)
    amount = serializers.IntegerField(source="amount_minor")
    tax = serializers.IntegerField(source="tax_minor", help_text="How much of the amount is tax.")
    currency = serializers.CharField(source="invoice.currency")
    lines = LineCreditOutput(many=True)
    reason = serializers.CharField(allow_blank=True)
    refund_status = serializers.SerializerMethodField()
    provider_refund_id = serializers.CharField(allow_null=True)
    metadata = serializers.DictField()
    created_at = InstantField()

    def get_refund_status(self, note: CreditNote) -> str | None:
        return note.refund_status or None


class CreditNoteFilter(filters.FilterSet):  # type: ignore[misc, unused-ignore] # untyped in every release so far
    kind = filters.ChoiceFilter(choices=CreditNoteKind.choices)
    refund_status = filters.ChoiceFilter(choices=[each for each in RefundStatus.choices if each[0]])
    number = filters.CharFilter(label="Exactly this number.")

    class Meta:
        model = CreditNote
        fields: tuple[str, ...] = ()


_SHOWN = OpenApiExample(
    "A credit note",
    {
        "id": "cnt_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "number": "CN-000007",
        "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "customer_id": "cust_acme",
        "kind": "reduction",
        "amount": 900,
        "tax": 0,
        "currency": "usd",
        "lines": [],
        "reason": "Outage on the 3rd",
        "refund_status": None,
        "provider_refund_id": None,
        "metadata": {},
        "created_at": "2026-05-02T09:00:00Z",
    },
    response_only=True,
)


class InvoiceCreditNotes(Endpoint):
    """`…/credit-notes` of one invoice."""

    resource = "invoices"
    queryset = CreditNote.objects.none()
    serializer_class = CreditNoteOutput

    @extend_schema(
        operation_id="invoice_credit_notes_list",
        tags=["invoices"],
        summary="List an invoice's credit notes, newest first",
        extensions={"x-problems": ["invoice-not-found"]},
        responses=CreditNoteOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, invoice_id: str) -> Response:
        notes = CreditNote.objects.filter(invoice=invoice_named(request, invoice_id))
        return self.page(notes.select_related("invoice__customer"), CreditNoteOutput)

    @extend_schema(
        operation_id="credit_notes_create",
        tags=["invoices"],
        summary="Take money back from an invoice",
        description="`reduction`: less is due of an unpaid invoice; when nothing is left, it is paid. `balance`: what "
        "was paid is kept for the customer's next invoices. `refund`: what was paid is paid back by the provider that "
        "took it; `refund_status` tells what came of it. Left out: a reduction of what is unpaid, else a balance.",
        request=CreditNoteInput,
        extensions={
            "x-problems": [
                "invoice-not-found",
                "invoice-is-draft",
                "invoice-void",
                "payment-under-way",
                "credit-note-kind",
                "credit-note-too-large",
                "refund-not-possible",
            ]
        },
        responses={201: CreditNoteOutput},
        examples=[
            OpenApiExample("Less is due", {"amount": 900, "reason": "Outage on the 3rd"}, request_only=True),
            OpenApiExample("Pay it all back", {"kind": "refund"}, request_only=True),
            _SHOWN,
        ],
    )
    @idempotent(family="credit_note", again="note_again", made="note_made")
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        given = self.read(CreditNoteInput)
        note = credit_note_create(
            caller=request.caller,
            invoice_id=object_id("inv", invoice_id),
            amount_minor=given.get("amount"),
            kind=given.get("kind"),
            lines=[
                LineCredit(line_id=each["invoice_line_id"], amount_minor=each["amount"])
                for each in given["lines"]
            ],
            reason=given["reason"],
            metadata=given["metadata"],
            idempotency_key=key_of(request),
            now=request.now,
        )
        request.idempotency_effect(note.id)
        return self.note_again(request, note.id)

    def note_made(self, request: ApiRequest, key: str) -> UUID | None:
        notes = CreditNote.objects.filter(environment_id=request.caller.environment_id, idempotency_key=key)
        return notes.values_list("id", flat=True).first()

    def note_again(self, request: ApiRequest, effect_id: UUID, **_: Any) -> Response:
        note = credit_note_get(environment_id=request.caller.environment_id, credit_note_id=effect_id)
        return Response(CreditNoteOutput(note).data, status=201)


class CreditNotes(Endpoint):
    resource = "invoices"
    filterset_class = CreditNoteFilter
    queryset = CreditNote.objects.none()
    serializer_class = CreditNoteOutput

    @extend_schema(
        operation_id="credit_notes_list",
        tags=["invoices"],
        summary="List credit notes, newest first",
        responses=CreditNoteOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        notes = CreditNote.objects.filter(environment_id=request.caller.environment_id)
        return self.page(notes.select_related("invoice__customer"), CreditNoteOutput)


class CreditNoteDetail(Endpoint):
    resource = "invoices"
    serializer_class = CreditNoteOutput

    @extend_schema(
        operation_id="credit_notes_get",
        tags=["invoices"],
        summary="Get a credit note",
        extensions={"x-problems": ["credit-note-not-found"]},
        responses=CreditNoteOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, credit_note_id: str) -> Response:
        note = credit_note_get(
            environment_id=request.caller.environment_id, credit_note_id=object_id("cnt", credit_note_id)
        )
        return Response(CreditNoteOutput(note).data)
