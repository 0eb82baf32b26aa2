"""Charging by Stripe over real HTTP: what it answers, and what happens when its answer is lost."""

from __future__ import annotations

from typing import Any

import pytest

from billing.services.payment_sweeps import payments_sweep
from tests.conftest import Api, run_together
from tests.stripe.conftest import CONFIRMS, DECLINES, GOOD, tell, time_passes
from tests.stripe.stand_in import (
    CUT,
    DROP,
    FAIL_AFTER,
    FAIL_BEFORE,
    LOSE,
    TOO_MANY,
    always,
    once,
    times,
)


class TestWhatStripeAnswers:
    def test_a_saved_card_pays(self, shop):
        invoice = shop.invoice(GOOD)

        answer = shop.charge(invoice)

        assert (answer.status, answer["status"]) == (200, "paid")
        assert answer["payment_intent_id"] == shop.intent_id(invoice)
        assert shop.intents(invoice) == [("succeeded", 14900)]
        (intent,) = shop.stripe.intents(shop.reference(invoice))
        assert intent["currency"] == "usd"
        assert intent["metadata"] == {
            "purser_environment": str(shop.world.id),
            "purser_invoice": invoice.public_id,
            "purser_key": f"{invoice.public_id}-1",
        }

    def test_the_default_card_goes_before_others(self, shop):
        invoice = shop.invoice(GOOD)
        reference = shop.reference(invoice)
        other = shop.stripe.card(reference, GOOD)
        shop.stripe.ask(
            "POST", f"/v1/customers/{reference}", {"invoice_settings[default_payment_method]": other}
        )

        shop.charge(invoice)

        (intent,) = shop.stripe.intents(reference)
        assert intent["payment_method"] == other

    def test_a_declined_card_leaves_nothing_that_could_be_paid_later(self, shop):
        invoice = shop.invoice(DECLINES)

        answer = shop.charge(invoice)

        assert answer.refusal() == (402, "payment-declined")
        assert (answer["failure_code"], answer["detail"]) == ("card_declined", "Your card was declined.")
        assert shop.intents(invoice) == [("canceled", 14900)]
        assert shop.state(invoice) == ("issued", ["charge_attempted", "charge_failed"])

    def test_another_card_pays_after_it(self, shop):
        invoice = shop.invoice(DECLINES)
        shop.charge(invoice)
        card = shop.stripe.card(shop.reference(invoice), GOOD)

        answer = shop.charge(invoice, payment_method_id=card)

        assert answer["status"] == "paid"
        assert shop.intents(invoice) == [("canceled", 14900), ("succeeded", 14900)]
        assert shop.payments(invoice) == [(1, "failed"), (2, "succeeded")]

    def test_without_a_saved_card_nothing_is_written(self, shop):
        invoice = shop.invoice()

        assert shop.charge(invoice).refusal() == (409, "payment-details-missing")
        assert shop.payments(invoice) == []
        assert shop.state(invoice) == ("issued", [])

    def test_a_customer_that_stripe_does_not_know_is_named(self, shop):
        invoice = shop.invoice(GOOD)
        path = f"/v1/customers/{invoice.customer.public_id}"
        shop.api.patch(path, {"payment_provider_customer_id": "cus_nobody"})

        assert shop.charge(invoice).refusal() == (409, "payment-details-missing")

    def test_a_payment_method_that_stripe_does_not_know_is_refused(self, shop):
        invoice = shop.invoice(GOOD)

        answer = shop.charge(invoice, payment_method_id="pm_nothing")

        assert answer.refusal() == (402, "payment-declined")
        assert shop.intents(invoice) == []
        assert shop.charge(invoice)["status"] == "paid"

    def test_a_payment_to_be_confirmed_waits_and_is_settled_by_the_webhook(self, shop):
        invoice = shop.invoice(CONFIRMS)
        answer = shop.charge(invoice)
        assert (answer["status"], answer["payment_status"]) == ("processing", "requires_action")
        assert answer["action_url"].startswith("https://hooks.stripe.example/authenticate/pi_")
        assert shop.state(invoice)[0] == "processing"

        shop.stripe.authenticate(answer["payment_intent_id"], success=True)
        told = tell(shop.event("payment_intent.succeeded", invoice))

        assert (told.status_code, told.json()["outcome"]) == (200, "succeeded")
        assert shop.state(invoice) == ("paid", ["charge_attempted", "processing", "paid"])
        assert shop.intents(invoice) == [("succeeded", 14900)]

    def test_a_payment_that_was_not_confirmed_fails(self, shop):
        invoice = shop.invoice(CONFIRMS)
        answer = shop.charge(invoice)

        shop.stripe.authenticate(answer["payment_intent_id"], success=False)
        tell(shop.event("payment_intent.payment_failed", invoice))

        assert shop.payments(invoice) == [(1, "failed")]
        assert shop.payment(invoice).failure_code == "payment_intent_authentication_failure"
        assert shop.intents(invoice) == [("canceled", 14900)]
        assert shop.state(invoice)[0] == "issued"

    def test_a_lost_webhook_is_made_up_for_by_asking(self, shop):
        invoice = shop.invoice(CONFIRMS)
        answer = shop.charge(invoice)
        shop.stripe.authenticate(answer["payment_intent_id"], success=True)

        refreshed = shop.api.post(f"/v1/payments/{answer['payment_id']}/refresh")

        assert refreshed["status"] == "succeeded"
        assert shop.state(invoice)[0] == "paid"

    @pytest.mark.parametrize(("currency", "amount", "asked"), [("jpy", 500, 500), ("isk", 500, 50_000)])
    def test_amounts_are_in_the_unit_that_stripe_counts_in(self, shop, currency, amount, asked):
        invoice = shop.invoice(GOOD, amount=amount, currency=currency)

        assert shop.charge(invoice)["status"] == "paid"
        assert shop.intents(invoice) == [("succeeded", asked)]


