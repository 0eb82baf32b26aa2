"""Reconciling: nothing when all is well, and a row for each thing that is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billing.models import Invoice, Payment, Reconciliation
from billing.services.credit_notes import credit_note_create
from billing.services.reconciliations import reconcile_all
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.services import jobs
from tests.conftest import Api
from tests.stripe.conftest import DECLINES, GOOD, Shop
from tests.stripe.stand_in import CUT, DROP, PASS, always, once


@pytest.fixture(autouse=True)
def jobs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does a job as soon as it hears of it."""

    def run(environment_id: UUID, job_id: UUID) -> None:
        jobs.job_run(environment_id=environment_id, job_id=job_id, clock=system_now)

    monkeypatch.setattr(jobs, "job_ring", run)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def reconciled(shop: Shop, **window: datetime) -> dict[str, Any]:
    """The report over the last day, or another window."""
    begin = window.get("begin", datetime.now(UTC) - timedelta(days=1))
    end = window.get("end", datetime.now(UTC) + timedelta(minutes=1))
    job = shop.api.post("/v1/reconciliations", {"begin": begin.isoformat(), "end": end.isoformat()})
    assert job.status == 202, job
    done = shop.api.get(f"/v1/jobs/{job['id']}")
    assert done["state"] == "done", done
    return dict(shop.api.get(f"/v1/reconciliations/{done['result']['reconciliation_id']}").json)


def differences(shop: Shop) -> list[tuple[str, Any, Any]]:
    return [(each["kind"], each["ours"], each["theirs"]) for each in reconciled(shop)["differences"]]


@pytest.fixture
def paid(shop: Shop, now: datetime) -> Invoice:
    invoice = shop.invoice(GOOD, now=now)
    assert shop.charge(invoice)["status"] == "paid"
    return invoice


class TestAllIsWell:
    def test_a_paid_invoice_agrees_everywhere(self, shop, paid):
        report = reconciled(shop)

        assert report["differences"] == []
        assert report["totals"] == {
            "invoices": [{"currency": "USD", "count": 1, "total": 14900, "paid": 14900, "due": 0}],
            "payments": [
                {"currency": "USD", "provider": "stripe", "count": 1, "amount": 14900, "refunded": 0}
            ],
            "provider": {
                "name": "stripe",
                "status": "compared",
                "payments": [{"currency": "USD", "count": 1, "amount": 14900, "refunded": 0}],
                "others": report["totals"]["provider"]["others"],
            },
            "differences": 0,
        }

    def test_declines_reductions_and_credits_agree_too(self, shop, now):
        declined = shop.invoice(DECLINES, now=now)
        shop.charge(declined)
        with environment_scope(shop.world.id):
            credit_note_create(
                caller=shop.world.caller, invoice_id=declined.id, amount_minor=900, reason="x", now=now
            )
        card = shop.stripe.card(shop.reference(declined), GOOD)
        assert shop.charge(declined, payment_method_id=card)["status"] == "paid"
        with environment_scope(shop.world.id):
            credit_note_create(
                caller=shop.world.caller,
                invoice_id=declined.id,
                amount_minor=500,
                kind="balance",
                now=now,
            )

        assert reconciled(shop)["differences"] == []

    def test_an_environment_without_an_account_is_compared_inside(self, shop, paid):
        shop.api.delete("/v1/payment-providers/stripe")

        report = reconciled(shop)

        assert report["totals"]["provider"] == {"name": None, "status": "not-connected"}
        assert report["differences"] == []

    def test_other_business_on_the_account_is_only_counted(self, shop, paid):
        before = reconciled(shop)["totals"]["provider"]["others"]
        shop.stripe.ask("POST", "/v1/payment_intents", {"amount": 5, "currency": "usd"})

        report = reconciled(shop)

        assert report["totals"]["provider"]["others"] == before + 1
        assert report["differences"] == []


