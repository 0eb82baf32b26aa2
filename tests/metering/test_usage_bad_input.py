"""Everything `POST /v1/usage` refuses, and that a refusal leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Api, Character
from tests.making import balance, give, make_metric

GOOD = {
    "external_customer_id": "user_1",
    "billable_metric_key": "api_call",
    "units": 1,
    "idempotency_key": "k",
}


@pytest.fixture
def priced(api: Api) -> Iterator[Api]:
    """A priced metric and a customer whose balance no refusal may touch."""
    make_metric(api)
    give(api, 100000)
    yield api
    assert balance(api)["balance"] == 100000


def without(*members: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in members}


@pytest.mark.parametrize(
    "body",
    [{**GOOD, "customer_id": "x"}, without("external_customer_id")],
    ids=["both ids", "neither id"],
)
def test_a_customer_named_twice_or_not_at_all_is_ambiguous(priced: Api, body: Any) -> None:
    assert priced.post("/v1/usage", body).refusal() == (400, "ambiguous-customer")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b'{"units": 1', b"{'units': 1}", b"[" * 5000, b"NaN"],
)
def test_what_is_no_json_object_is_malformed(priced: Api, body: bytes) -> None:
    answer = priced.post("/v1/usage", body, idempotency_key="k")
    assert answer.refusal() in ((400, "malformed-request"), (415, "unsupported-media-type"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("units", 0),
        ("units", -1),
        ("units", "zero"),
        ("units", "NaN"),
        ("units", "Infinity"),
        ("units", "1e400"),
        ("units", True),
        ("units", None),
        ("units", [1]),
        ("units", 10**16),
        ("units", 10**400),
        ("units", "0.00000000001"),
        ("units", 1e-11),
        ("billable_metric_key", 5),
        ("billable_metric_key", None),
        ("external_customer_id", ""),
        ("external_customer_id", "x" * 256),
        ("external_customer_id", 7),
        ("external_customer_id", "a\x00b"),
        ("idempotency_key", ""),
        ("idempotency_key", "x" * 256),
        ("idempotency_key", "ключ"),
        ("idempotency_key", 9),
        ("timestamp", "yesterday"),
        ("timestamp", "2026-04-03T09:01:00"),
        ("timestamp", "2999-01-01T00:00:00Z"),
        ("properties", "x"),
        ("properties", {f"k{n}": n for n in range(51)}),
        ("metadata", {"k": "x" * 9000}),
        ("metadata", {"k": "a\x00b"}),
        ("unit", 1),
    ],
)
def test_a_bad_field_is_named(priced: Api, field: str, value: Any) -> None:
    answer = priced.post("/v1/usage", {**GOOD, field: value})
    assert answer.status == 422, answer
    assert answer["code"] == "validation-failed"


@pytest.mark.parametrize("member", ["billable_metric_key", "units"])
def test_a_missing_field_is_named(priced: Api, member: str) -> None:
    answer = priced.post("/v1/usage", without(member))
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"] == [{"field": member, "code": "required", "message": "This field is required."}]


def test_without_any_key_it_is_refused(priced: Api) -> None:
    assert priced.post("/v1/usage", without("idempotency_key")).refusal() == (422, "idempotency-key-missing")


def test_an_unknown_metric_is_refused(priced: Api) -> None:
    answer = priced.post("/v1/usage", {**GOOD, "billable_metric_key": "nothing"})
    assert answer.refusal() == (422, "metric-not-found")


def test_a_metric_without_a_rule_is_refused(priced: Api) -> None:
    priced.post("/v1/metrics", {"key": "free", "name": "Free"})
    answer = priced.post("/v1/usage", {**GOOD, "billable_metric_key": "free"})
    assert answer.refusal() == (422, "no-active-metering-rule")


def test_a_property_without_a_rate_is_refused(priced: Api) -> None:
    make_metric(
        priced, key="model", dimension="model", rates={"a": {"cost_type": "per_unit", "unit_cost": 1}}
    )
    answer = priced.post("/v1/usage", {**GOOD, "billable_metric_key": "model", "properties": {"model": "b"}})
    assert answer.refusal() == (422, "no-rate-for-property")


def test_a_cost_beyond_every_account_is_refused(priced: Api) -> None:
    answer = priced.post("/v1/usage", {**GOOD, "units": 10**14})
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["code"] == "cost-too-large"


def test_another_content_type_is_refused(priced: Api) -> None:
    answer = priced.send("POST", "/v1/usage", b"units=1", content_type="application/x-www-form-urlencoded")
    assert answer.refusal() == (415, "unsupported-media-type")


def test_an_oversized_body_is_refused(priced: Api) -> None:
    answer = priced.post("/v1/usage", b'{"x": "' + b"x" * (1024 * 1024) + b'"}')
    assert answer.refusal() == (413, "payload-too-large")


def test_another_method_is_refused(priced: Api) -> None:
    assert priced.get("/v1/usage").refusal() == (405, "method-not-allowed")


def test_no_key_and_a_wrong_key_are_refused(priced: Api) -> None:
    assert priced.post("/v1/usage", GOOD, key="").refusal() == (401, "not-authenticated")
    assert priced.post("/v1/usage", GOOD, key="sk_test_wrong").refusal() == (401, "not-authenticated")


def test_the_other_environments_key_finds_nothing(priced: Api, acme: Character, rival: Character) -> None:
    for secret in (acme.live.secret, rival.test.secret):
        assert priced.post("/v1/usage", GOOD, key=secret).refusal() == (422, "metric-not-found")


def test_a_key_without_the_scope_is_refused(priced: Api) -> None:
    reader = priced.post("/v1/api-keys", {"name": "reader", "scopes": ["usage:read"]})
    answer = priced.post("/v1/usage", GOOD, key=reader["secret"])
    assert answer.refusal() == (403, "scope-missing")
