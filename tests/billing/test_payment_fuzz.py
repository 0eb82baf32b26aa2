"""No input to the payments' endpoints produces a 500, or money from nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Invoice, Payment
from customers.kernel.database import environment_scope
from tests.billing.invoicing import make_customer, make_invoice
from tests.conftest import Api, Character, make_character

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(),
    st.sampled_from(
        [
            "\x00",
            "\ud800",
            "pm_card_chargeDeclined",
            "sk_test_1",
            "whsec_1",
            "succeeded",
            "https://a.example/",
            "javascript:alert(1)",
            "2026-05-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1900-01-01T00:00:00Z",
        ]
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


def bodies(*fields: str) -> Any:
    return st.dictionaries(st.sampled_from(fields) | st.text(max_size=5), values, max_size=5)


@pytest.fixture(scope="module")
def fuzzed() -> tuple[Character, Api, Invoice, str]:
    """An open invoice whose charges are declined unless somebody names another card, and a payment that waits."""
    character = make_character("Fuzzed")
    world, api = character.test, Api(character.test.secret)
    customer = make_customer(world)
    open_invoice, waiting = make_invoice(world, customer, 10_002), make_invoice(world, customer, 13_155)
    payment = api.post(f"/v1/invoices/{waiting.public_id}/charge", {})["payment_id"]
    return character, api, open_invoice, str(payment)


_SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@_SETTINGS
@given(body=bodies("payment_method_id", "return_url", "reason"))
def test_any_charge_is_answered(fuzzed, body):
    character, api, invoice, _ = fuzzed

    answer = api.post(f"/v1/invoices/{invoice.public_id}/charge", json.dumps(body).encode())

    assert answer.status in {200, 400, 402, 409, 422, 429}, answer
    with environment_scope(character.test.id):
        counting = Payment.objects.filter(invoice=invoice, status="succeeded").count()
        assert counting == (Invoice.objects.get(id=invoice.id).status == "paid")


@_SETTINGS
@given(body=bodies("secret_key", "webhook_secret"))
def test_any_account_is_answered(fuzzed, body):
    answer = fuzzed[1].send("PUT", "/v1/payment-providers/stripe", json.dumps(body).encode())

    assert answer.status in {200, 400, 422, 429}, answer


@_SETTINGS
@given(body=bodies("begin", "end"))
def test_any_window_is_answered(fuzzed, body):
    answer = fuzzed[1].post("/v1/reconciliations", json.dumps(body).encode())

    assert answer.status in {202, 400, 422, 429}, answer


@_SETTINGS
@given(body=bodies("outcome"))
def test_any_outcome_is_answered(fuzzed, body):
    _, api, _, payment = fuzzed

    answer = api.post(f"/v1/payments/{payment}/simulate", json.dumps(body).encode())

    assert answer.status in {200, 400, 409, 422, 429}, answer


@_SETTINGS
@given(
    name=st.sampled_from(["status", "provider", "invoice_id", "customer_id", "limit", "cursor", "x"]),
    raw=st.binary(max_size=30),
)
def test_any_query_is_answered(fuzzed, name, raw):
    query = name + "=" + "".join(f"%{byte:02x}" for byte in raw)
    for path in ("/v1/payments", "/v1/reconciliations"):
        assert fuzzed[1].get(f"{path}?{query}").status in {200, 422, 429}


@_SETTINGS
@given(raw=st.binary(min_size=1, max_size=30))
def test_any_id_is_answered(fuzzed, raw):
    named = "".join(f"%{byte:02x}" for byte in raw)
    for path in (f"/v1/payments/{named}", f"/v1/reconciliations/{named}"):
        assert fuzzed[1].get(path).status in {301, 404, 400, 429}
    assert fuzzed[1].post(f"/v1/invoices/{named}/charge", {}).status in {404, 400, 405, 429}