class TestDifferences:
    def test_money_that_only_the_provider_knows_of(self, shop, paid):
        form = {
            "amount": 700,
            "currency": "usd",
            "customer": shop.reference(paid),
            "payment_method": shop.stripe.card(shop.reference(paid), GOOD),
            "confirm": "true",
            "metadata[purser_environment]": str(shop.world.id),
            "metadata[purser_key]": "inv_lost-1",
        }
        made = shop.stripe.ask("POST", "/v1/payment_intents", form)

        (difference,) = reconciled(shop)["differences"]

        assert (difference["kind"], difference["theirs"]) == ("unknown-here", 700)
        assert difference["provider_payment_id"] == made["id"]

    def test_money_for_an_attempt_that_failed_here(self, shop, now):
        invoice = shop.invoice(GOOD, now=now)
        shop.stripe.follow(once(CUT))
        shop.charge(invoice)
        with environment_scope(shop.world.id):
            Payment.objects.filter(invoice=invoice).update(status="failed", ask_again_at=None)

        assert differences(shop) == [("paid-at-provider", 0, 14900)]

    def test_a_payment_that_the_provider_does_not_have(self, shop, paid):
        with environment_scope(shop.world.id):
            Payment.objects.filter(invoice=paid).update(provider_payment_id="pi_gone")

        assert differences(shop) == [("missing-at-provider", 14900, None)]

    def test_a_refund_that_was_made_at_the_provider_only(self, shop, paid):
        shop.stripe.ask("POST", "/v1/refunds", {"payment_intent": shop.intent_id(paid), "amount": 900})

        (difference,) = reconciled(shop)["differences"]

        assert (difference["kind"], difference["ours"], difference["theirs"]) == ("refund-differs", 0, 900)
        assert difference["invoice_id"] == paid.public_id
        assert difference["payment_id"] == shop.payment(paid).public_id

    def test_another_amount(self, shop, paid):
        with environment_scope(shop.world.id):
            Payment.objects.filter(invoice=paid).update(amount_minor=14_800)

        assert differences(shop) == [
            ("invoice-payments-differ", 14900, 14800),
            ("amount-differs", 14800, 14900),
        ]

    def test_books_that_were_tampered_with(self, shop, paid, superuser_sql):
        superuser_sql.execute("SET session_replication_role = replica")
        superuser_sql.execute(
            "UPDATE billing_invoice SET paid_minor = 100, total_minor = 100, subtotal_minor = 100 WHERE id = %s",
            [paid.id],
        )

        assert differences(shop) == [
            ("invoice-payments-differ", 100, 14900),
            ("invoice-lines-differ", 100, 14900),
        ]

    def test_a_topup_whose_payment_was_for_less(self, shop):
        intent = shop.stripe.ask(
            "POST",
            "/v1/payment_intents",
            {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"},
        )
        body = {
            "external_customer_id": "user_1",
            "credits": 1000,
            "price_paid": 1000,
            "currency": "usd",
            "external_payment_id": intent["id"],
        }
        assert shop.api.post("/v1/topup/grant", body, idempotency_key="topup-1").status == 201

        (difference,) = reconciled(shop)["differences"]

        assert (difference["kind"], difference["ours"], difference["theirs"]) == ("topup-differs", 1000, 500)
        assert difference["topup_id"].startswith("top_")

    def test_a_payment_that_is_under_way_for_days(self, shop, now):
        invoice = shop.invoice(GOOD, now=now)
        shop.stripe.follow(once(DROP))
        shop.charge(invoice)
        with environment_scope(shop.world.id):
            Payment.objects.filter(invoice=invoice).update(asked_at=now - timedelta(days=2))

        assert differences(shop) == [("payment-unsettled", 14900, None)]

    def test_a_provider_that_does_not_answer_is_said(self, shop, paid):
        shop.stripe.follow(always(DROP))

        report = reconciled(shop)

        assert report["totals"]["provider"] == {"name": "stripe", "status": "unavailable"}
        assert [each["kind"] for each in report["differences"]] == ["provider-unavailable"]
        shop.stripe.follow(always(PASS))


class TestReports:
    def test_they_are_listed_without_their_differences(self, shop, paid):
        first, second = reconciled(shop), reconciled(shop)

        listed = shop.api.get("/v1/reconciliations")["data"]

        assert [each["id"] for each in listed] == [second["id"], first["id"]]
        assert "differences" not in listed[0]

    def test_another_tenant_sees_none(self, shop, paid, rival):
        report = reconciled(shop)
        other = Api(rival.test.secret)

        assert other.get("/v1/reconciliations")["data"] == []
        assert other.get(f"/v1/reconciliations/{report['id']}").refusal() == (404, "reconciliation-not-found")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"begin": "2026-05-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"},
            {"begin": "2026-05-02T00:00:00Z", "end": "2026-05-01T00:00:00Z"},
            {"begin": "2020-05-02T00:00:00Z", "end": "2026-05-01T00:00:00Z"},
            {"begin": "yesterday", "end": "2026-05-01T00:00:00Z"},
        ],
    )
    def test_a_window_that_is_none_is_refused(self, shop, body):
        assert shop.api.post("/v1/reconciliations", body).refusal() == (422, "validation-failed")
        assert shop.api.get("/v1/reconciliations")["data"] == []

    def test_every_environment_is_reconciled_by_the_day(self, shop, paid, rival):
        reconcile_all(now=datetime.now(UTC) + timedelta(minutes=1))

        for world in (shop.world, rival.live):
            with environment_scope(world.id):
                (made,) = Reconciliation.objects.all()
                assert made.differences == []
                assert made.actor == "system:beat"
