"""Finance looks at invoices on a wide screen and on a phone, light and dark, and takes some money back."""

from __future__ import annotations

import pytest

from tests.billing.invoicing import NOW, line, make_customer, make_invoice, usage_line
from tests.browser.test_looks import _NAMELESS
from tests.clock import clock_set

LIST = "/admin/billing/invoice/"


@pytest.fixture
def billed(acme):
    """One with usage, a draft, one overdue, one in another currency, one paid by credit."""
    clock_set(acme.test, NOW)
    customer = make_customer(
        acme.test,
        display_name="A customer with a rather long name, Incorporated",
        billing_address="1 Infinite Loop\nCupertino",
        tax_id="US-99",
    )
    first = make_invoice(acme.test, customer, usage_line(10_000), line(4_900), memo="Thank you.")
    make_invoice(acme.test, customer, 12_345, is_draft=True)
    make_invoice(acme.test, make_customer(acme.test, "cust_b"), 250_000, currency="eur")
    make_invoice(acme.test, make_customer(acme.test, "cust_c"), -700)
    return acme, customer, first


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_finance_looks_at_invoices(person, billed, width, theme):
    acme, customer, first = billed
    somebody = person(acme.test, width=width, theme=theme)
    page = somebody.page

    somebody.go(LIST)
    somebody.keep(f"invoices-{width}-{theme}")
    assert page.evaluate(_NAMELESS) == []

    somebody.go(f"{LIST}{first.public_id}/change/")
    page.get_by_text("How it was reckoned").click()
    somebody.keep(f"invoice-one-{width}-{theme}")
    assert page.evaluate(_NAMELESS) == []

    for name in ("Mark as paid", "Credit note", "E-mail", "Void"):
        somebody.go(f"{LIST}{first.public_id}/change/")
        dialog = somebody.open_dialog(name)
        page.wait_for_timeout(400)
        somebody.keep(f"invoice-{name.lower().replace(' ', '-')}-{width}-{theme}", full_page=False)
        box = dialog.bounding_box()
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 900

    somebody.go(f"{LIST}settings/")
    somebody.keep(f"invoice-settings-{width}-{theme}")
    somebody.go(f"/admin/customers/customer/{customer.id}/change/")
    page.locator("#invoices").get_by_text("INV-000001").wait_for()
    somebody.keep(f"customer-invoices-{width}-{theme}")


def test_money_is_taken_back_after_a_preview(person, billed):
    # given
    acme, _, first = billed
    somebody = person(acme.test)
    page = somebody.page
    somebody.go(f"{LIST}{first.public_id}/change/")
    # when
    dialog = somebody.open_dialog("Credit note")
    dialog.get_by_label("Amount").fill("9.50")
    dialog.get_by_label("Reason").fill("Outage on the 3rd")
    dialog.get_by_text("139.50").wait_for()
    dialog.get_by_role("button", name="Make credit note").click()
    # then
    page.get_by_text("Made a credit note on INV-000001").wait_for()
    assert page.get_by_role("link", name="CN-000001").is_visible()
    assert page.get_by_text("139.50").first.is_visible()
