"""What invoices add to a customer's page: the newest, what is due, the credit there is."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from billing.admin.invoice_text import (
    badges_of,
    due_shown,
    invoice_link,
    money_shown,
    period_text,
)
from billing.engine.money import money_text
from billing.models import CreditBalance, Invoice
from customers.admin.customer_panels import CustomerPanel, panel_register
from customers.admin.display import instant_shown
from customers.admin.records import list_url
from customers.models import Customer

_ROWS: Final = 8


def _panel(_request: HttpRequest, customer: Customer) -> str:
    """Loaded once the page stands: the page asks no more than before."""
    url = reverse("admin:billing_invoice_of_customer", args=[customer.pk])
    every = list_url(Invoice, q=customer.public_id)
    return render_to_string(
        "admin/purser/panel_later.html", {"url": url, "link": every, "text": "All invoices"}
    )


def invoices_html(customer: Customer, now: datetime) -> str:
    """The newest, and what credit there is."""
    found = list(Invoice.objects.filter(customer=customer).order_by("-id")[: _ROWS + 1])
    rows = [
        {
            "link": invoice_link(invoice),
            "period": period_text(invoice),
            "badges": list(badges_of(invoice, now)),
            "total": money_shown(invoice.total_minor, invoice.currency),
            "due": due_shown(invoice),
            "due_at": instant_shown(invoice.due_at),
        }
        for invoice in found[:_ROWS]
    ]
    more = list_url(Invoice, q=customer.public_id) if len(found) > _ROWS else ""
    shown = {"rows": rows, "more": more, "credit": _credit(customer)}
    return render_to_string("admin/purser/panel_invoices.html", shown)


def _credit(customer: Customer) -> str:
    balances = CreditBalance.objects.filter(customer=customer, balance_minor__gt=0).order_by("currency")
    return ", ".join(money_text(each.balance_minor, each.currency) for each in balances)


panel_register(
    CustomerPanel(key="invoices", title="Invoices", order=6, permission="billing.view_invoice", render=_panel)
)