@pytest.mark.parametrize("lost", [LOSE, CUT, FAIL_AFTER], ids=["timeout", "cut", "500"])
class TestAnswersLostAfterSuccess:
    def test_charging_again_finds_the_payment(self, shop, lost):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(lost))

        first = shop.charge(invoice)
        assert first.refusal() == (503, "payment-provider-unavailable")
        assert shop.payments(invoice) == [(1, "pending")]
        assert shop.state(invoice) == ("issued", ["charge_attempted"])
        answer = shop.charge(invoice)

        assert (answer.status, answer["status"]) == (200, "paid")
        assert answer["payment_intent_id"] == shop.intent_id(invoice)
        assert shop.intents(invoice) == [("succeeded", 14900)]
        assert shop.payments(invoice) == [(1, "succeeded")]

    def test_the_sweep_finds_it_too(self, shop, lost):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(lost))
        shop.charge(invoice)
        payments_sweep()
        assert shop.payments(invoice) == [(1, "pending")]

        time_passes(shop)
        payments_sweep()

        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.state(invoice)[0] == "paid"
        assert shop.intents(invoice) == [("succeeded", 14900)]

    def test_a_decline_is_found_as_well(self, shop, lost):
        invoice = shop.invoice(DECLINES)
        shop.stripe.follow(once(lost))
        shop.charge(invoice)

        assert shop.charge(invoice).refusal() == (402, "payment-declined")
        assert shop.payments(invoice) == [(1, "failed")]
        assert shop.payment(invoice).failure_code == "card_declined"
        assert shop.intents(invoice) == [("canceled", 14900)]

    def test_it_is_found_when_stripe_has_forgotten_the_key(self, shop, lost):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(lost))
        shop.charge(invoice)
        shop.stripe.forget_keys()

        time_passes(shop, hours=30)
        payments_sweep()

        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.intents(invoice) == [("succeeded", 14900)]

    def test_a_webhook_that_comes_first_settles_it(self, shop, lost):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(lost))
        shop.charge(invoice)

        assert tell(shop.event("payment_intent.succeeded", invoice)).json()["outcome"] == "succeeded"

        assert shop.state(invoice) == ("paid", ["charge_attempted", "paid"])
        assert shop.charge(invoice).refusal() == (409, "invoice-already-paid")


class TestNotDone:
    @pytest.mark.parametrize("doing", [DROP, FAIL_BEFORE, TOO_MANY], ids=["dropped", "500", "429"])
    def test_a_storm_ends_in_one_payment(self, shop, doing):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(times(5, doing))

        answers = [shop.charge(invoice) for _ in range(6)]

        assert [answer.status for answer in answers] == [503] * 5 + [200]
        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.intents(invoice) == [("succeeded", 14900)]

    def test_while_stripe_is_away_nothing_is_concluded(self, shop):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(DROP))
        shop.charge(invoice)
        shop.stripe.follow(always(DROP))

        for _ in range(3):
            time_passes(shop, hours=20)
            payments_sweep()

        assert shop.payments(invoice) == [(1, "pending")]
        assert shop.state(invoice) == ("issued", ["charge_attempted"])
        voided = shop.api.post(f"/v1/invoices/{invoice.public_id}/void", {"reason": "no"})
        assert voided.refusal() == (409, "payment-under-way")

    def test_what_never_arrived_fails_after_a_day_and_is_not_sent_late(self, shop):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(DROP))
        shop.charge(invoice)

        time_passes(shop, hours=30)
        payments_sweep()

        assert shop.payments(invoice) == [(1, "failed")]
        assert shop.payment(invoice).failure_code == "never_arrived"
        assert shop.intents(invoice) == []
        assert shop.charge(invoice)["status"] == "paid"

    def test_a_process_that_died_before_asking_is_made_up_for(self, shop, monkeypatch):
        invoice = shop.invoice(GOOD)

        def die(*_: Any, **__: Any) -> None:
            raise SystemExit

        with monkeypatch.context() as patched:
            patched.setattr("billing.services.payments._asked_first", die)
            patched.setattr("billing.services.payments._let_go", die)
            with pytest.raises(SystemExit):
                shop.charge(invoice)
        assert shop.payments(invoice) == [(1, "pending")]
        assert shop.charge(invoice).refusal() == (409, "payment-under-way")

        time_passes(shop)
        payments_sweep()

        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.intents(invoice) == [("succeeded", 14900)]


class TestMany:
    def test_fifty_charges_at_once_make_one_payment_at_the_provider(self, shop):
        invoice = shop.invoice(GOOD)

        answers = run_together(
            50, lambda _: Api(shop.world.secret).post(f"/v1/invoices/{invoice.public_id}/charge", {})
        )

        assert sum(answer.status == 200 for answer in answers) == 1
        refused = {answer.refusal() for answer in answers if answer.status != 200}
        assert refused <= {(409, "payment-under-way"), (409, "invoice-already-paid")}
        assert shop.intents(invoice) == [("succeeded", 14900)]
        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.state(invoice) == ("paid", ["charge_attempted", "paid"])

    def test_fifty_charges_whose_answers_are_lost_make_one_payment(self, shop):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(times(10, CUT))

        run_together(
            50, lambda _: Api(shop.world.secret).post(f"/v1/invoices/{invoice.public_id}/charge", {})
        )
        shop.charge(invoice)

        assert shop.intents(invoice) == [("succeeded", 14900)]
        assert shop.payments(invoice) == [(1, "succeeded")]
        assert shop.state(invoice)[0] == "paid"
