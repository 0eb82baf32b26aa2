"""Many invoices, and many deeds on one, at once: numbers without gaps, and each thing happens once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from billing.models import Invoice, InvoiceLine
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from tests.billing.invoicing import NOW, line, make_customer, make_invoice, series_of
from tests.clock import clock_set
from tests.concurrency.clients import setting
from tests.conftest import Answer, Api, Character, World, run_together

CUSTOMERS = setting("PURSER_RACING_INVOICES", 12)
EACH = 5


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


def codes(answers: list[Answer]) -> Counter[Any]:
    return Counter(answer.status if answer.status < 400 else answer["code"] for answer in answers)


def in_order(world: World) -> bool:
    return ledger_verify(environment_id=world.id).findings == []


def test_numbers_have_no_gaps_whoever_comes_first(world: World) -> None:
    # given every other invoice is refused after it was begun
    customers = [make_customer(world, f"cust_{number}") for number in range(CUSTOMERS)]
    taken = [make_invoice(world, customer, 10) for customer in customers]

    def bill(index: int) -> None:
        for _ in range(EACH):
            make_invoice(world, customers[index], 100, -7)
            with environment_scope(world.id):
                stale = line(5, series=series_of(taken[index]), previous=None)
            with pytest.raises(Exception, match="billed at the same moment"):
                make_invoice(world, customers[index], stale)

    # when
    assert run_together(CUSTOMERS, bill) == [None] * CUSTOMERS
    # then
    with environment_scope(world.id):
        numbers = Invoice.objects.order_by("number_sequence").values_list("number_sequence", flat=True)
        assert list(numbers) == list(range(1, CUSTOMERS * (EACH + 1) + 1))
    assert in_order(world)


def test_a_series_is_continued_by_one_of_many(world: World) -> None:
    # given a line of a series, and many who all saw it as the last
    customer = make_customer(world)
    first = make_invoice(world, customer, 100)
    with environment_scope(world.id):
        drafts = [line(200, series=series_of(first)) for _ in range(CUSTOMERS)]
    # when
    made = run_together(CUSTOMERS, lambda index: make_invoice(world, customer, drafts[index]))
    # then
    assert sum(isinstance(each, Invoice) for each in made) == 1
    with environment_scope(world.id):
        assert InvoiceLine.objects.filter(series=series_of(first), is_live=True).count() == 2
    assert in_order(world)


def test_voided_paid_and_credited_at_once_one_wins(world: World, api: Api) -> None:
    # given
    customer = make_customer(world)
    invoice = make_invoice(world, customer, 1000)
    deeds = [("void", {}), ("mark-paid", {}), ("credit-notes", {"amount": 1000, "kind": "reduction"})]

    def act(index: int) -> Answer:
        what, body = deeds[index % len(deeds)]
        return api.post(f"/v1/invoices/{invoice.public_id}/{what}", body)

    # when
    answers = run_together(12, act)
    # then
    assert sum(answer.status in {200, 201} for answer in answers) == 1, codes(answers)
    assert {answer.status for answer in answers} <= {200, 201, 409}
    with environment_scope(world.id):
        settled = Invoice.objects.get()
    assert settled.amount_due_minor == 0
    assert in_order(world)


def test_credit_is_used_once(world: World) -> None:
    # given
    customer = make_customer(world)
    make_invoice(world, customer, -500)
    # when
    made = run_together(CUSTOMERS, lambda _: make_invoice(world, customer, 100))
    # then
    assert sum(invoice.credits_applied_minor for invoice in made) == 500
    assert sorted(invoice.total_minor for invoice in made) == [0] * 5 + [100] * (CUSTOMERS - 5)
    assert in_order(world)
