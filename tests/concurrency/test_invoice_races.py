"""Fifty who bill one customer at once: one invoice."""

from __future__ import annotations

from typing import Any

from billing.models import Invoice, InvoiceLine
from customers.kernel.database import environment_scope
from subscriptions.models import PeriodInvoice
from tests.concurrency.clients import setting
from tests.conftest import Api, Character, run_together
from tests.subscriptions.priced import growing

BILLERS = setting("PURSER_RACING_BILLERS", 50)
END_OF_APRIL = "2026-04-30T23:59:59Z"


def test_one_of_many_at_once_bills_and_the_others_are_told_by_which(api: Api, acme: Character) -> None:
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")

    def bill(_index: int) -> Any:
        return Api(acme.test.secret).post(
            "/v1/invoices", {"customer_id": "cust_acme", "cutoff_date": END_OF_APRIL}
        )

    answers = run_together(BILLERS, bill)

    made = [answer for answer in answers if answer.status == 201]
    assert len(made) == 1
    refused = [answer for answer in answers if answer is not made[0]]
    assert {answer.refusal() for answer in refused} == {(409, "already-invoiced")}
    assert {answer["invoice_id"] for answer in refused} == {made[0]["id"]}
    with environment_scope(acme.test.id):
        assert Invoice.objects.get().number_sequence == 1, "no number was lost"
        assert InvoiceLine.objects.count() == 2
        assert PeriodInvoice.objects.get().is_closing


def test_one_key_sent_by_many_at_once_makes_one_invoice(api: Api, acme: Character) -> None:
    growing(api, acme.test)

    def bill(_index: int) -> Any:
        body = {"customer_id": "cust_acme", "cutoff_date": END_OF_APRIL}
        return Api(acme.test.secret).post("/v1/invoices", body, idempotency_key="april")

    answers = run_together(10, bill)

    assert {answer.status for answer in answers} == {201}
    assert len({answer["id"] for answer in answers}) == 1


def test_events_that_come_while_it_is_billed_are_on_it_or_on_the_next_never_on_both(
    api: Api, acme: Character
) -> None:
    seller = growing(api, acme.test)

    def deed(index: int) -> Any:
        mine = Api(acme.test.secret)
        if index % 5 == 0:
            return mine.post("/v1/invoices", {"customer_id": "cust_acme", "cutoff_date": END_OF_APRIL})
        return mine.post(
            "/v1/events",
            {
                "customer_id": "cust_acme",
                "metric_key": "api_calls",
                "value": 100_000,
                "timestamp": "2026-04-03T09:30:00Z",
                "idempotency_key": f"event-{index}",
            },
        )

    answers = run_together(25, deed)
    seller.bill()

    assert {answer.status for answer in answers} <= {201, 202, 409}
    # 20 events of 100,000: 90 for the second tier, 50 for a million in the third.
    assert sum(invoice["subtotal"] for invoice in seller.invoices()) == 14_000 + 4900
    events = api.get("/v1/events?limit=100")["data"]
    assert [len(api.get(f"/v1/events/{event['id']}")["invoice_lines"]) for event in events] == [1] * 20
