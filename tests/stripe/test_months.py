"""A month from usage to money by Stripe: asked for by many at once, or all by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing.models import Invoice
from customers.kernel.database import environment_scope
from tests.conftest import Api, run_together
from tests.stripe.conftest import DECLINES, GOOD, Shop
from tests.subscriptions.priced import Seller, growing
from tests.subscriptions.pricing import GROWTH

END_OF_APRIL = "2026-04-30T23:59:59Z"


def with_card(shop: Shop, *cards: str) -> str:
    """The printed customer, at the stand-in."""
    reference = shop.stripe.customer(*cards)
    change = {"payment_provider": "stripe", "payment_provider_customer_id": reference}
    assert shop.api.patch("/v1/customers/cust_acme", change).status == 200
    return reference


def at_stripe(shop: Shop, reference: str) -> list[tuple[str, int]]:
    return [(each["status"], each["amount"]) for each in shop.stripe.intents(reference)]


def test_fifty_who_bill_and_charge_at_once_make_one_invoice_and_one_payment(shop: Shop) -> None:
    growing(shop.api, shop.world).use(1_200_000, "2026-04-03T09:30:00Z")
    reference = with_card(shop, GOOD)

    def bill_and_charge(_: int) -> Any:
        mine = Api(shop.world.secret)
        made = mine.post("/v1/invoices", {"customer_id": "cust_acme", "cutoff_date": END_OF_APRIL})
        invoice = made["id"] if made.status == 201 else made["invoice_id"]
        return mine.post(f"/v1/invoices/{invoice}/charge", {})

    answers = run_together(50, bill_and_charge)

    assert [answer.status for answer in answers].count(200) == 1
    with environment_scope(shop.world.id):
        invoice = Invoice.objects.get()
    assert (invoice.status, invoice.paid_minor) == ("paid", 14_900)
    assert at_stripe(shop, reference) == [("succeeded", 14_900)]


def test_an_invoice_that_makes_itself_is_charged_and_tried_again(shop: Shop) -> None:
    # given a subscription that bills itself, and a card that declines
    seller = Seller(api=shop.api, world=shop.world)
    seller.time(datetime(2026, 5, 2, tzinfo=UTC))
    seller.metric()
    assert shop.api.post("/v1/price-plans", GROWTH).status == 201
    seller.customer()
    reference = with_card(shop, DECLINES)
    seller.subscribe(start="2026-05-01T00:00:00Z", invoices_automatically=True)
    seller.use(1_200_000, "2026-05-01T09:30:00Z")
    # when May ends
    advanced = shop.api.post("/v1/test-clock/advance", {"to": "2026-06-03T00:00:00Z"})
    # then it was charged at once
    assert advanced.status == 200, advanced
    assert at_stripe(shop, reference) == [("canceled", 14_900)]
    # and again on the third day, by the card of that day
    card = shop.stripe.card(reference, GOOD)
    assert shop.api.patch("/v1/customers/cust_acme", {"payment_method_id": card}).status == 200
    shop.api.post("/v1/test-clock/advance", {"to": "2026-06-20T00:00:00Z"})
    assert at_stripe(shop, reference) == [("canceled", 14_900), ("succeeded", 14_900)]
    with environment_scope(shop.world.id):
        invoice = Invoice.objects.get()
    assert (invoice.status, invoice.paid_at) == ("paid", datetime(2026, 6, 4, tzinfo=UTC))
