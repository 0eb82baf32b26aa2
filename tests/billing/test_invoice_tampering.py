"""Whatever a superuser does to invoices, `verify_ledger` finds it and names the invoice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from billing.models import CreditNote, Invoice
from billing.services.credit_notes import credit_note_create
from billing.services.invoices import invoice_void
from billing.services.manual_payments import invoice_mark_paid
from billing.services.verification import ledger_verify
from customers.models import Customer
from tests.billing.invoicing import NOW, make_customer, make_invoice, series_of, usage_line
from tests.conftest import Character, World

Tamper = Callable[..., None]


@pytest.fixture
def world(inside_acme: Character) -> World:
    return inside_acme.test


@pytest.fixture
def tamper(superuser_sql: psycopg.Connection[Any]) -> Tamper:
    """As a superuser whom no trigger stops."""
    superuser_sql.execute("SET session_replication_role = replica")

    def run(sql: str, *parameters: Any) -> None:
        assert superuser_sql.execute(sql, parameters).rowcount > 0, "nothing was tampered with"

    return run


@pytest.fixture
def lives(world: World) -> list[Invoice]:
    """A customer's invoices: one that goes on from another, one that used credit, one voided, one with notes."""
    customer = make_customer(world)
    first = make_invoice(world, customer, usage_line(400))
    make_invoice(world, customer, -300)
    second = make_invoice(world, customer, usage_line(1000, series=series_of(first)))
    voided = make_invoice(world, customer, 50)
    invoice_void(caller=world.caller, invoice_id=voided.id, reason="Wrong", now=NOW)
    noted = make_invoice(world, customer, 900)
    for amount in (100, 200):
        credit_note_create(caller=world.caller, invoice_id=noted.id, amount_minor=amount, now=NOW)
    invoice_mark_paid(caller=world.caller, invoice_id=noted.id, now=NOW)
    make_invoice(world, customer, 7, is_draft=True)
    return [first, second, voided, noted]


def faults(world: World) -> dict[str, str]:
    found = ledger_verify(environment_id=world.id)
    return {str(finding["code"]): str(finding["message"]) for finding in reversed(found.findings)}


def test_what_services_made_is_in_order(world: World, lives: list[Invoice]) -> None:
    assert faults(world) == {}


@pytest.mark.parametrize(
    ("sql", "which", "code"),
    [
        ("UPDATE billing_invoice SET subtotal_minor = 1, total_minor = 1 WHERE id = %s", 0, "invoice-is-not-its-lines"),
        ("UPDATE billing_invoice SET tax_rate = 10 WHERE id = %s", 0, "invoice-tax-wrong"),
        ("DELETE FROM billing_invoice WHERE id = %s", 1, "invoice-number-missing"),
        ("DELETE FROM billing_invoice WHERE id = %s", 3, "last-invoices-missing"),
        ("UPDATE billing_invoice_line SET is_live = true WHERE invoice_id = %s", 2, "invoice-line-alive-wrongly"),
        (
            "UPDATE billing_invoice_line SET rated_before_minor = 399, amount_minor = 601 WHERE invoice_id = %s",
            1,
            "invoice-line-chain-broken",
        ),
        ("UPDATE billing_invoice SET credited_minor = 1 WHERE id = %s", 0, "invoice-credited-wrongly"),
        (
            "UPDATE billing_invoice SET credits_applied_minor = 299, total_minor = 301 WHERE id = %s",
            1,
            "invoice-credit-not-moved",
        ),
        ("DELETE FROM billing_credit_movement WHERE invoice_id = %s", 1, "credit-is-not-its-movements"),
    ],
)  # fmt: skip
def test_a_changed_invoice_is_named(
    world: World, lives: list[Invoice], tamper: Tamper, sql: str, which: int, code: str
) -> None:
    # when
    tamper(sql, lives[which].id)
    # then
    found = faults(world)
    assert code in found, found
    if "DELETE" not in sql:
        assert lives[which].public_id in found[code]


def test_a_removed_credit_note_is_missed(world: World, lives: list[Invoice], tamper: Tamper) -> None:
    note: UUID = CreditNote.objects.order_by("id").values_list("id", flat=True)[1]
    tamper("DELETE FROM billing_credit_note WHERE id = %s", note)
    assert faults(world)["last-credit-notes-missing"] == (
        "Credit notes are numbered up to 2; the last one there is has 1."
    )


def test_an_environment_without_invoices_is_in_order(world: World) -> None:
    assert Customer.objects.count() == 0
    assert faults(world) == {}
