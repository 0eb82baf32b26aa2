"""The admin of the billing app: a client of its services. One module per noun."""

from billing.admin import (
    actions,
    blocks,
    columns,
    credit_notes,
    customer_invoices,
    entries,
    holds,
    invoices,
    panels,
    timeline,
    verification,
)

__all__ = [
    "actions",
    "blocks",
    "columns",
    "credit_notes",
    "customer_invoices",
    "entries",
    "holds",
    "invoices",
    "panels",
    "timeline",
    "verification",
]
