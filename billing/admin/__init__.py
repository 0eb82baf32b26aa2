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
    payment_actions,
    payment_providers,
    payments,
    reconciliations,
    timeline,
    topups,
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
    "payment_actions",
    "payment_providers",
    "payments",
    "reconciliations",
    "timeline",
    "topups",
    "verification",
]
