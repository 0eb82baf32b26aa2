"""Somebody charges an invoice, connects Stripe and reads a reconciliation, at a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Invoice, Payment, Reconciliation
from customers.kernel.database import environment_scope
from tests.billing.invoicing import NOW, line, make_customer, make_invoice, usage_line
from tests.browser.accessibility import serious_issues
from tests.clock import clock_set
from tests.conftest import Api, Character

DIFFERENCE: dict[str, Any] = {
    "kind": "refund-differs",
    "detail": "More or less went back than credit notes say.",
    "ours": 0,
    "theirs": 900,
    "currency": "USD",
    "customer_id": "cust_acme",
    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "payment_id": "pay_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "topup_id": None,
    "provider_payment_id": "pi_3Nx8kStripe123456",
}
TOTALS: dict[str, Any] = {
    "invoices": [{"currency": "USD", "count": 2, "total": 29800, "paid": 29800, "due": 0}],
    "payments": [{"currency": "USD", "provider": "stripe", "count": 2, "amount": 29800, "refunded": 0}],
    "provider": {
        "name": "stripe",
        "status": "compared",
        "payments": [{"currency": "USD", "count": 2, "amount": 29800, "refunded": 900}],
        "others": 3,
    },
    "differences": 1,
}


@pytest.fixture
def invoices(acme: Character, api: Api) -> dict[str, Invoice]:
    """One that is declined, one that waits for its payer, one that nobody has charged."""
    clock_set(acme.test, NOW)
    names = {"display_name": "A customer with a rather long name, Incorporated"}
    customer = make_customer(acme.test, payment_provider="stripe", **names)
    made = {
        "declined": make_invoice(acme.test, customer, 10_002),
        "waiting": make_invoice(acme.test, customer, 13_155),
        "open": make_invoice(acme.test, customer, usage_line(10_000), line(4_900)),
    }
    for name, status in (("declined", 402), ("waiting", 200)):
        assert api.post(f"/v1/invoices/{made[name].public_id}/charge", {}).status == status
    with environment_scope(acme.test.id):
        Reconciliation.objects.create(
            environment_id=acme.test.id,
            begin=NOW,
            end=NOW,
            totals=TOTALS,
            differences=[DIFFERENCE],
            actor="system:beat",
            created_at=NOW,
        )
    return made


def payment_page(acme: Character, invoice: Invoice) -> str:
    with environment_scope(acme.test.id):
        payment = Payment.objects.get(invoice=invoice)
    return f"/admin/billing/payment/{payment.public_id}/change/"


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_pages(person: Any, acme: Character, invoices: dict[str, Invoice], width: int, theme: str) -> None:
    somebody = person(acme.test, width=width, theme=theme)
    paths = {
        "payments": "/admin/billing/payment/",
        "payment-declined": payment_page(acme, invoices["declined"]),
        "payment-waiting": payment_page(acme, invoices["waiting"]),
        "providers": "/admin/billing/provideraccount/",
        "new-provider": "/admin/billing/provideraccount/add/",
        "reconciliations": "/admin/billing/reconciliation/",
        "charge": f"/admin/billing/invoice/{invoices['open'].public_id}/actions/charge/",
    }

    for name, path in paths.items():
        somebody.go(path)
        somebody.keep(f"{name}-{width}-{theme}")
        assert serious_issues(somebody.page) == [], name
    somebody.go("/admin/billing/reconciliation/")
    somebody.page.locator("#result_list a").first.click()
    somebody.page.wait_for_load_state()
    somebody.keep(f"reconciliation-{width}-{theme}")
    assert serious_issues(somebody.page) == []


def test_somebody_charges_an_invoice(person: Any, acme: Character, invoices: dict[str, Invoice]) -> None:
    somebody = person(acme.test, width=1440, theme="light")
    somebody.go(f"/admin/billing/invoice/{invoices['open'].public_id}/change/")

    somebody.page.get_by_role("link", name="Charge").first.click()
    dialog = somebody.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("Asked on the phone")
    assert "149.00 USD will be charged by sandbox at once." in dialog.inner_text()
    somebody.keep("charge-dialog")
    dialog.get_by_role("button", name="Charge now").click()

    somebody.page.get_by_text("Paid", exact=True).first.wait_for()
    with environment_scope(acme.test.id):
        assert Invoice.objects.get(id=invoices["open"].id).status == "paid"
