"""What Stripe tells by webhook: signed, twice, in disorder, late, or not Stripe at all."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.models import ProviderEvent
from customers.kernel.database import environment_scope
from tests.conftest import Api
from tests.stripe.conftest import CONFIRMS, GOOD, SIGNING, Shop, connect, tell
from tests.stripe.stand_in import CUT, DROP, PASS, always, once

_DAY = 24 * 3600


def events_of(shop: Shop) -> list[tuple[str, str]]:
    with environment_scope(shop.world.id):
        return list(ProviderEvent.objects.order_by("id").values_list("type", "outcome"))


@pytest.fixture
def waiting(shop: Shop) -> Any:
    """An invoice whose payment waits for the payer."""
    invoice = shop.invoice(CONFIRMS)
    shop.charge(invoice)
    return invoice


def confirm(shop: Shop, invoice: Any) -> None:
    shop.stripe.authenticate(shop.intent_id(invoice), success=True)


class TestSettling:
    def test_an_event_is_applied_once(self, shop, waiting):
        confirm(shop, waiting)
        event = shop.event("payment_intent.succeeded", waiting)

        answers = [tell(event) for _ in range(3)]

        assert [each.json()["outcome"] for each in answers] == ["succeeded", "duplicate", "duplicate"]
        assert events_of(shop) == [("payment_intent.succeeded", "succeeded")]
        assert shop.state(waiting) == ("paid", ["charge_attempted", "processing", "paid"])

    def test_events_in_disorder_end_in_what_is_true(self, shop, waiting):
        early = shop.event("payment_intent.requires_action", waiting)
        confirm(shop, waiting)
        late = shop.event("payment_intent.succeeded", waiting)

        tell(late)
        tell(early)

        assert shop.state(waiting) == ("paid", ["charge_attempted", "processing", "paid"])
        assert shop.payments(waiting) == [(1, "succeeded")]

    def test_what_an_event_says_is_looked_up(self, shop, waiting):
        forged = shop.event("payment_intent.succeeded", waiting)
        forged["data"]["object"]["status"] = "succeeded"

        assert tell(forged).json()["outcome"] == "requires_action"
        assert shop.state(waiting)[0] == "processing"

    def test_one_that_is_three_days_old_does_no_harm(self, shop, waiting):
        old = shop.event("payment_intent.payment_failed", waiting, created=int(time.time()) - 3 * _DAY)
        confirm(shop, waiting)
        tell(shop.event("payment_intent.succeeded", waiting))

        assert tell(old).status_code == 200
        assert shop.state(waiting)[0] == "paid"

    def test_a_recorded_request_is_not_taken_again_after_days(self, shop, waiting):
        confirm(shop, waiting)
        event = shop.event("payment_intent.succeeded", waiting)

        answer = tell(event, at=time.time() - 3 * _DAY)

        assert (answer.status_code, answer.json()["code"]) == (400, "provider-event-refused")
        assert events_of(shop) == []
        assert shop.state(waiting)[0] == "processing"

    def test_while_stripe_is_away_it_is_to_send_it_again(self, shop, waiting):
        confirm(shop, waiting)
        event = shop.event("payment_intent.succeeded", waiting)
        shop.stripe.follow(always(DROP))
        assert tell(event).status_code == 503
        assert shop.state(waiting)[0] == "processing"
        shop.stripe.follow(always(PASS))

        assert tell(event).json()["outcome"] == "succeeded"
        assert shop.state(waiting)[0] == "paid"

    def test_many_at_once_settle_it_once(self, shop, waiting, together):
        confirm(shop, waiting)
        events = [shop.event("payment_intent.succeeded", waiting) for _ in range(8)]

        answers = together(8, lambda index: tell(events[index]))

        assert [each.status_code for each in answers] == [200] * 8
        assert shop.state(waiting) == ("paid", ["charge_attempted", "processing", "paid"])

    def test_money_for_an_attempt_that_had_failed_pays_the_invoice(self, shop):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(CUT))
        shop.charge(invoice)
        with environment_scope(shop.world.id):
            payment = shop.payment(invoice)
            payment.status, payment.failure_code = "failed", "never_arrived"
            payment.save(update_fields=["status", "failure_code"])

        assert tell(shop.event("payment_intent.succeeded", invoice)).json()["outcome"] == "succeeded"
        assert shop.state(invoice)[0] == "paid"

    def test_money_that_comes_twice_is_reported_and_changes_nothing(self, shop):
        invoice = shop.invoice(GOOD)
        shop.stripe.follow(once(CUT))
        shop.charge(invoice)
        first = shop.event("payment_intent.succeeded", invoice)
        with environment_scope(shop.world.id):
            payment = shop.payment(invoice)
            payment.status, payment.failure_code = "failed", "never_arrived"
            payment.save(update_fields=["status", "failure_code"])
        shop.charge(invoice)

        assert tell(first).json()["outcome"] == "paid, but not open any more"
        assert shop.payments(invoice) == [(1, "failed"), (2, "succeeded")]


class TestWhoSpeaks:
    def test_another_secret_is_refused(self, shop, waiting):
        confirm(shop, waiting)

        answer = tell(shop.event("payment_intent.succeeded", waiting), secret="whsec_another")

        assert (answer.status_code, answer.json()["code"]) == (400, "provider-event-refused")
        assert events_of(shop) == []
        assert shop.state(waiting)[0] == "processing"

    def test_another_tenant_cannot_speak_for_us(self, shop, waiting, rival):
        connect_rival = {"secret_key": "sk_test_rival", "webhook_secret": "whsec_rival"}
        Api(rival.test.secret).send("PUT", "/v1/payment-providers/stripe", connect_rival)
        confirm(shop, waiting)

        answer = tell(shop.event("payment_intent.succeeded", waiting), secret="whsec_rival")

        assert answer.status_code == 400
        assert shop.state(waiting)[0] == "processing"

    def test_without_a_signature_nothing_happens(self, shop, waiting):
        event = shop.event("payment_intent.succeeded", waiting)

        answer = Client().post(
            "/v1/providers/stripe/webhook", json.dumps(event), content_type="application/json"
        )

        assert answer.status_code == 400
        assert events_of(shop) == []

    def test_what_is_not_about_us_is_answered_and_left(self, shop, waiting):
        strange = shop.event("payment_intent.succeeded", waiting)
        strange["data"]["object"]["metadata"] = {"order": "17"}
        elsewhere = shop.event("payment_intent.succeeded", waiting)
        elsewhere["data"]["object"]["metadata"] = {"purser_environment": str(uuid4())}

        assert tell(strange).json() == {"received": True, "outcome": "ignored"}
        assert tell(elsewhere).json() == {"received": True, "outcome": "ignored"}
        assert events_of(shop) == []

    def test_a_payment_of_ours_that_we_do_not_know_is_kept(self, shop, waiting):
        event = shop.event("payment_intent.succeeded", waiting)
        event["data"]["object"]["metadata"]["purser_key"] = "inv_nobody-1"

        assert tell(event).json()["outcome"] == "unknown payment"
        assert events_of(shop) == [("payment_intent.succeeded", "unknown payment")]

    def test_without_an_account_it_is_left(self, shop, waiting):
        event = shop.event("payment_intent.succeeded", waiting)
        assert shop.api.delete("/v1/payment-providers/stripe").status == 204

        assert tell(event).json()["outcome"] == "ignored"
        connect(shop.api)
        assert tell(event).json()["outcome"] == "requires_action"

    def test_only_posts_are_taken(self):
        answer = Client().get("/v1/providers/stripe/webhook")

        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")


class TestRubbish:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"\xff\xfe",
            b"{",
            b'"evt_1"',
            b"[" * 100_000,
            b'{"data": null}',
            b'{"data": {"object": []}}',
            b'{"data": {"object": {}}, "id": 5, "type": "x", "created": 1}',
            b'{"data": {"object": {}}, "id": "e", "type": "x", "created": 1e400}',
            b'{"data": {"object": {}}, "id": "e", "type": "x", "created": 99999999999999999999}',
            b'{"data": {"object": {}}, "id": "e\\u0000", "type": "x", "created": 1}',
        ],
    )
    def test_it_is_refused(self, body):
        assert tell(body).status_code == 400

    @pytest.mark.parametrize(
        "about",
        [
            {"metadata": 5},
            {"metadata": {"purser_environment": 5}},
            {"metadata": {"purser_environment": "\x00"}},
            {"metadata": {"purser_environment": "not a uuid"}},
        ],
    )
    def test_marks_that_are_none_are_not_about_us(self, about):
        event = {"id": "evt_1", "type": "x", "created": 1, "data": {"object": about}}

        assert tell(event).json()["outcome"] == "ignored"

    @pytest.mark.parametrize(
        "about",
        [
            {"object": "payment_intent", "id": None},
            {"object": "payment_intent", "id": "pi_nothing", "status": "\x00"},
            {"object": "refund", "status": "failed"},
            {"object": "refund", "status": ["failed"]},
            {"object": "charge"},
            {"object": ["payment_intent"]},
            {"object": "payment_intent", "amount": 10**400},
        ],
    )
    def test_signed_rubbish_is_no_fault_of_ours(self, shop, waiting, about):
        marks = {"purser_environment": str(shop.world.id), "purser_key": f"{waiting.public_id}-1"}
        for key in (marks["purser_key"], "\x00", ["x"], "refund-cnt_x"):
            event = {
                "id": f"evt_{uuid4().hex}",
                "type": "x\x00" if key == "\x00" else "x",
                "created": 1,
                "data": {"object": {**about, "metadata": {**marks, "purser_key": key}}},
            }
            assert tell(event).status_code in {200, 400}
        assert shop.state(waiting)[0] == "processing"

    @settings(max_examples=60, deadline=None)
    @given(body=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: json.dumps(text).encode()))
    def test_nothing_makes_it_break(self, body):
        assert tell(body, secret=SIGNING).status_code == 400
