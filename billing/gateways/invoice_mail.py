"""An invoice as an e-mail, through Django's mail backend."""

from __future__ import annotations

from django.core.mail import EmailMessage

from billing.engine.money import money_text
from billing.gateways.invoice_pdf import invoice_pdf
from billing.models import Invoice, InvoiceStatus

_TEXT = """\
Hello {to},

please find attached invoice {number} for {period}.

Total: {total}
{due}
{footer}"""


def invoice_send(invoice: Invoice, *, to: str, is_test: bool) -> None:
    """Send it, with its PDF. Raises whatever the mail backend raises."""
    seller = invoice.bill_from
    message = EmailMessage(
        subject=_one_line(
            f"{'[test] ' if is_test else ''}Invoice {invoice.number} {seller.get('name') or ''}"
        ),
        body=_body(invoice),
        to=[to],
        reply_to=[seller["email"]] if seller.get("email") else None,
    )
    message.attach(f"{file_name(invoice)}.pdf", invoice_pdf(invoice), "application/pdf")
    message.send()


def file_name(invoice: Invoice) -> str:
    """What its files are called, without the ending: nothing that a file system or a header minds."""
    name = invoice.number or invoice.public_id
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "-" for each in name)


def _body(invoice: Invoice) -> str:
    return _TEXT.format(
        to=invoice.bill_to.get("name") or "",
        number=invoice.number,
        period=f"{invoice.period_start:%Y-%m-%d} to {invoice.period_end:%Y-%m-%d}",
        total=money_text(invoice.total_minor, invoice.currency),
        due=_due(invoice),
        footer="\n".join(
            part for part in (invoice.bill_from.get("name"), invoice.bill_from.get("footer")) if part
        ),
    )


def _due(invoice: Invoice) -> str:
    if invoice.status == InvoiceStatus.PAID or invoice.due_at is None:
        return "It is paid; nothing is left to do.\n"
    return f"Due: {money_text(invoice.amount_due_minor, invoice.currency)} by {invoice.due_at:%Y-%m-%d}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
