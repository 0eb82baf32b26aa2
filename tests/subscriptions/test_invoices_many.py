"""Invoices that nobody asks for one by one: in bulk, and by themselves when a period is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.models import Invoice
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import Job
from customers.services.jobs import job_run
from subscriptions.models import SubscriptionPeriod
from subscriptions.services import billing_bulk
from subscriptions.services.billing_automatic import invoices_make
from subscriptions.services.billing_run import customer_bill
from tests.clock import clock_set
from tests.conftest import Api
from tests.subscriptions.priced import MAY_2, PER_CALL, Seller, amounts, charging, growing
from tests.subscriptions.pricing import fee, make_price_plan

END_OF_APRIL = "2026-04-30T23:59:59Z"


@pytest.fixture
def crowd(api, acme):
    """Three customers of 49.00 a month, and one who has nothing to do with it."""
    seller = charging(api, acme.test, fee("49"))
    for name in ("cust_b", "cust_c"):
        seller.customer(name)
        seller.subscribe(name)
    seller.customer("cust_idle")
    return seller


def bulk(seller: Seller, **asked):
    answer = seller.api.post("/v1/invoices/bulk", {"cutoff_date": END_OF_APRIL, **asked})
    assert answer.status == 202, answer
    return answer["id"]


def work(seller: Seller, job: str):
    job_id = typeid_parse("job", job)
    assert job_id is not None
    job_run(environment_id=seller.world.id, job_id=job_id, clock=system_now)
    return seller.api.get(f"/v1/jobs/{job}")


def rows(seller: Seller, job: str):
    return list(reversed(seller.api.get(f"/v1/jobs/{job}/results")["data"]))


def totals(seller: Seller):
    return [invoice["total_amount"] for invoice in seller.invoices()]


def test_everybody_with_a_price_plan_is_billed_with_a_row_each(crowd):
    crowd.billed("cust_b", cutoff_date=END_OF_APRIL)

    job = bulk(crowd)
    done = work(crowd, job)

    assert (done["state"], done["progress"]) == ("done", {"done": 3, "total": 3})
    assert done["result"] == {"customers": 3, "invoiced": 2, "invoiced_before": 1}
    assert [(row["customer_id"], row["outcome"]) for row in rows(crowd, job)] == [
        ("cust_acme", "invoiced"),
        ("cust_b", "invoiced_before"),
        ("cust_c", "invoiced"),
    ]
    assert rows(crowd, job)[0]["total_amount"] == 4900
    assert {invoice["source"] for invoice in crowd.invoices()} == {"api", "bulk"}
    assert totals(crowd) == [4900, 4900, 4900]


def test_a_worker_that_dies_leaves_nobody_billed_without_a_row_and_nobody_is_billed_twice(crowd, monkeypatch):
    job, bill, calls = bulk(crowd), customer_bill, []

    def dying(**asked):
        calls.append(asked)
        invoice = bill(**asked)
        if len(calls) == 2:
            raise SystemExit("the worker is killed after its work, before its row")
        return invoice

    monkeypatch.setattr(billing_bulk, "customer_bill", dying)
    with pytest.raises(SystemExit):
        work(crowd, job)
    assert totals(crowd) == [4900]
    assert len(rows(crowd, job)) == 1
    with environment_scope(crowd.world.id):
        Job.objects.update(heartbeat_at=datetime(2020, 1, 1, tzinfo=UTC))

    done = work(crowd, job)

    assert done["result"] == {"customers": 3, "invoiced": 3}
    assert totals(crowd) == [4900] * 3
    assert [row["outcome"] for row in rows(crowd, job)] == ["invoiced"] * 3


def test_only_the_named_customers_or_those_of_a_price_plan(crowd):
    make_price_plan(crowd.api, "plan_other", fee("10"))
    crowd.subscribe("cust_b", plan="plan_other")

    named = work(crowd, bulk(crowd, customer_ids=["cust_c", "cust_idle"]))
    of_plan = work(crowd, bulk(crowd, price_plan_id="plan_other"))

    assert named["result"] == {"customers": 2, "invoiced": 1, "nothing_to_bill": 1}
    assert of_plan["result"] == {"customers": 1, "invoiced": 1}
    assert sorted(totals(crowd)) == [4900, 5900]


def test_who_owes_in_two_currencies_gets_two_invoices(crowd):
    make_price_plan(crowd.api, "plan_euro", fee("10"), currency="eur")
    crowd.subscribe("cust_b", plan="plan_euro")

    done = work(crowd, bulk(crowd, customer_ids=["cust_b"]))

    assert done["result"] == {"customers": 1, "invoiced": 2}
    assert sorted(invoice["currency"] for invoice in crowd.invoices()) == ["eur", "usd"]


def test_unknown_customers_are_refused_and_no_job_is_made(crowd):
    answer = crowd.api.post("/v1/invoices/bulk", {"customer_ids": ["cust_b", "cust_x"]})

    assert answer.refusal() == (404, "customer-not-found")
    assert [error["field"] for error in answer["errors"]] == ["customer_ids.1"]
    assert crowd.api.get("/v1/jobs")["data"] == []


# --- By themselves


@pytest.fixture
def automatic(api, acme):
    """A customer since the first of April, who asked to be invoiced by itself."""
    seller = Seller(api=api, world=acme.test)
    seller.time(datetime(2026, 4, 3, tzinfo=UTC))
    seller.metric()
    make_price_plan(api, "plan_growth", PER_CALL, fee("49"))
    seller.customer()
    seller.subscribe(invoices_automatically=True)
    return seller


def advance(seller: Seller, to: str):
    answer = seller.api.post("/v1/test-clock/advance", {"to": to})
    assert answer.status == 200, answer
    return answer


def test_each_period_is_invoiced_when_it_ends_and_dated_then(automatic):
    automatic.use(1000, "2026-04-02T09:30:00Z")

    advance(automatic, "2026-06-15T00:00:00Z")

    may, april = automatic.invoices()
    assert (amounts(april), amounts(may)) == ([1000, 4900], [0, 4900])
    assert (april["issued_at"], may["issued_at"]) == ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")
    assert {april["source"], may["source"]} == {"automatic"}
    assert (april["period_start"], april["period_end"]) == ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z")


def test_an_automatic_invoice_that_is_voided_does_not_come_back_by_itself(automatic):
    assert automatic.api.patch("/v1/invoice-settings", {"charges_automatically": False}).status == 200
    advance(automatic, "2026-05-02T00:00:00Z")
    [april] = automatic.invoices()
    assert automatic.void(april["id"]).status == 200

    advance(automatic, "2026-05-20T00:00:00Z")

    assert [invoice["status"] for invoice in automatic.invoices()] == ["void"]


def test_a_cancellation_at_once_is_invoiced_at_once(automatic):
    subscription = automatic.api.get("/v1/customers/cust_acme/subscriptions")["data"][0]["id"]
    body = {"cancel_immediately": True}
    assert automatic.api.post(f"/v1/subscriptions/{subscription}/cancel", body).status == 200

    advance(automatic, "2026-04-03T00:00:01Z")

    [last] = automatic.invoices()
    assert amounts(last) == [0, round(4900 * 2 / 30)]


def test_who_did_not_ask_is_not_invoiced(api, acme):
    seller = growing(api, acme.test)

    advance(seller, "2026-06-15T00:00:00Z")

    assert seller.invoices() == []


def test_what_cannot_be_invoiced_says_why_and_holds_up_nobody(automatic):
    for _ in range(2):
        automatic.use(10**15, "2026-04-02T09:30:00Z")
    automatic.customer("cust_b")
    automatic.subscribe("cust_b", invoices_automatically=True)

    advance(automatic, "2026-05-02T00:00:00Z")

    assert [invoice["customer_id"] for invoice in automatic.invoices()] == ["cust_b"]
    with environment_scope(automatic.world.id):
        failures = SubscriptionPeriod.objects.exclude(invoice_failure="")
        assert [each.invoice_failure.split(":")[0] for each in failures] == ["amount-too-large"]


def test_the_scheduler_invoices_what_is_due_in_all_environments_by_the_systems_time(acme):
    live = Seller(api=Api(acme.live.secret), world=acme.live)
    make_price_plan(live.api, "plan_growth", fee("49"))
    live.customer()
    live.subscribe(start="2026-04-01T00:00:00Z", invoices_automatically=True)
    with environment_scope(acme.live.id):
        over = SubscriptionPeriod.objects.filter(invoice_due_at__isnull=False).count()
    assert over > 0

    invoices_make(now=system_now())

    with environment_scope(acme.live.id):
        assert Invoice.objects.count() == over
        assert not SubscriptionPeriod.objects.filter(invoice_due_at__isnull=False).exists()
    assert {invoice["total_amount"] for invoice in live.invoices()} == {4900}


def test_the_scheduler_leaves_clocked_environments_to_their_clock(automatic):
    clock_set(automatic.world, MAY_2)
    automatic.api.get("/v1/customers/cust_acme/subscriptions")

    invoices_make(now=system_now())

    assert automatic.invoices() == []
