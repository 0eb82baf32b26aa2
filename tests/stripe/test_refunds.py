"""Money back to the card: once, whatever is lost on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing.models import CreditNote
from billing.services.credit_notes import credit_note_create
from billing.services.payment_sweeps import payments_sweep
from customers.errors import DomainError
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from tests.stripe.conftest import GOOD, NOW, Shop, tell
from tests.stripe.stand_in import CUT, DROP, FAIL_AFTER, LOSE, once


@pytest.fixture
def paid(shop: Shop) -> Any:
    invoice = shop.invoice(GOOD)
    assert shop.charge(invoice)["status"] == "paid"
    return invoice


def refund(shop: Shop, invoice: Any, amount: int) -> CreditNote:
    with environment_scope(shop.world.id):
        note = credit_note_create(
            caller=shop.world.caller, invoice_id=invoice.id, amount_minor=amount, kind="refund", now=NOW
        )
        note.refresh_from_db()
        return note


def look_again(shop: Shop, note: CreditNote) -> CreditNote:
    """The sweep, when its time has come."""
    with environment_scope(shop.world.id):
        CreditNote.objects.filter(id=note.id).update(refund_ask_at=system_now() - timedelta(seconds=1))
    payments_sweep()
    with environment_scope(shop.world.id):
        note.refresh_from_db()
    return note


def refunded(shop: Shop, invoice: Any) -> list[int]:
    return [each["amount"] for each in shop.stripe.refunds(shop.intent_id(invoice))]


class TestRefunds:
    def test_a_refund_is_made_at_stripe(self, shop, paid):
        note = refund(shop, paid, 900)

        assert note.refund_status == "succeeded"
        assert refunded(shop, paid) == [900]
        (made,) = shop.stripe.refunds(shop.intent_id(paid))
        assert note.provider_refund_id == made["id"]
        assert shop.payment(paid).refunded_minor == 900
        assert shop.state(paid) == ("paid", ["charge_attempted", "paid", "credited", "refunded"])

    @pytest.mark.parametrize("lost", [LOSE, CUT, FAIL_AFTER], ids=["timeout", "cut", "500"])
    def test_a_lost_answer_makes_no_second_one(self, shop, paid, lost):
        shop.stripe.follow(once(lost, path="/v1/refunds"))
        note = refund(shop, paid, 900)
        assert note.refund_status == "pending"

        note = look_again(shop, note)

        assert note.refund_status == "succeeded"
        assert refunded(shop, paid) == [900]
        assert shop.payment(paid).refunded_minor == 900

    def test_nor_when_stripe_has_forgotten_the_key(self, shop, paid):
        shop.stripe.follow(once(CUT, path="/v1/refunds"))
        note = refund(shop, paid, 900)
        shop.stripe.forget_keys()

        assert look_again(shop, note).refund_status == "succeeded"
        assert refunded(shop, paid) == [900]

    def test_one_that_did_not_arrive_is_sent_again(self, shop, paid):
        shop.stripe.follow(once(DROP, path="/v1/refunds"))
        note = refund(shop, paid, 900)
        assert refunded(shop, paid) == []

        assert look_again(shop, note).refund_status == "succeeded"
        assert refunded(shop, paid) == [900]

    def test_several_refunds_never_pass_what_was_paid(self, shop, paid):
        refund(shop, paid, 900)
        refund(shop, paid, 14_000)

        with pytest.raises(DomainError):
            refund(shop, paid, 1)

        assert sorted(refunded(shop, paid)) == [900, 14_000]
        assert shop.payment(paid).refunded_minor == 14_900

    def test_a_webhook_says_that_it_failed(self, shop, paid):
        shop.stripe.follow(once(DROP, path="/v1/refunds"))
        note = refund(shop, paid, 900)
        event = {
            "id": "evt_refund",
            "type": "refund.failed",
            "created": 1_700_000_000,
            "data": {
                "object": {
                    "object": "refund",
                    "id": "re_1",
                    "status": "failed",
                    "metadata": {
                        "purser_environment": str(shop.world.id),
                        "purser_key": f"refund-{note.public_id}",
                    },
                }
            },
        }

        assert tell(event).json()["outcome"] == "refund failed"

        with environment_scope(shop.world.id):
            note.refresh_from_db()
        assert (note.refund_status, shop.payment(paid).refunded_minor) == ("failed", 0)
        assert shop.state(paid)[1][-1] == "refund_failed"
        assert refund(shop, paid, 14_900).refund_status == "succeeded"
