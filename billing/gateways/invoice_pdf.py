"""An invoice as a PDF."""

from __future__ import annotations

from billing.models import Invoice


def invoice_pdf(invoice: Invoice) -> bytes:
    """The PDF of an invoice, with its lines loaded or not."""
    # Only here: what draws takes a fifth of the time that a process needs to start, and most never draw.
    from billing.gateways.invoice_pages import pages_draw  # noqa: PLC0415

    return pages_draw(invoice)
