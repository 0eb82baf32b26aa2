"""Invoices and their lines, read."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.errors import InvoiceNotFound
from billing.models import Invoice, InvoiceLine


def last_lines(series_ids: Iterable[UUID]) -> dict[UUID, InvoiceLine]:
    """The line at which each series stands: live, and continued by no live one. A series without lines has none."""
    return {line.series: line for line in _ends().filter(series__in=list(series_ids))}


def _ends() -> QuerySet[InvoiceLine]:
    continued = InvoiceLine.objects.filter(previous=OuterRef("id"), is_live=True)
    return InvoiceLine.objects.filter(~Exists(continued), is_live=True)


def invoices_shown(environment_id: UUID) -> QuerySet[Invoice]:
    """Invoices with what showing them needs."""
    invoices = Invoice.objects.filter(environment_id=environment_id)
    return invoices.select_related("customer").prefetch_related("lines")


def invoice_get(*, environment_id: UUID, invoice_id: UUID) -> Invoice:
    """Raises InvoiceNotFound."""
    invoice = invoices_shown(environment_id).filter(id=invoice_id).first()
    if invoice is None:
        raise InvoiceNotFound
    return invoice
