"""Payments, providers and reconciliations in the admin: looked at, asked about, connected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.models import Invoice, Payment, ProviderAccount, Reconciliation
from billing.services.reconciliations import reconcile
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Job, User
from tests.billing.invoicing import NOW, make_customer, make_invoice
from tests.clock import clock_set
from tests.conftest import Api, Character, World
from tests.desk import Desk, somebody

PAYMENTS = "/admin/billing/payment/"
PROVIDERS = "/admin/billing/provideraccount/"
RECONCILIATIONS = "/admin/billing/reconciliation/"
KEYS = {"secret_key": "sk_test_51Nabcdefgh4Tzq", "webhook_secret": "whsec_8fAbcdefgh", "reason": "We begin"}


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


@pytest.fixture
def desk(world: World, operator: User) -> Desk:
    return Desk(operator, world)


def invoice_of(world: World, amount_minor: int = 14_900) -> Invoice:
    customer = make_customer(world, display_name="Acme Incorporated", payment_provider="stripe")
    return make_invoice(world, customer, amount_minor)


def charge_path(invoice: Invoice) -> str:
    return f"/admin/billing/invoice/{invoice.public_id}/actions/charge/"


def payment_of(world: World, invoice: Invoice) -> Payment:
    with environment_scope(world.id):
        return Payment.objects.filter(invoice=invoice).latest("attempt")


def status_of(world: World, invoice: Invoice) -> str:
    with environment_scope(world.id):
        return str(Invoice.objects.get(id=invoice.id).status)


class TestCharging:
    def test_the_form_says_what_it_will_do(self, desk, world):
        invoice = invoice_of(world)

        shown = desk.open(charge_path(invoice))

        assert "149.00 USD will be charged by sandbox at once." in shown
        assert status_of(world, invoice) == "issued"

    def test_a_person_charges_an_invoice(self, desk, world):
        invoice = invoice_of(world)

        answer = desk.send(charge_path(invoice), {"reason": "Asked on the phone"}, follow=True)

        assert answer.status_code == 200
        assert status_of(world, invoice) == "paid"
        payment = payment_of(world, invoice)
        assert (payment.actor, payment.reason) == (f"user:{desk.user.username}", "Asked on the phone")
        with environment_scope(world.id):
            record = AuditRecord.objects.get(action="invoice.charged")
        assert record.reason == "Asked on the phone"
        assert payment.public_id in desk.open(f"/admin/billing/invoice/{invoice.public_id}/change/")

    def test_the_same_form_twice_charges_once(self, desk, world):
        invoice = invoice_of(world)
        token = desk.token(charge_path(invoice))

        for _ in range(2):
            desk.send(charge_path(invoice), {"reason": "x"}, token=token)

        with environment_scope(world.id):
            assert Payment.objects.filter(invoice=invoice).count() == 1

    def test_a_decline_is_said_in_the_form(self, desk, world):
        invoice = invoice_of(world, 10_002)

        answer = desk.send(charge_path(invoice), {"reason": "x"})

        assert answer.status_code == 422
        assert "The card was declined." in answer.content.decode()
        assert status_of(world, invoice) == "issued"

    def test_another_card_is_named(self, desk, world):
        invoice = invoice_of(world, 10_002)

        desk.send(charge_path(invoice), {"reason": "x", "payment_method_id": "pm_card_visa"})

        assert status_of(world, invoice) == "paid"

    def test_a_reason_is_needed(self, desk, world):
        invoice = invoice_of(world)

        assert desk.send(charge_path(invoice), {"reason": ""}).status_code == 422
        assert status_of(world, invoice) == "issued"

    def test_who_may_only_look_cannot_charge(self, world):
        invoice = invoice_of(world)
        viewer = Desk(somebody("viewer"), world)

        assert charge_path(invoice) not in viewer.open(f"/admin/billing/invoice/{invoice.public_id}/change/")
        viewer.open(charge_path(invoice), status=403)
        assert Desk(somebody("finance"), world).open(charge_path(invoice))


class TestPayments:
    @pytest.fixture
    def waiting(self, world: World, api: Api) -> Invoice:
        invoice = invoice_of(world, 13_155)
        assert api.post(f"/v1/invoices/{invoice.public_id}/charge", {})["status"] == "processing"
        return invoice

    def test_they_are_listed_and_found(self, desk, world, waiting):
        payment = payment_of(world, waiting)
        for term in (payment.public_id, waiting.public_id, payment.provider_payment_id, "Incorporated"):
            assert payment.public_id in desk.open(f"{PAYMENTS}?q={term}"), term
        assert payment.public_id not in desk.open(f"{PAYMENTS}?q=pi_nothing")
        assert payment.public_id in desk.open(f"{PAYMENTS}?status__exact=requires_action")

    def test_a_page_says_what_happened(self, desk, world, waiting):
        payment = payment_of(world, waiting)

        shown = desk.open(f"{PAYMENTS}{payment.public_id}/change/")

        assert "Requires action" in shown
        assert str(payment.provider_payment_id) in shown
        assert "Let it succeed" in shown
        assert desk.queries(f"{PAYMENTS}{payment.public_id}/change/") <= 15

    def test_the_list_does_not_ask_for_each_row(self, desk, world, waiting):
        assert desk.queries(PAYMENTS) <= 15

    def test_a_sandbox_payment_is_let_succeed(self, desk, world, waiting):
        path = f"{PAYMENTS}{payment_of(world, waiting).public_id}/simulate/succeeded/"

        desk.send(path, {"reason": "x"})

        assert status_of(world, waiting) == "paid"

    def test_or_fail(self, desk, world, waiting):
        desk.send(f"{PAYMENTS}{payment_of(world, waiting).public_id}/simulate/failed/", {"reason": "x"})

        assert status_of(world, waiting) == "issued"

    def test_an_outcome_that_is_none_is_not_found(self, desk, world, waiting):
        desk.open(f"{PAYMENTS}{payment_of(world, waiting).public_id}/simulate/maybe/", status=404)

    def test_asking_settles_nothing_that_waits(self, desk, world, waiting):
        desk.send(f"{PAYMENTS}{payment_of(world, waiting).public_id}/ask/", {"reason": "x"})

        assert status_of(world, waiting) == "processing"

    def test_a_viewer_cannot_do_either(self, world, waiting):
        viewer, payment = Desk(somebody("viewer"), world), payment_of(world, waiting)

        assert "Let it succeed" not in viewer.open(f"{PAYMENTS}{payment.public_id}/change/")
        viewer.open(f"{PAYMENTS}{payment.public_id}/ask/", status=403)
        viewer.open(f"{PAYMENTS}{payment.public_id}/simulate/succeeded/", status=403)

    def test_another_tenants_payment_is_not_there(self, desk, world, waiting, rival):
        payment = payment_of(world, waiting)
        desk.look_at(rival.test)

        desk.open(f"{PAYMENTS}{payment.public_id}/change/", status=404)


class TestProviders:
    def test_stripe_is_connected_without_showing_its_keys(self, desk, world):
        answer = desk.send(f"{PROVIDERS}add/", KEYS, follow=True)

        shown = answer.content.decode()
        assert "…4Tzq" in shown
        assert KEYS["secret_key"] not in shown
        assert "/v1/providers/stripe/webhook" in shown
        with environment_scope(world.id):
            record = AuditRecord.objects.get(action="payment_provider.set")
        assert record.reason == "We begin"

    def test_wrong_keys_are_said_at_their_field(self, desk, world):
        answer = desk.send(f"{PROVIDERS}add/", {**KEYS, "secret_key": "sk_live_51N"})

        assert answer.status_code == 422
        assert "Must be a key of Stripe&#x27;s test mode" in answer.content.decode()
        assert "sk_live_51N" not in answer.content.decode()
        with environment_scope(world.id):
            assert not ProviderAccount.objects.exists()

    def test_it_is_disconnected(self, desk, world):
        desk.send(f"{PROVIDERS}add/", KEYS)

        desk.send(f"{PROVIDERS}disconnect/", {"reason": "Moving"})

        with environment_scope(world.id):
            assert not ProviderAccount.objects.exists()

    def test_only_an_owner_says_where_the_money_goes(self, world):
        for role in ("viewer", "support", "operator", "finance"):
            other = Desk(somebody(role), world)
            other.open(PROVIDERS)
            other.open(f"{PROVIDERS}add/", status=403)
            other.open(f"{PROVIDERS}disconnect/", status=403)
        assert Desk(somebody("owner"), world).open(f"{PROVIDERS}add/")


class TestReconciliations:
    @pytest.fixture
    def made(self, world: World) -> Reconciliation:
        invoice_of(world)
        window: dict[str, Any] = {
            "begin": datetime(2026, 5, 1, tzinfo=UTC),
            "end": datetime(2026, 5, 2, tzinfo=UTC),
        }
        with environment_scope(world.id):
            return reconcile(environment_id=world.id, actor="user:me", now=NOW, **window)

    def test_one_that_agrees(self, desk, made):
        assert "Agrees" in desk.open(RECONCILIATIONS)

        shown = desk.open(f"{RECONCILIATIONS}{made.public_id}/change/")

        assert "Invoiced, USD" in shown
        assert "149.00" in shown
        assert "not connected" in shown

    def test_differences_are_rows_with_links(self, desk, world):
        difference = {
            "kind": "amount-differs",
            "detail": "The provider took USD.",
            "ours": 14900,
            "theirs": 14800,
            "currency": "USD",
            "customer_id": "cust_acme",
            "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
            "payment_id": None,
            "topup_id": None,
            "provider_payment_id": "pi_1",
        }
        with environment_scope(world.id):
            made = Reconciliation.objects.create(
                environment_id=world.id,
                begin=NOW,
                end=NOW,
                totals={
                    "invoices": [],
                    "payments": [],
                    "provider": {"name": "stripe", "status": "compared"},
                    "differences": 1,
                },
                differences=[difference],
                actor="system:beat",
                created_at=NOW,
            )

        shown = desk.open(f"{RECONCILIATIONS}{made.public_id}/change/")

        assert "Amount differs" in shown
        assert "148.00" in shown
        assert "/admin/billing/invoice/inv_01k7x3s9c5ef6v8b2n4m6q8r0t/change/" in shown
        assert "1 difference" in desk.open(RECONCILIATIONS)

    def test_another_one_is_asked_for(self, desk, world):
        answer = desk.send(
            f"{RECONCILIATIONS}add/", {"begin": "2026-05-01 00:00:00", "end": "2026-05-02 00:00:00"}
        )

        assert answer.status_code == 302, answer.content.decode()[:500]
        with environment_scope(world.id):
            assert Job.objects.get(kind="billing.reconcile").parameters["begin"] == "2026-05-01T00:00:00Z"
