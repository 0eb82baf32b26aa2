"""Invoices made of lines as somebody might have rated them, for stories about invoices."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from billing.models import Invoice, InvoiceLine
from billing.selectors.invoices import last_lines
from billing.services.invoices import LineDraft, invoice_create
from customers.kernel.database import environment_scope
from customers.models import Customer
from customers.services.customers import customer_create
from tests.conftest import World

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)


def _tier(
    number: int, lower: str, up_to: str | None, quantity: str, price: str, amount: str
) -> dict[str, Any]:
    """As subscriptions/engine/charges.py writes one."""
    return {
        "kind": "tier",
        "tier": number,
        "from": lower,
        "up_to": up_to,
        "quantity": quantity,
        "unit_price": price,
        "amount": amount,
    }


#: What source 004 bills: tier by tier as an explanation shows it.
TIERS: dict[str, Any] = {
    "charge": {"key": "0", "pricing_model": "tiered", "metric_key": "api_calls"},
    "breakdown": [
        _tier(1, "0", "100000", "100000", "0", "0"),
        _tier(2, "100000", "1000000", "900000", "0.0001", "90.0000"),
        _tier(3, "1000000", None, "200000", "0.00005", "10.00000"),
    ],
}


def make_customer(world: World, name: str = "cust_acme", **attributes: Any) -> Customer:
    """A customer who can be sent an invoice."""
    attributes = {"name": "Acme Corp", "email": "billing@acme.io", **attributes}
    with environment_scope(world.id):
        return customer_create(caller=world.caller, public_id=name, attributes=attributes, now=APRIL)


def line(rated_minor: int, *, series: UUID | None = None, **terms: Any) -> LineDraft:
    """A line that bills what its series came to since it was last billed."""
    series = series or uuid4()
    shape = {
        "kind": "fee",
        "description": "Growth base fee",
        "quantity": Decimal(1),
        "period_start": APRIL,
        "period_end": MAY,
        "previous": last_lines([series]).get(series),
        **terms,
    }
    return LineDraft(series=series, rated_minor=rated_minor, **shape)


def usage_line(rated_minor: int = 10_000, **terms: Any) -> LineDraft:
    shape = {
        "kind": "usage",
        "description": "API Calls — tiered usage (1,200,000 calls)",
        "quantity": Decimal(1_200_000),
        "metric_key": "api_calls",
        "details": TIERS,
        **terms,
    }
    return line(rated_minor, **shape)


def make_invoice(world: World, customer: Customer, *lines: LineDraft | int, **terms: Any) -> Invoice:
    """An invoice of these lines (an amount is a line of its own), in dollars for April unless told otherwise."""
    shape = {"currency": "usd", "period_start": APRIL, "period_end": MAY, "now": NOW, **terms}
    with environment_scope(world.id):
        drafts = [line(each) if isinstance(each, int) else each for each in lines]
        return invoice_create(caller=world.caller, customer=customer, lines=drafts, **shape)


def series_of(invoice: Invoice) -> UUID:
    """What the first line of an invoice bills."""
    return InvoiceLine.objects.get(invoice=invoice, position=1).series
