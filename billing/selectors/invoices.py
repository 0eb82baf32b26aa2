"""Invoices and their lines, read."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.models import InvoiceLine


def last_lines(series_ids: Iterable[UUID]) -> dict[UUID, InvoiceLine]:
    """The line at which each series stands: live, and continued by no live one. A series without lines has none."""
    return {line.series: line for line in _ends().filter(series__in=list(series_ids))}


def _ends() -> QuerySet[InvoiceLine]:
    continued = InvoiceLine.objects.filter(previous=OuterRef("id"), is_live=True)
    return InvoiceLine.objects.filter(~Exists(continued), is_live=True)
