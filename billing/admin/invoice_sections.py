"""The parts of an invoice's page: its lines with their arithmetic, its payments, credit notes and events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.contrib import admin
from django.template.loader import render_to_string

from billing.admin.invoice_text import days_text, money_shown
from billing.engine.arithmetic import share_text
from billing.engine.money import money_number
from billing.models import CreditNote, Invoice, InvoiceEvent, InvoiceLine, Payment, PaymentStatus
from customers.admin.display import badge, instant_shown, units_text
from customers.admin.records import record_url
from customers.kernel.amounts import units_shown

_EVENTS = 50
_PAYMENT_TONES = {
    PaymentStatus.SUCCEEDED: "good",
    PaymentStatus.FAILED: "bad",
    PaymentStatus.CANCELED: "neutral",
}


#: An address where more is known about a line, and what to call it; None when nothing is.
LineLink = Callable[[InvoiceLine], tuple[str, str] | None]
_line_links: Final[list[LineLink]] = []


def line_link_register(line_link: LineLink) -> None:
    """Have an invoice's page link its lines to what a higher app knows of them."""
    _line_links.append(line_link)


def lines_html(invoice: Invoice) -> str:
    """What is billed, and what it comes to."""
    rows = [_line(invoice, line) for line in invoice.lines.all()]
    context = {"rows": rows, "sums": list(_sums(invoice)), "currency": invoice.currency.upper()}
    return render_to_string("admin/purser/invoice_lines.html", context)


def payments_html(invoice: Invoice) -> str:
    rows = [_payment(invoice, payment) for payment in Payment.objects.filter(invoice=invoice)]
    return render_to_string("admin/purser/invoice_payments.html", {"rows": rows})


def credit_notes_html(invoice: Invoice) -> str:
    """Empty when there are none."""
    rows = [_note(invoice, note) for note in CreditNote.objects.filter(invoice=invoice)]
    return render_to_string("admin/purser/invoice_notes.html", {"rows": rows}) if rows else ""


def events_html(invoice: Invoice) -> str:
    """The newest, as the API shows them."""
    events = InvoiceEvent.objects.filter(invoice=invoice).order_by("-id")[:_EVENTS]
    lines = [
        {
            "title": event.type,
            "second": event.actor,
            "note": " · ".join(_told(event)),
            "at": instant_shown(event.occurred_at),
        }
        for event in events
    ]
    return render_to_string("admin/purser/lines.html", {"lines": lines, "more": ""})


def _line(invoice: Invoice, line: InvoiceLine) -> dict[str, Any]:
    currency = invoice.currency
    return {
        "position": line.position,
        "description": line.description,
        "second": " · ".join(_about(line)),
        "quantity": units_text(line.quantity),
        "amount": money_number(line.amount_minor, currency),
        "before": money_number(line.rated_before_minor, currency) if line.previous_id else "",
        "whole": money_number(line.rated_minor, currency),
        "links": [found for line_link in _line_links if (found := line_link(line)) is not None],
        "parts": list(line.reckoned),
        "is_dead": not line.is_live,
    }


def _about(line: InvoiceLine) -> Iterator[str]:
    yield days_text(line.period_start, line.period_end)
    if line.metric_key:
        yield line.metric_key
    if line.is_adjustment:
        yield "adjustment"
    if share_text(line.details):
        yield share_text(line.details)


def _sums(invoice: Invoice) -> Iterator[tuple[str, str, bool]]:
    """Label, amount, and whether it is a result."""

    def shown(minor: int) -> str:
        return money_number(minor, invoice.currency).replace("-", "−")

    yield "Subtotal", shown(invoice.subtotal_minor), False
    if invoice.tax_rate:
        yield f"Tax ({units_shown(invoice.tax_rate)} %)", shown(invoice.tax_minor), False
    if invoice.credits_applied_minor:
        label = "Credit used" if invoice.credits_applied_minor > 0 else "Kept as credit"
        yield label, shown(-invoice.credits_applied_minor), False
    yield "Total", shown(invoice.total_minor), True
    if invoice.credited_minor:
        yield "Credit notes", shown(-invoice.credited_minor), False
    if invoice.paid_minor:
        yield "Paid", shown(-invoice.paid_minor), False
    yield "Amount due", shown(invoice.amount_due_minor), True


def _payment(invoice: Invoice, payment: Payment) -> dict[str, Any]:
    tone = _PAYMENT_TONES.get(PaymentStatus(payment.status), "info")
    return {
        "id": payment.public_id,
        "url": record_url(Payment, payment.public_id) if admin.site.is_registered(Payment) else "",
        "status": badge(payment.get_status_display(), tone),
        "provider": payment.provider,
        "named": payment.provider_payment_id or "",
        "why": payment.failure_message or payment.reason,
        "amount": money_shown(payment.amount_minor, invoice.currency),
        "at": instant_shown(payment.settled_at or payment.created_at),
    }


def _note(invoice: Invoice, note: CreditNote) -> dict[str, Any]:
    return {
        "number": note.number,
        "url": record_url(CreditNote, note.public_id),
        "kind": note.get_kind_display(),
        "refund": note.get_refund_status_display() if note.refund_status else "",
        "reason": note.reason,
        "amount": money_shown(note.amount_minor, invoice.currency),
        "at": instant_shown(note.created_at),
    }


def _told(event: InvoiceEvent) -> Iterator[str]:
    if event.reason:
        yield event.reason
    yield from (f"{name}: {value}" for name, value in event.data.items() if value not in ("", None))
