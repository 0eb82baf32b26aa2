"""`/v1/invoices/{id}` and what is done with it; credit notes; settings."""

from __future__ import annotations

import csv
from io import StringIO
from smtplib import SMTPException
from typing import Any
from uuid import UUID

import pytest
from django.core import mail

from billing.models import CreditNote, Invoice, Payment
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Customer, IdempotencyRecord, Job
from customers.services import jobs
from tests.billing.invoicing import NOW, line, make_customer, make_invoice, series_of, usage_line
from tests.clock import clock_set
from tests.conftest import Answer, Api, Character, World


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


@pytest.fixture
def customer(world: World) -> Customer:
    return make_customer(world)


@pytest.fixture
def invoice(world: World, customer: Customer) -> Invoice:
    """Source 004's, as it should have been: 10,000 for usage and 4,900."""
    return make_invoice(
        world, customer, usage_line(10_000), line(4_900), period_end_shown="2026-04-30T23:59:59Z"
    )


@pytest.fixture
def jobs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does a job as soon as it hears of it."""

    def run(environment_id: UUID, job_id: UUID) -> None:
        jobs.job_run(environment_id=environment_id, job_id=job_id, clock=system_now)

    monkeypatch.setattr(jobs, "job_ring", run)


def act(api: Api, invoice: Invoice, what: str, body: dict[str, Any] | None = None, **more: Any) -> Answer:
    return api.post(f"/v1/invoices/{invoice.public_id}/{what}", body or {}, **more)


def types(api: Api, invoice: Invoice) -> list[str]:
    """Oldest first."""
    events = api.get(f"/v1/invoices/{invoice.public_id}/events")["data"]
    return [event["type"] for event in reversed(events)]


class TestShow:
    def test_an_invoice_has_what_source_004_prints_and_more(self, api: Api, invoice: Invoice) -> None:
        # when
        shown = api.get(f"/v1/invoices/{invoice.public_id}")
        # then
        assert shown.status == 200
        printed = {
            "id": invoice.public_id,
            "customer_id": "cust_acme",
            "status": "issued",
            "total_amount": 14_900,
            "currency": "usd",
            "period_start": "2026-04-01T00:00:00Z",
            "period_end": "2026-04-30T23:59:59Z",
        }
        assert {name: shown[name] for name in printed} == printed
        assert [(each["description"], each["amount"], each["quantity"]) for each in shown["line_items"]] == [
            ("API Calls — tiered usage (1,200,000 calls)", 10_000, 1_200_000),
            ("Growth base fee", 4_900, 1),
        ]
        rest = {
            "number": "INV-000001",
            "subtotal": 14_900,
            "tax_rate": 0,
            "tax": 0,
            "credits_applied": 0,
            "amount_due": 14_900,
            "due_date": "2026-05-15T09:00:00Z",
        }
        assert {name: shown[name] for name in rest} == rest

    def test_nobody_else_sees_it(self, api: Api, invoice: Invoice, rival: Character) -> None:
        theirs = Api(rival.test.secret)
        for path in ("", "/events", "/pdf", "/csv", "/credit-notes"):
            assert theirs.get(f"/v1/invoices/{invoice.public_id}{path}").refusal() == (
                404,
                "invoice-not-found",
            )
        assert api.get("/v1/invoices/inv_nonsense").refusal() == (404, "not-found")

    def test_its_events_say_who_and_when(self, api: Api, invoice: Invoice, world: World) -> None:
        # when
        events = api.get(f"/v1/invoices/{invoice.public_id}/events")["data"]
        # then
        assert [event["type"] for event in events] == ["invoice.issued", "invoice.created"]
        assert {event["actor"] for event in events} == {world.caller.actor}
        assert {event["occurred_at"] for event in events} == {"2026-05-01T09:00:00Z"}

    def test_a_customers_invoices_in_both_forms(
        self, api: Api, invoice: Invoice, world: World, customer: Customer
    ) -> None:
        # given
        second = make_invoice(world, customer, 100, is_draft=True)
        make_invoice(world, make_customer(world, "cust_other"), 5)
        for start in ("/v1/customers/cust_acme", "/v1/customer-by-external-id/cust_acme"):
            # when
            found = api.get(f"{start}/invoices")["data"]
            # then
            assert [each["id"] for each in found] == [second.public_id, invoice.public_id]
            drafts = api.get(f"{start}/invoices?status=draft")["data"]
            assert [each["id"] for each in drafts] == [second.public_id]
        assert api.get("/v1/customers/cust_acme/invoices?state=draft").refusal() == (422, "validation-failed")


class TestActions:
    def test_a_draft_is_issued_once(self, api: Api, world: World, customer: Customer) -> None:
        # given
        draft = make_invoice(world, customer, 500, is_draft=True)
        # when
        issued = act(api, draft, "issue")
        # then
        assert (issued.status, issued["status"], issued["number"]) == (200, "issued", "INV-000001")
        assert act(api, draft, "issue").refusal() == (409, "invoice-already-issued")

    def test_void(self, api: Api, invoice: Invoice) -> None:
        # when
        voided = act(api, invoice, "void", {"reason": "Wrong plan"}, idempotency_key="void-1")
        # then
        assert (voided.status, voided["status"], voided["amount_due"]) == (200, "void", 0)
        assert types(api, invoice)[-1] == "invoice.voided"
        again = act(api, invoice, "void", {"reason": "Wrong plan"}, idempotency_key="void-1")
        assert again.bytes == voided.bytes
        assert act(api, invoice, "void").refusal() == (409, "invoice-void")

    def test_the_later_invoice_is_named(
        self, api: Api, invoice: Invoice, world: World, customer: Customer
    ) -> None:
        # given
        with environment_scope(world.id):
            series = series_of(invoice)
            later = usage_line(11_000, series=series, is_adjustment=True)
        second = make_invoice(world, customer, later)
        # when
        refused = act(api, invoice, "void")
        # then
        assert refused.refusal() == (409, "later-invoice-continues")
        assert refused["invoice_id"] == second.public_id
        shown = api.get(f"/v1/invoices/{second.public_id}")["line_items"][0]
        assert (shown["amount"], shown["billed_before"], shown["is_adjustment"]) == (1_000, 10_000, True)

    def test_marked_as_paid_it_is_not_voided(self, api: Api, invoice: Invoice, world: World) -> None:
        # when
        paid = act(
            api,
            invoice,
            "mark-paid",
            {"amount": 14_900, "paid_at": "2026-05-01T08:00:00Z", "reference": "Transfer 77"},
        )
        # then
        assert (paid.status, paid["status"], paid["amount_paid"], paid["amount_due"]) == (
            200,
            "paid",
            14_900,
            0,
        )
        with environment_scope(world.id):
            assert Payment.objects.get().provider == "manual"
        assert act(api, invoice, "void").refusal() == (409, "invoice-already-paid")
        assert act(api, invoice, "mark-paid").refusal() == (409, "invoice-already-paid")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"amount": 14_899}, "amount"),
            ({"amount": "14900"}, "amount"),
            ({"paid_at": "2026-05-01T09:00:01Z"}, "paid_at"),
            ({"paid": True}, "paid"),
        ],
    )
    def test_a_payment_that_does_not_fit(
        self, api: Api, invoice: Invoice, world: World, body: dict[str, Any], field: str
    ) -> None:
        refused = act(api, invoice, "mark-paid", body)
        assert refused.refusal() == (422, "validation-failed")
        assert refused["errors"][0]["field"] == field
        with environment_scope(world.id):
            assert not Payment.objects.exists()

    def test_a_reading_key_does_nothing(self, api: Api, invoice: Invoice) -> None:
        made = api.post("/v1/api-keys", {"name": "reader", "scopes": ["invoices:read"]})
        reader = Api(made["secret"])
        assert reader.get(f"/v1/invoices/{invoice.public_id}").status == 200
        assert act(reader, invoice, "void").refusal() == (403, "scope-missing")


class TestCreditNotes:
    def test_less_is_due(self, api: Api, invoice: Invoice) -> None:
        # when
        path = f"/v1/invoices/{invoice.public_id}/credit-notes"
        made = api.post(path, {"amount": 900, "reason": "Outage"}, idempotency_key="note-1")
        # then
        assert made.status == 201
        assert made.json == {
            "id": made["id"],
            "number": "CN-000001",
            "invoice_id": invoice.public_id,
            "customer_id": "cust_acme",
            "kind": "reduction",
            "amount": 900,
            "tax": 0,
            "currency": "usd",
            "lines": [],
            "reason": "Outage",
            "refund_status": None,
            "provider_refund_id": None,
            "metadata": {},
            "created_at": "2026-05-01T09:00:00Z",
        }
        assert api.get(path)["data"] == [made.json]
        assert api.get("/v1/credit-notes?kind=reduction")["data"] == [made.json]
        assert api.get("/v1/credit-notes?kind=refund")["data"] == []
        assert api.get(f"/v1/credit-notes/{made['id']}").json == made.json
        shown = api.get(f"/v1/invoices/{invoice.public_id}")
        assert (shown["amount_credited"], shown["amount_due"]) == (900, 14_000)

    def test_a_key_makes_one_note_for_ever(self, api: Api, invoice: Invoice, world: World) -> None:
        # given
        path = f"/v1/invoices/{invoice.public_id}/credit-notes"
        made = api.post(path, {"amount": 900}, idempotency_key="note-1")
        with environment_scope(world.id):
            IdempotencyRecord.objects.all().delete()
        # when
        again = api.post(path, {"amount": 900}, idempotency_key="note-1")
        # then
        assert (again.status, again["id"]) == (201, made["id"])
        with environment_scope(world.id):
            assert CreditNote.objects.count() == 1

    def test_of_a_line(self, api: Api, invoice: Invoice) -> None:
        path = f"/v1/invoices/{invoice.public_id}/credit-notes"
        first = api.get(f"/v1/invoices/{invoice.public_id}")["line_items"][0]
        made = api.post(path, {"lines": [{"invoice_line_id": first["id"], "amount": 100}]})
        assert (made.status, made["amount"]) == (201, 100)
        assert made["lines"] == [{"invoice_line_id": first["id"], "amount": 100}]
        refused = api.post(path, {"lines": [{"invoice_line_id": first["id"], "amount": 9_901}]})
        assert refused.refusal() == (422, "validation-failed")
        assert refused["errors"][0]["field"] == "lines.0.amount"

    def test_no_more_than_there_is(self, api: Api, invoice: Invoice) -> None:
        path = f"/v1/invoices/{invoice.public_id}/credit-notes"
        refused = api.post(path, {"amount": 14_901})
        assert refused.refusal() == (422, "credit-note-too-large")
        assert refused["available"] == 14_900
        assert api.post(path, {"kind": "balance"}).refusal() == (409, "credit-note-kind")
        assert api.get(path)["data"] == []


class TestCredit:
    def test_a_customers_credit_and_what_moved_it(self, api: Api, world: World, customer: Customer) -> None:
        # given
        owed = make_invoice(world, customer, -300)
        used = make_invoice(world, customer, 100)
        for start in ("/v1/customers/cust_acme", "/v1/customer-by-external-id/cust_acme"):
            # when
            credit = api.get(f"{start}/invoice-credit")
            moved = api.get(f"{start}/invoice-credit/movements")["data"]
            # then
            assert credit.json == {
                "customer_id": "cust_acme",
                "balances": [{"currency": "USD", "balance": 200}],
            }
            assert [(each["what"], each["amount"], each["invoice_id"]) for each in moved] == [
                ("applied", -100, used.public_id),
                ("carried", 300, owed.public_id),
            ]
        assert api.get("/v1/customers/cust_nobody/invoice-credit").refusal() == (404, "customer-not-found")

    def test_nobody_elses(self, world: World, customer: Customer, rival: Character) -> None:
        make_invoice(world, customer, -300)
        theirs = Api(rival.test.secret)
        assert theirs.get("/v1/customers/cust_acme/invoice-credit").status == 404


class TestFiles:
    def test_a_pdf_that_is_the_same_each_time(self, api: Api, invoice: Invoice) -> None:
        # when
        answer = api.get(f"/v1/invoices/{invoice.public_id}/pdf")
        # then
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="INV-000001.pdf"'
        assert answer.bytes.startswith(b"%PDF-")
        assert api.get(f"/v1/invoices/{invoice.public_id}/pdf").bytes == answer.bytes

    def test_the_lines_as_csv(self, api: Api, world: World, customer: Customer) -> None:
        # given a description that a spreadsheet would run
        invoice = make_invoice(world, customer, usage_line(10_000), line(-5, description="=1+1"))
        # when
        answer = api.get(f"/v1/invoices/{invoice.public_id}/csv")
        # then
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(StringIO(answer.bytes.decode())))
        assert [(row["quantity"], row["amount"], row["kind"]) for row in rows] == [
            ("1200000", "10000", "usage"),
            ("1", "-5", "fee"),
        ]
        assert rows[1]["description"] == "'=1+1"
        assert rows[0]["number"] == "INV-000001"


class TestEmail:
    def test_it_is_sent_with_its_pdf_and_written_down(
        self, api: Api, invoice: Invoice, jobs_at_once: None
    ) -> None:
        # when
        queued = act(api, invoice, "email")
        # then
        assert (queued.status, queued["to"]) == (202, "billing@acme.io")
        sent = mail.outbox[0]
        assert (sent.to, sent.subject) == (["billing@acme.io"], "[test] Invoice INV-000001")
        assert "149.00 USD by 2026-05-15" in sent.body
        name, content, kind = sent.attachments[0]
        assert (name, kind, content[:5]) == ("INV-000001.pdf", "application/pdf", b"%PDF-")
        event = api.get(f"/v1/invoices/{invoice.public_id}/events")["data"][0]
        assert event["type"] == "invoice.emailed"
        assert event["data"] == {"to": "billing@acme.io", "job_id": queued["job_id"]}
        assert api.get(f"/v1/jobs/{queued['job_id']}")["state"] == "done"

    def test_a_worker_that_comes_again_does_not_send_again(
        self, api: Api, invoice: Invoice, world: World, jobs_at_once: None
    ) -> None:
        # given a job whose worker died after it had written down that it sent
        queued = act(api, invoice, "email")
        with environment_scope(world.id):
            job = Job.objects.get(kind="billing.invoice_email")
            Job.objects.update(state="queued", finished_at=None, run_id=None)
        # when
        jobs.job_run(environment_id=world.id, job_id=job.id, clock=system_now)
        # then
        assert len(mail.outbox) == 1
        assert types(api, invoice).count("invoice.emailed") == 1
        assert api.get(f"/v1/jobs/{queued['job_id']}")["state"] == "done"

    def test_to_another_address(self, api: Api, invoice: Invoice, jobs_at_once: None) -> None:
        assert act(api, invoice, "email", {"to": "books@acme.io"}).status == 202
        assert [message.to for message in mail.outbox] == [["books@acme.io"]]

    def test_without_an_address_or_a_number(self, api: Api, world: World, jobs_at_once: None) -> None:
        nobody = make_customer(world, "cust_silent", email=None)
        assert act(api, make_invoice(world, nobody, 5), "email").refusal() == (422, "no-email-address")
        draft = make_invoice(world, make_customer(world, "cust_b"), 5, is_draft=True)
        assert act(api, draft, "email").refusal() == (409, "invoice-is-draft")
        assert act(api, draft, "email", {"to": "nobody"}).refusal() == (422, "validation-failed")
        assert mail.outbox == []

    def test_a_mail_server_that_refuses_leaves_a_trace(
        self, api: Api, invoice: Invoice, jobs_at_once: None, settings: Any
    ) -> None:
        # given
        settings.EMAIL_BACKEND = "tests.billing.test_invoice_api.Refusing"
        # when
        queued = act(api, invoice, "email")
        # then
        job = api.get(f"/v1/jobs/{queued['job_id']}")
        assert (job["state"], job["error"]) == ("failed", "SMTPException: no such mailbox")
        event = api.get(f"/v1/invoices/{invoice.public_id}/events")["data"][0]
        assert (event["type"], event["data"]["error"]) == (
            "invoice.email_failed",
            "SMTPException: no such mailbox",
        )

    def test_without_a_mail_server(self, api: Api, invoice: Invoice, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        assert act(api, invoice, "email").refusal() == (409, "mail-not-set-up")

    def test_what_nobody_asked_for_is_sent_by_itself(
        self, api: Api, world: World, customer: Customer, jobs_at_once: None
    ) -> None:
        # given
        make_invoice(world, customer, 1, source="automatic")
        assert api.patch("/v1/invoice-settings", {"emails_invoices": True}).status == 200
        make_invoice(world, customer, 2)
        assert mail.outbox == []
        # when
        make_invoice(world, customer, 3, source="automatic")
        # then
        assert [message.subject for message in mail.outbox] == ["[test] Invoice INV-000003"]


class Refusing:
    """A mail backend whose server takes nothing."""

    def __init__(self, **_: Any) -> None:
        pass

    def send_messages(self, _messages: Any) -> int:
        raise SMTPException("no such mailbox")


class TestSettings:
    def test_what_is_usual_and_what_was_changed(self, api: Api, world: World) -> None:
        # given
        usual = api.get("/v1/invoice-settings")
        assert (usual["number_prefix"], usual["days_until_due"], usual["dunning_days"]) == (
            "INV-",
            14,
            [3, 5, 7],
        )
        # when
        changed = api.patch(
            "/v1/invoice-settings",
            {"number_prefix": "A-", "next_invoice_number": 1001, "dunning_days": [1], "seller_name": "We"},
        )
        # then
        assert changed.status == 200
        assert (changed["number_prefix"], changed["next_invoice_number"]) == ("A-", 1001)
        invoice = make_invoice(world, make_customer(world), 5)
        assert (invoice.number, invoice.bill_from["name"]) == ("A-001001", "We")
        assert api.patch("/v1/invoice-settings", {"next_invoice_number": 5}).refusal() == (
            409,
            "numbers-given",
        )
        assert api.get("/v1/invoice-settings")["next_invoice_number"] == 1002

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"days_until_due": -1}, "days_until_due"),
            ({"dunning_days": [0]}, "dunning_days.0"),
            ({"dunning_days": [1] * 11}, "dunning_days"),
            ({"number_prefix": "x" * 21}, "number_prefix"),
            ({"seller_email": "nobody"}, "seller_email"),
            ({"last_number": 7}, "last_number"),
        ],
    )
    def test_a_bad_setting_is_named(self, api: Api, body: dict[str, Any], field: str) -> None:
        refused = api.patch("/v1/invoice-settings", body)
        assert refused.refusal() == (422, "validation-failed")
        assert refused["errors"][0]["field"] == field

    def test_each_tenant_has_its_own(self, api: Api, rival: Character) -> None:
        api.patch("/v1/invoice-settings", {"number_prefix": "A-"})
        assert Api(rival.test.secret).get("/v1/invoice-settings")["number_prefix"] == "INV-"


def test_unknown_ids_are_not_found(api: Api) -> None:
    unknown = "inv_01k7x3s9c5ef6v8b2n4m6q8r0t"
    for path in ("issue", "void", "mark-paid", "email", "credit-notes"):
        assert api.post(f"/v1/invoices/{unknown}/{path}", {}).refusal() == (404, "invoice-not-found")
    assert api.get("/v1/credit-notes/cnt_01k7x3s9c5ef6v8b2n4m6q8r0t").refusal() == (
        404,
        "credit-note-not-found",
    )
