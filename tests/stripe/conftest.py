"""`stripe`: a stand-in for Stripe; `shop`: acme's test environment with an account there."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, override_settings

from billing.models import Invoice, InvoiceEvent, Payment
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from tests.billing.invoicing import make_customer, make_invoice
from tests.conftest import Api, Character, World
from tests.stripe.stand_in import PASS, StandIn, always

NOW = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
SIGNING = "whsec_8fAbcdefghijklmnop"
GOOD, DECLINES, CONFIRMS = "4242424242424242", "4000000000000341", "4000002500003155"


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def stripe(_stand_in: StandIn) -> Iterator[StandIn]:
    with override_settings(STRIPE_API_BASE=_stand_in.url, STRIPE_TIMEOUT_SECONDS=1.5):
        yield _stand_in
    _stand_in.follow(always(PASS))


@dataclass(frozen=True)
class Shop:
    """An environment that charges by Stripe."""

    world: World
    api: Api
    stripe: StandIn

    def invoice(self, *cards: str, amount: int = 14_900, **terms: Any) -> Invoice:
        """An invoice of a new customer who has saved these cards."""
        reference = self.stripe.customer(*cards)
        customer = make_customer(
            self.world,
            f"cust_{uuid4().hex[:8]}",
            payment_provider="stripe",
            payment_provider_customer_id=reference,
        )
        return make_invoice(self.world, customer, amount, **terms)

    def reference(self, invoice: Invoice) -> str:
        with environment_scope(self.world.id):
            return str(Invoice.objects.get(id=invoice.id).customer.payment_provider_customer_id)

    def charge(self, invoice: Invoice, **body: Any) -> Any:
        return self.api.post(f"/v1/invoices/{invoice.public_id}/charge", body)

    def intents(self, invoice: Invoice) -> list[tuple[str, int]]:
        """Status and amount of all that there is at the provider for the invoice's customer."""
        found = self.stripe.intents(self.reference(invoice))
        return [(intent["status"], intent["amount"]) for intent in found]

    def intent_id(self, invoice: Invoice) -> str:
        return str(self.stripe.intents(self.reference(invoice))[-1]["id"])

    def state(self, invoice: Invoice) -> tuple[str, list[str]]:
        with environment_scope(self.world.id):
            types = InvoiceEvent.objects.filter(invoice=invoice).values_list("type", flat=True)
            status = Invoice.objects.get(id=invoice.id).status
            return status, [each.removeprefix("invoice.") for each in types][2:]

    def payments(self, invoice: Invoice) -> list[tuple[int, str]]:
        with environment_scope(self.world.id):
            rows = Payment.objects.filter(invoice=invoice).order_by("attempt")
            return list(rows.values_list("attempt", "status"))

    def payment(self, invoice: Invoice) -> Payment:
        with environment_scope(self.world.id):
            return Payment.objects.filter(invoice=invoice).latest("attempt")

    def event(self, kind: str, invoice: Invoice, *, event_id: str = "", **more: Any) -> dict[str, Any]:
        """What Stripe would tell about the invoice's last payment intent."""
        intent = self.stripe.ask("GET", f"/v1/payment_intents/{self.intent_id(invoice)}")
        return {
            "id": event_id or f"evt_{uuid4().hex}",
            "object": "event",
            "type": kind,
            "created": int(time.time()),
            "data": {"object": intent},
            **more,
        }


def tell(event: Any, *, secret: str = SIGNING, at: float | None = None) -> Any:
    """Post an event as Stripe does, signed at `at`."""
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    stamp = int(time.time() if at is None else at)
    signed = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return Client().post(
        "/v1/providers/stripe/webhook",
        payload,
        content_type="application/json",
        headers={"Stripe-Signature": f"t={stamp},v1={signed}"},
    )


def time_passes(shop: Shop, *, hours: float = 1) -> None:
    """By the wall clock, for what waits for a provider."""
    with environment_scope(shop.world.id):
        for payment in Payment.objects.filter(ask_again_at__isnull=False):
            shift = timedelta(hours=hours)
            payment.asked_at = (payment.asked_at or system_now()) - shift
            payment.ask_again_at = payment.asked_until = system_now() - shift
            payment.save(update_fields=["asked_at", "ask_again_at", "asked_until"])


@pytest.fixture
def shop(acme: Character, stripe: StandIn) -> Shop:
    api = Api(acme.test.secret)
    connect(api)
    return Shop(acme.test, api, stripe)


def connect(api: Api) -> Any:
    body = {"secret_key": "sk_test_12345", "webhook_secret": SIGNING}
    answer = api.send("PUT", "/v1/payment-providers/stripe", body)
    assert answer.status == 200, answer
    return answer
