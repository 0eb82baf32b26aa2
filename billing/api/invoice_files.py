"""An invoice to keep: as PDF, and its lines as CSV."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema

from billing.api.invoices import invoice_named
from billing.gateways.invoice_csv import invoice_csv
from billing.gateways.invoice_mail import file_name
from billing.gateways.invoice_pdf import invoice_pdf
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint


class InvoicePdf(Endpoint):
    resource = "invoices"

    @extend_schema(
        operation_id="invoices_pdf",
        tags=["invoices"],
        summary="Get an invoice as PDF",
        description="As it is now: a paid one says so. An appendix shows how each line of usage was reckoned.",
        extensions={"x-problems": ["invoice-not-found"]},
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: ApiRequest, invoice_id: str) -> HttpResponse:
        invoice = invoice_named(request, invoice_id)
        return file_response(invoice_pdf(invoice), f"{file_name(invoice)}.pdf", "application/pdf")


class InvoiceCsv(Endpoint):
    resource = "invoices"

    @extend_schema(
        operation_id="invoices_csv",
        tags=["invoices"],
        summary="Get an invoice's lines as CSV",
        description="Amounts in minor units, quantities exact.",
        extensions={"x-problems": ["invoice-not-found"]},
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def get(self, request: ApiRequest, invoice_id: str) -> HttpResponse:
        invoice = invoice_named(request, invoice_id)
        return file_response(
            invoice_csv(invoice).encode(), f"{file_name(invoice)}.csv", "text/csv; charset=utf-8"
        )


def file_response(content: bytes, name: str, content_type: str) -> HttpResponse:
    """A file to download."""
    return HttpResponse(
        content,
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
