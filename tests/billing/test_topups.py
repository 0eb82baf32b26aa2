"""`POST /v1/topup/grant`: credits that were bought."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from billing.engine.currencies import currency_exponent
from billing.models import Topup
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from tests.clock import clock_set
from tests.conftest import Answer, Api, Character
from tests.making import balance, history

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PACKAGE = {
    "name": "100 credits",
    "credits": 100000,
    "bonus_credits": 5000,
    "price": 1000,
    "currency": "Usd",
    "expires_after_seconds": 3600,
    "priority": 3,
}


def topup(api: Api, *, to: str = "user_1", key: str | None = None, **terms: Any) -> Answer:
    body = {"external_customer_id": to, **terms}
    return api.post("/v1/topup/grant", body, idempotency_key=key or f"topup-{uuid4().hex}")


@pytest.fixture
def package(api: Api) -> str:
    answer = api.post("/v1/topup-packages", PACKAGE)
    assert answer.status == 201, answer
    return str(answer["id"])


def test_a_topup_makes_a_block_and_a_customer(api: Api) -> None:
    # when
    answer = topup(
        api,
        credits=50000,
        price_paid=0,
        currency="mc",
        priority=10,
        expires_at="2099-04-13T14:00:00Z",
        metadata={"source": "plan_grant"},
        key="plan-grant:1",
    )
    # then
    assert answer.status == 201
    assert answer["topup_id"].startswith("top_")
    assert (answer["credits"], answer["bonus_credits"], answer["duplicate"]) == (50000, 0, False)
    assert (answer["price_paid"], answer["currency"]) == (0, "mc")
    assert (answer["balance"], answer["effective_balance"]) == (50000, 50000)
    block = answer["block"]
    assert (block["source"], block["priority"], block["expires_at"]) == ("topup", 10, "2099-04-13T14:00:00Z")
    assert block["metadata"] == {"source": "plan_grant"}
    [entry] = history(api)
    assert (entry["id"], entry["kind"], entry["amount"]) == (answer["ledger_entry_id"], "grant", 50000)
    assert entry["source"] == {"type": "topup", "id": answer["topup_id"]}
    assert api.get("/v1/customer-by-external-id/user_1")["display_name"] is None


def test_a_package_lends_its_terms(api: Api, acme: Character, package: str) -> None:
    # given
    clock_set(acme.test, NOON)
    # when
    answer = topup(api, package_id=package)
    # then
    assert (answer["credits"], answer["bonus_credits"]) == (100000, 5000)
    assert (answer["price_paid"], answer["currency"], answer["package_id"]) == (1000, "Usd", package)
    assert (answer["priority"], answer["expires_at"]) == (3, "2030-01-01T13:00:00Z")
    assert (answer["block"]["original_amount"], answer["balance"]) == (105000, 105000)


def test_each_of_them_may_be_overridden(api: Api, package: str) -> None:
    answer = topup(
        api,
        package_id=package,
        credits=7000,
        bonus_credits=0,
        price_paid=90,
        currency="eur",
        expires_at=None,
        priority=0,
    )
    assert (answer["credits"], answer["bonus_credits"], answer["balance"]) == (7000, 0, 7000)
    assert (answer["price_paid"], answer["currency"]) == (90, "eur")
    assert (answer["priority"], answer["expires_at"]) == (0, None)


@pytest.mark.parametrize(
    ("terms", "refusal", "field"),
    [
        ({}, "validation-failed", "credits"),
        ({"credits": 0}, "validation-failed", "credits"),
        ({"credits": 1.5}, "validation-failed", "credits"),
        ({"credits": 10, "price_paid": 5}, "validation-failed", "currency"),
        ({"credits": 10, "price_paid": -5, "currency": "USD"}, "validation-failed", "price_paid"),
        ({"credits": 10, "currency": "XXQ"}, "validation-failed", "currency"),
        ({"credits": 10, "priority": 101}, "validation-failed", "priority"),
        ({"credits": 10, "package_id": "pkg_1"}, "validation-failed", "package_id"),
        ({"credits": 10, "external_payment_id": ""}, "validation-failed", "external_payment_id"),
        ({"credits": 10, "expires_at": "2020-01-01T00:00:00Z"}, "expires-in-the-past", None),
        ({"credits": 10, "package_id": "pkg_01k7x3s9c5ef6v8b2n4m6q8r0t"}, "topup-package-not-found", None),
        (
            {"credits": 10, "topup_request_id": "tpr_01k7x3s9c5ef6v8b2n4m6q8r0t"},
            "topup-request-not-found",
            None,
        ),
    ],
)
def test_what_is_refused_leaves_nothing(
    api: Api, acme: Character, terms: dict[str, Any], refusal: str, field: str | None
) -> None:
    # when
    answer = topup(api, to="stranger", **terms)
    # then
    assert answer.refusal() == (422, refusal)
    assert field is None or answer["errors"][0]["field"] == field
    assert api.get("/v1/customer-by-external-id/stranger").status == 404
    with environment_scope(acme.test.id):
        assert Topup.objects.count() == 0


def test_the_customer_is_named_once(api: Api) -> None:
    for body in ({"credits": 1}, {"credits": 1, "customer_id": "a", "external_customer_id": "b"}):
        answer = api.post("/v1/topup/grant", body, idempotency_key=uuid4().hex)
        assert answer.refusal() == (400, "ambiguous-customer")


def test_a_key_is_required(api: Api) -> None:
    answer = api.post("/v1/topup/grant", {"external_customer_id": "user_1", "credits": 1})
    assert answer.refusal() == (422, "idempotency-key-missing")


@pytest.mark.parametrize("currency", ["usd", "USD", "Jpy", "kwd", "mc", "MC"])
def test_a_currency_is_taken_in_any_case_and_echoed(api: Api, currency: str) -> None:
    answer = topup(api, credits=1, price_paid=100, currency=currency)
    assert (answer.status, answer["currency"], answer["block"]["currency"]) == (201, currency, currency)


def test_exponents() -> None:
    exponents = {code: currency_exponent(code) for code in ("usd", "JPY", "kwd", "mc", "CLF")}
    assert exponents == {"usd": 2, "JPY": 0, "kwd": 3, "mc": 3, "CLF": 4}


def test_a_retry_with_another_expiry_is_the_same_topup(api: Api) -> None:
    # given: what source 001's code does at each retry
    terms: dict[str, Any] = {"credits": 50000, "price_paid": 0, "currency": "mc", "priority": 10}
    first = topup(api, **terms, expires_at="2099-01-01T00:00:00Z", key="plan-grant:1")
    # when
    again = topup(api, **terms, expires_at="2099-01-01T00:00:07Z", key="plan-grant:1")
    # then
    assert again.bytes == first.bytes
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert balance(api)["balance"] == 50000
    # and
    assert topup(api, credits=50001, key="plan-grant:1").refusal() == (422, "idempotency-key-reused")
    assert topup(api, to="user_2", credits=50000, key="plan-grant:1").refusal() == (
        422,
        "idempotency-key-reused",
    )


def test_one_payment_tops_up_once(api: Api) -> None:
    # given
    first = topup(api, credits=1000, external_payment_id="pi_1", key="a")
    # when: a webhook and a redirect both tell of it
    again = topup(api, credits=1000, external_payment_id="pi_1", key="b")
    # then
    assert (again.status, again["duplicate"]) == (201, True)
    assert (again["topup_id"], again["block"]["id"]) == (first["topup_id"], first["block"]["id"])
    assert balance(api)["balance"] == 1000
    # and
    for other in ({"credits": 1001}, {"credits": 1000, "to": "user_2"}):
        answer = topup(api, external_payment_id="pi_1", **other)
        assert answer.refusal() == (409, "payment-used-before")
        assert answer["existing_id"] == first["topup_id"]
    assert api.get("/v1/customer-by-external-id/user_2").status == 404


def test_a_payment_belongs_to_its_environment(api: Api, acme: Character) -> None:
    assert topup(api, credits=1000, external_payment_id="pi_1")["duplicate"] is False
    assert topup(Api(acme.live.secret), credits=1000, external_payment_id="pi_1")["duplicate"] is False


def test_one_payment_told_of_at_once_tops_up_once(
    api: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    answers = together(10, lambda _: topup(Api(acme.test.secret), credits=1000, external_payment_id="pi_1"))
    assert {answer.status for answer in answers} == {201}
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 9
    assert balance(api)["balance"] == 1000


def test_webhooks_tell_of_the_topup_and_of_its_credits(api: Api, acme: Character, package: str) -> None:
    topup(api, package_id=package, external_payment_id="pi_1")
    with environment_scope(acme.test.id):
        told = {event.event: event.payload for event in OutboxEvent.objects.filter(event__contains="granted")}
    assert told["credit.granted"]["amount"] == 105000
    bought = told["topup.granted"]
    assert (bought["credits"], bought["bonus_credits"], bought["price_paid"]) == (100000, 5000, 1000)
    assert (bought["external_payment_id"], bought["package_id"]) == ("pi_1", package)


def test_topups_are_listed_newest_first(api: Api) -> None:
    ids = [topup(api, credits=credits)["topup_id"] for credits in (1, 2, 3)]
    for path in ("customer-by-external-id/user_1", f"customers/{balance(api)['customer_id']}"):
        page = api.get(f"/v1/{path}/topups?limit=2")
        assert [row["topup_id"] for row in page["data"]] == [ids[2], ids[1]]
        rest = api.get(f"/v1/{path}/topups?cursor={page['pagination']['next_cursor']}")
        assert [row["topup_id"] for row in rest["data"]] == [ids[0]]
    assert api.get("/v1/customer-by-external-id/nobody/topups").status == 404


def test_a_topup_cannot_be_changed(api: Api, acme: Character, superuser_sql: Any) -> None:
    topup(api, credits=1)
    with pytest.raises(Exception, match=r"append-only|refuse|never"):
        superuser_sql.execute("UPDATE billing_topup SET credits_mc = 2")
