"""What is done with one invoice: issued, voided, marked as paid, sent."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.invoices import INVOICE_EXAMPLE, INVOICE_SHOWN, InvoiceOutput, invoice_named
from billing.services.invoice_emails import invoice_email_queue
from billing.services.invoices import invoice_issue, invoice_void
from billing.services.manual_payments import invoice_mark_paid
from customers.api.fields import InstantField, McField, StrictSerializer, TextField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id


class ReasonInput(StrictSerializer):
    reason = TextField(max_length=1000, required=False, allow_blank=True, default="")


class MarkPaidInput(ReasonInput):
    amount = McField(min_value=1, required=False, allow_null=True, help_text="To be sure: what is due.")
    paid_at = InstantField(required=False, allow_null=True, help_text="When it came in; left out: now.")
    reference = TextField(max_length=255, required=False, allow_blank=True, default="")


class EmailInput(StrictSerializer):
    to = TextField(max_length=320, required=False, allow_null=True, help_text="Left out: the customer's.")


class EmailOutput(serializers.Serializer[Any]):
    invoice_id = serializers.CharField()
    to = serializers.CharField()
    job_id = serializers.CharField(help_text="`GET /v1/jobs/{id}` tells when it was sent.")


class _Action(Endpoint):
    resource = "invoices"
    serializer_class = InvoiceOutput

    def answer(self, request: ApiRequest, invoice_id: str) -> Response:
        """The invoice as it is now."""
        return Response(InvoiceOutput(invoice_named(request, invoice_id)).data)


class InvoiceIssue(_Action):
    @extend_schema(
        operation_id="invoices_issue",
        tags=["invoices"],
        summary="Issue a draft",
        description="Gives it its number and its due date, taxes and addresses it as the customer's record says now, "
        "and uses the customer's credit. Its amounts stand from then on. What comes to nothing is paid at once.",
        request=ReasonInput,
        extensions={"x-problems": ["invoice-not-found", "invoice-already-issued", "invoice-void"]},
        responses=InvoiceOutput,
        examples=[OpenApiExample("Issue it", {}, request_only=True), INVOICE_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        invoice_issue(
            caller=request.caller,
            invoice_id=object_id("inv", invoice_id),
            now=request.now,
            **self.read(ReasonInput),
        )
        return self.answer(request, invoice_id)


class InvoiceVoid(_Action):
    @extend_schema(
        operation_id="invoices_void",
        tags=["invoices"],
        summary="Void an invoice",
        description="Nobody owes it any more, the credit it used goes back, and what it billed can be billed again. "
        "Its number stays taken. Of invoices that continue each other the last is voided first. What was paid is taken "
        "back with a credit note instead.",
        request=ReasonInput,
        extensions={
            "x-problems": [
                "invoice-not-found",
                "invoice-already-paid",
                "invoice-void",
                "payment-under-way",
                "later-invoice-continues",
                "invoice-credited",
                "credit-already-used",
            ]
        },
        responses=InvoiceOutput,
        examples=[
            OpenApiExample("Void it", {"reason": "Wrong plan"}, request_only=True),
            OpenApiExample(
                "Voided",
                {
                    **INVOICE_EXAMPLE,
                    "status": "void",
                    "amount_due": 0,
                    "voided_at": "2026-05-02T09:00:00Z",
                },
                response_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        invoice_void(
            caller=request.caller,
            invoice_id=object_id("inv", invoice_id),
            now=request.now,
            **self.read(ReasonInput),
        )
        return self.answer(request, invoice_id)


class InvoiceMarkPaid(_Action):
    @extend_schema(
        operation_id="invoices_mark_paid",
        tags=["invoices"],
        summary="Mark an invoice as paid by hand",
        description="For money that came in outside of any payment provider: all that is due. It makes a payment of "
        "the provider `manual`.",
        request=MarkPaidInput,
        extensions={
            "x-problems": [
                "invoice-not-found",
                "invoice-is-draft",
                "invoice-already-paid",
                "invoice-void",
                "payment-under-way",
            ]
        },
        responses=InvoiceOutput,
        examples=[
            OpenApiExample(
                "A bank transfer",
                {"amount": 14900, "paid_at": "2026-05-04T00:00:00Z", "reference": "Transfer 77"},
                request_only=True,
            ),
            OpenApiExample(
                "Paid",
                {
                    **INVOICE_EXAMPLE,
                    "status": "paid",
                    "amount_paid": 14900,
                    "amount_due": 0,
                    "paid_at": "2026-05-04T09:00:00Z",
                },
                response_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        given = self.read(MarkPaidInput)
        invoice_mark_paid(
            caller=request.caller,
            invoice_id=object_id("inv", invoice_id),
            amount_minor=given.get("amount"),
            paid_at=given.get("paid_at"),
            reference=given["reference"],
            reason=given["reason"],
            now=request.now,
        )
        return self.answer(request, invoice_id)


class InvoiceEmail(_Action):
    @extend_schema(
        operation_id="invoices_email",
        tags=["invoices"],
        summary="Send an invoice by e-mail",
        description="With its PDF, to the address on the customer's record or another. A job sends it after this "
        "answer; `invoice.emailed` among the invoice's events says that it was sent.",
        request=EmailInput,
        extensions={
            "x-problems": ["invoice-not-found", "invoice-is-draft", "invoice-void", "no-email-address"]
        },
        responses={202: EmailOutput},
        examples=[
            OpenApiExample("To the customer", {}, request_only=True),
            OpenApiExample(
                "Queued",
                {
                    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "to": "billing@acme.io",
                    "job_id": "job_01k7x3s9c5ef6v8b2n4m6q8r0t",
                },
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, invoice_id: str) -> Response:
        queued = invoice_email_queue(
            caller=request.caller,
            invoice_id=object_id("inv", invoice_id),
            to=self.read(EmailInput).get("to"),
        )
        document = {"invoice_id": invoice_id, "to": queued.to, "job_id": queued.job.public_id}
        return Response(document, status=202)
