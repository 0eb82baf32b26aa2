"""An invoice's lines as CSV, for spreadsheets: exact amounts in minor units, one row a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Final

from billing.models import Invoice, InvoiceLine
from customers.kernel.amounts import units_shown
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text

_COLUMNS: Final = (
    "invoice_id",
    "number",
    "customer_id",
    "currency",
    "line_id",
    "kind",
    "description",
    "metric_key",
    "subscription_id",
    "period_start",
    "period_end",
    "quantity",
    "amount",
    "billed_before",
    "is_adjustment",
)
#: Spreadsheets take a cell that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def invoice_csv(invoice: Invoice) -> str:
    """A line of names and one for each line of the invoice."""
    target = StringIO()
    writer = csv.writer(target)
    writer.writerow(_COLUMNS)
    for line in invoice.lines.all():
        writer.writerow(_cells(invoice, line))
    return target.getvalue()


def _cells(invoice: Invoice, line: InvoiceLine) -> Iterator[object]:
    yield invoice.public_id
    yield _harmless(invoice.number or "")
    yield _harmless(invoice.customer.public_id)
    yield invoice.currency
    yield line.public_id
    yield line.kind
    yield _harmless(line.description)
    yield line.metric_key
    yield typeid("sub", line.subscription_id) if line.subscription_id else ""
    yield instant_text(line.period_start)
    yield instant_text(line.period_end)
    yield units_shown(line.quantity)
    yield line.amount_minor
    yield line.rated_before_minor
    yield str(line.is_adjustment).lower()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
