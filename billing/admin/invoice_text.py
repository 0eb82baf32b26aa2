"""Invoices in words and colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.engine.money import money_number, money_text
from billing.models import Invoice, InvoiceStatus
from billing.selectors.invoice_overview import WAITING
from customers.admin.display import NOTHING, badge, link
from customers.admin.records import record_url

_TONES = {
    InvoiceStatus.DRAFT: "neutral",
    InvoiceStatus.ISSUED: "info",
    InvoiceStatus.PROCESSING: "info",
    InvoiceStatus.PAID: "good",
    InvoiceStatus.VOID: "neutral",
    InvoiceStatus.UNCOLLECTIBLE: "bad",
}


def status_badge(invoice: Invoice) -> SafeString:
    return badge(invoice.get_status_display(), _TONES[InvoiceStatus(invoice.status)])


def badges_of(invoice: Invoice, now: datetime) -> Iterator[SafeString]:
    yield status_badge(invoice)
    if is_overdue(invoice, now):
        yield badge("Overdue", "warning")


def is_overdue(invoice: Invoice, now: datetime) -> bool:
    return invoice.status in WAITING and invoice.due_at is not None and invoice.due_at < now


def invoice_text(invoice: Invoice) -> str:
    """Its number, or that it has none."""
    return invoice.number or "Draft without a number"


def invoice_link(invoice: Invoice) -> SafeString:
    return link(record_url(Invoice, invoice.public_id), invoice_text(invoice))


def period_text(invoice: Invoice) -> str:
    """`2026-04-01 to 2026-04-30`, its last day included."""
    return days_text(invoice.period_start, invoice.period_end)


def days_text(start: datetime, end: datetime) -> str:
    last = max(end - timedelta(microseconds=1), start)
    return f"{start:%Y-%m-%d} to {last:%Y-%m-%d}"


def money_shown(minor: int, currency: str, *, signed: bool = False) -> SafeString:
    """Money in a column."""
    text = money_number(abs(minor), currency)
    sign = "−" if minor < 0 else "+" if signed and minor > 0 else ""
    return format_html(
        '<span class="p-amount{}">{}{} <span class="p-faint">{}</span></span>',
        " p-negative" if minor < 0 and not signed else "",
        sign,
        text,
        currency.upper(),
    )


def sums_text(minor: Mapping[str, int]) -> tuple[str, str]:
    """The largest sum, and the others beside it."""
    ordered = sorted(minor.items(), key=lambda each: (-each[1], each[0]))
    texts = [money_text(amount, currency) for currency, amount in ordered]
    return (texts[0] if texts else "", f"and {', '.join(texts[1:])}" if texts[1:] else "")


def due_shown(invoice: Invoice) -> SafeString:
    if not invoice.amount_due_minor:
        return NOTHING
    return money_shown(invoice.amount_due_minor, invoice.currency)
