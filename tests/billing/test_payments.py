"""Charging invoices by the sandbox: what succeeds, what is declined, what waits, and what is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.models import Invoice, InvoiceEvent, Payment
from billing.services.automatic_charges import charges_sweep
from billing.services.credit_notes import credit_note_create
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from tests.billing.invoicing import make_customer, make_invoice
from tests.clock import clock_set
from tests.conftest import Api, Character, World, run_together

NOW = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


def invoice_of(world: World, amount_minor: int = 14_900, **customer: Any) -> Invoice:
    return make_invoice(
        world, make_customer(world, **{"payment_provider": "stripe", **customer}), amount_minor
    )


def state(world: World, invoice: Invoice) -> tuple[str, list[str]]:
    """Its status, and what happened to it since it was issued."""
    with environment_scope(world.id):
        invoice.refresh_from_db()
        types = InvoiceEvent.objects.filter(invoice=invoice).values_list("type", flat=True)
        return invoice.status, [each.removeprefix("invoice.") for each in types][2:]


def payments_of(world: World, invoice: Invoice) -> list[tuple[int, str]]:
    with environment_scope(world.id):
        rows = Payment.objects.filter(invoice=invoice).order_by("attempt")
        return list(rows.values_list("attempt", "status"))


def told(world: World, event: str) -> list[dict[str, Any]]:
    with environment_scope(world.id):
        return list(OutboxEvent.objects.filter(event=event).order_by("id").values_list("payload", flat=True))


def charge(api: Api, invoice: Invoice, body: dict[str, Any] | None = None, **options: Any) -> Any:
    return api.post(f"/v1/invoices/{invoice.public_id}/charge", body or {}, **options)


class TestCharging:
    def test_an_invoice_is_charged_and_paid(self, api, world):
        invoice = invoice_of(world)

        answer = charge(api, invoice)

        assert answer.status == 200, answer
        assert answer["payment_intent_id"].startswith("pi_")
        assert answer.json == {
            "invoice_id": invoice.public_id,
            "status": "paid",
            "payment_intent_id": answer["payment_intent_id"],
            "charged_at": "2026-05-01T09:00:00Z",
        }
        assert state(world, invoice) == ("paid", ["charge_attempted", "paid"])
        assert payments_of(world, invoice) == [(1, "succeeded")]
        (paid,) = told(world, "invoice.paid")
        assert (paid["amount"], paid["amount_due"], paid["provider"]) == (14900, 0, "sandbox")

    def test_a_paid_invoice_is_not_charged_again(self, api, world):
        invoice = invoice_of(world)
        charge(api, invoice)

        assert charge(api, invoice).refusal() == (409, "invoice-already-paid")
        assert payments_of(world, invoice) == [(1, "succeeded")]

    def test_the_same_key_is_answered_again(self, api, world):
        invoice = invoice_of(world)
        first = charge(api, invoice, idempotency_key="charge-1")

        again = charge(api, invoice, idempotency_key="charge-1")

        assert again.bytes == first.bytes
        assert again.headers["X-Idempotent-Replayed"] == "true"

    def test_a_declined_payment_leaves_the_invoice_open(self, api, world):
        invoice = invoice_of(world, 10_002)

        answer = charge(api, invoice)

        assert answer.refusal() == (402, "payment-declined")
        assert answer["failure_code"] == "card_declined"
        assert state(world, invoice) == ("issued", ["charge_attempted", "charge_failed"])
        assert payments_of(world, invoice) == [(1, "failed")]
        (failed,) = told(world, "invoice.payment_failed")
        assert failed["failure_code"] == "card_declined"
        assert failed["payment_id"] == answer["payment_id"]
        assert failed["next_attempt_at"] == "2026-05-04T09:00:00Z"

    def test_another_payment_method_pays_what_was_declined(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)

        answer = charge(api, invoice, {"payment_method_id": "pm_card_visa"})

        assert (answer.status, answer["status"]) == (200, "paid")
        assert payments_of(world, invoice) == [(1, "failed"), (2, "succeeded")]
        with environment_scope(world.id):
            invoice.refresh_from_db()
            assert invoice.next_charge_at is None

    @pytest.mark.parametrize(
        ("amount", "code"),
        [(10_002, "card_declined"), (19_995, "insufficient_funds"), (10_069, "expired_card")],
    )
    def test_the_amount_chooses_why_it_is_declined(self, api, world, amount, code):
        assert charge(api, invoice_of(world, amount))["failure_code"] == code

    def test_an_idempotency_key_does_not_hold_on_to_a_refusal(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice, idempotency_key="charge-1")

        answer = charge(api, invoice, idempotency_key="charge-1")

        assert answer.refusal() == (402, "payment-declined")
        assert payments_of(world, invoice) == [(1, "failed"), (2, "failed")]

    def test_an_invoice_of_another_tenant_is_not_there(self, world, rival):
        invoice = invoice_of(world)

        assert charge(Api(rival.test.secret), invoice).refusal() == (404, "invoice-not-found")
        assert payments_of(world, invoice) == []

    def test_a_draft_and_a_void_invoice_are_not_charged(self, api, world):
        customer = make_customer(world)
        draft = make_invoice(world, customer, 100, is_draft=True)

        assert charge(api, draft).refusal() == (409, "invoice-is-draft")
        assert payments_of(world, draft) == []

    def test_who_pays_by_hand_is_not_charged(self, api, world):
        invoice = invoice_of(world, payment_provider="manual")

        assert charge(api, invoice).refusal() == (409, "paid-by-hand")
        assert state(world, invoice) == ("issued", [])

    def test_an_unknown_provider_is_not_guessed(self, api, world):
        invoice = invoice_of(world, payment_provider="adyen")

        assert charge(api, invoice).refusal() == (409, "no-payment-provider")

    def test_a_live_environment_has_no_sandbox(self, acme):
        invoice = make_invoice(acme.live, make_customer(acme.live), 100)

        assert charge(Api(acme.live.secret), invoice).refusal() == (409, "no-payment-provider")

    def test_it_needs_the_scope(self, api, world):
        key = api.post("/v1/api-keys", {"name": "reader", "scopes": ["invoices:read"]})["secret"]

        assert charge(api, invoice_of(world), key=key).refusal() == (403, "scope-missing")

    def test_unknown_members_are_refused(self, api, world):
        invoice = invoice_of(world)

        assert charge(api, invoice, {"amount": 5}).refusal() == (422, "validation-failed")
        assert payments_of(world, invoice) == []

    def test_fifty_at_once_make_one_payment(self, world):
        invoice = invoice_of(world)

        answers = run_together(50, lambda _: charge(Api(world.secret), invoice))

        assert sorted({answer.status for answer in answers}) in ([200, 409], [200])
        assert sum(answer.status == 200 for answer in answers) == 1
        assert payments_of(world, invoice) == [(1, "succeeded")]
        assert state(world, invoice) == ("paid", ["charge_attempted", "paid"])


class TestWaiting:
    def test_a_payment_that_must_be_confirmed_leaves_the_invoice_processing(self, api, world):
        invoice = invoice_of(world, 13_155)

        answer = charge(api, invoice, {"return_url": "https://shop.example.com/done"})

        assert (answer.status, answer["status"], answer["charged_at"]) == (200, "processing", None)
        assert answer["payment_status"] == "requires_action"
        assert answer["action_url"] == "https://shop.example.com/done"
        assert state(world, invoice) == ("processing", ["charge_attempted", "processing"])

    def test_confirmed_it_is_paid(self, api, world):
        invoice = invoice_of(world, 13_155)
        payment = charge(api, invoice)["payment_id"]

        answer = api.post(f"/v1/payments/{payment}/simulate", {"outcome": "succeeded"})

        assert (answer.status, answer["status"]) == (200, "succeeded")
        assert state(world, invoice) == ("paid", ["charge_attempted", "processing", "paid"])

    def test_not_confirmed_it_is_open_again(self, api, world):
        invoice = invoice_of(world, 13_155)
        payment = charge(api, invoice)["payment_id"]

        api.post(f"/v1/payments/{payment}/simulate", {"outcome": "failed"})

        assert state(world, invoice) == (
            "issued",
            ["charge_attempted", "processing", "reopened", "charge_failed"],
        )
        assert charge(api, invoice, {"payment_method_id": "pm_card_visa"})["status"] == "paid"

    def test_charging_again_while_it_waits_makes_no_second_payment(self, api, world):
        invoice = invoice_of(world, 16_789)
        first = charge(api, invoice)

        again = charge(api, invoice)

        assert again["payment_id"] == first["payment_id"]
        assert again["payment_status"] == "processing"
        assert payments_of(world, invoice) == [(1, "processing")]

    def test_a_settled_payment_is_not_told_otherwise(self, api, world):
        invoice = invoice_of(world)
        charge(api, invoice)
        (payment,) = api.get("/v1/payments")["data"]

        answer = api.post(f"/v1/payments/{payment['id']}/simulate", {"outcome": "failed"})

        assert answer.refusal() == (409, "not-a-sandbox-payment")
        assert state(world, invoice)[0] == "paid"


class TestReading:
    def test_payments_are_listed_and_fetched(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)
        charge(api, invoice, {"payment_method_id": "pm_card_visa"})

        second, first = api.get("/v1/payments")["data"]

        assert (first["attempt"], first["status"], first["failure_code"]) == (1, "failed", "card_declined")
        assert (second["attempt"], second["status"], second["amount"]) == (2, "succeeded", 10002)
        assert second["invoice_id"] == invoice.public_id
        assert second["customer_id"] == "cust_acme"
        assert api.get(f"/v1/payments/{second['id']}").json == second
        refreshed = api.post(f"/v1/payments/{second['id']}/refresh")
        assert refreshed.json == second

    def test_they_are_filtered(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)
        charge(api, invoice, {"payment_method_id": "pm_card_visa"})

        def attempts(query: str) -> list[int]:
            return [each["attempt"] for each in api.get(f"/v1/payments?{query}")["data"]]

        assert attempts("status=failed") == [1]
        assert attempts(f"invoice_id={invoice.public_id}") == [2, 1]
        assert attempts("invoice_id=nonsense") == []
        assert attempts("customer_id=cust_acme&status=succeeded") == [2]
        assert attempts("customer_id=nobody") == []
        assert api.get("/v1/payments?state=failed").refusal() == (422, "validation-failed")

    def test_another_tenant_sees_none(self, api, world, rival):
        charge(api, invoice_of(world))
        (payment,) = api.get("/v1/payments")["data"]
        other = Api(rival.test.secret)

        assert other.get("/v1/payments")["data"] == []
        assert other.get(f"/v1/payments/{payment['id']}").refusal() == (404, "payment-not-found")
        assert other.post(f"/v1/payments/{payment['id']}/refresh").refusal() == (404, "payment-not-found")


class TestDunning:
    def advance(self, api: Api, to: datetime) -> Any:
        answer = api.post("/v1/test-clock/advance", {"to": to.isoformat()})
        assert answer.status == 200, answer
        return answer

    def test_a_declined_invoice_is_tried_again_and_given_up(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)

        self.advance(api, NOW + timedelta(days=2, hours=23))
        assert payments_of(world, invoice) == [(1, "failed")]
        self.advance(api, NOW + timedelta(days=3))
        assert payments_of(world, invoice) == [(1, "failed"), (2, "failed")]
        self.advance(api, NOW + timedelta(days=30))

        assert payments_of(world, invoice) == [(n, "failed") for n in (1, 2, 3, 4)]
        with environment_scope(world.id):
            at = (
                Payment.objects.filter(invoice=invoice)
                .order_by("attempt")
                .values_list("created_at", flat=True)
            )
            assert list(at) == [NOW + timedelta(days=days) for days in (0, 3, 8, 15)]
        assert state(world, invoice) == (
            "uncollectible",
            ["charge_attempted", "charge_failed"] * 4 + ["uncollectible"],
        )
        assert len(told(world, "invoice.payment_failed")) == 4
        assert len(told(world, "invoice.uncollectible")) == 1

    def test_a_new_card_ends_it(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)
        assert api.patch("/v1/customers/cust_acme", {"payment_method_id": "pm_card_visa"}).status == 200

        self.advance(api, NOW + timedelta(days=30))

        assert payments_of(world, invoice) == [(1, "failed"), (2, "succeeded")]
        assert state(world, invoice)[0] == "paid"

    def test_what_people_try_does_not_move_the_schedule(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)
        self.advance(api, NOW + timedelta(days=1))
        charge(api, invoice)
        charge(api, invoice)

        with environment_scope(world.id):
            invoice.refresh_from_db()
            assert invoice.next_charge_at == NOW + timedelta(days=3)
            assert invoice.charge_attempts == 1

    def test_nobody_is_there_to_confirm_a_retry(self, api, world):
        invoice = invoice_of(world, 13_155)
        payment = charge(api, invoice)["payment_id"]
        api.post(f"/v1/payments/{payment}/simulate", {"outcome": "failed"})

        self.advance(api, NOW + timedelta(days=3))

        assert payments_of(world, invoice) == [(1, "failed"), (2, "failed")]
        assert told(world, "invoice.payment_failed")[1]["failure_code"] == "authentication_required"

    def test_given_up_it_can_still_be_paid(self, api, world):
        invoice = invoice_of(world, 10_002)
        charge(api, invoice)
        self.advance(api, NOW + timedelta(days=30))

        assert charge(api, invoice, {"payment_method_id": "pm_card_visa"})["status"] == "paid"

    def test_an_invoice_that_makes_itself_is_charged(self, api, world):
        customer = make_customer(world)
        invoice = make_invoice(world, customer, 14_900, source="automatic")

        self.advance(api, NOW)

        assert payments_of(world, invoice) == [(1, "succeeded")]
        assert state(world, invoice)[0] == "paid"

    def test_one_who_pays_by_hand_waits_for_people(self, api, world):
        customer = make_customer(world, payment_provider="manual")
        invoice = make_invoice(world, customer, 14_900, source="automatic")

        self.advance(api, NOW)

        assert payments_of(world, invoice) == []
        assert state(world, invoice) == ("issued", ["charge_skipped"])

    def test_the_sweep_does_the_same_by_the_wall_clock(self, acme):
        world = acme.test
        invoice = invoice_of(world, 10_002, payment_provider="sandbox")
        with environment_scope(world.id):
            Invoice.objects.filter(id=invoice.id).update(next_charge_at=NOW)
        clock_set(world, None)

        charges_sweep(now=datetime.now(UTC))
        charges_sweep(now=datetime.now(UTC))

        assert payments_of(world, invoice) == [(1, "failed")]


class TestRefunds:
    def refund(self, world: World, invoice: Invoice, amount: int) -> Any:
        with environment_scope(world.id):
            note = credit_note_create(
                caller=world.caller, invoice_id=invoice.id, amount_minor=amount, kind="refund", now=NOW
            )
            note.refresh_from_db()
            return note

    def test_a_refund_goes_back_to_the_payment(self, api, world):
        invoice = invoice_of(world)
        charge(api, invoice)

        note = self.refund(world, invoice, 900)

        assert note.refund_status == "succeeded"
        assert note.provider_refund_id.startswith("re_")
        (payment,) = api.get("/v1/payments")["data"]
        assert (payment["amount"], payment["amount_refunded"]) == (14900, 900)
        assert state(world, invoice) == ("paid", ["charge_attempted", "paid", "credited", "refunded"])


class TestClock:
    def test_no_clock_is_set_to_before_an_invoice_was_charged(self, api, world):
        charge(api, invoice_of(world))

        answer = api.post("/v1/test-clock", {"frozen_time": (NOW - timedelta(days=1)).isoformat()})

        assert answer.refusal() == (409, "test-clock-behind-facts")

    def test_what_a_customer_lacks_counts_as_a_failed_charge(self, api, acme, world):
        connected = {"secret_key": "sk_test_1", "webhook_secret": "whsec_1"}
        assert api.send("PUT", "/v1/payment-providers/stripe", connected).status == 200
        customer = make_customer(world, payment_provider="stripe")
        invoice = make_invoice(world, customer, 14_900, source="automatic")

        api.post("/v1/test-clock/advance", {"to": (NOW + timedelta(days=30)).isoformat()})

        assert payments_of(world, invoice) == []
        assert state(world, invoice) == ("uncollectible", ["charge_failed"] * 4 + ["uncollectible"])
        assert told(world, "invoice.payment_failed")[0]["failure_code"] == "payment-details-missing"
