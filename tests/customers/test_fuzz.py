"""No input produces a 500: bodies and paths that nobody would think of."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel.ids import typeid, typeid_parse, uuid_parse
from tests.conftest import Api, make_character

FIELDS = (
    "id",
    "external_id",
    "display_name",
    "email",
    "overage_policy",
    "overage_limit",
    "low_balance_threshold",
    "timezone",
    "metadata",
    "payment_provider",
    "tax_rate",
    "tax_id",
    "billing_address",
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(),
    st.sampled_from(["Europe/Berlin", "allow", "a@b.c", "\x00", "\ud800", "1e999", "..", "UTC\n"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
bodies = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), values, max_size=6)


@pytest.fixture(scope="module")
def backend() -> Api:
    return Api(make_character("Fuzzed").test.secret)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies)
def test_any_json_is_answered(backend, body):
    assert backend.post("/v1/customers", json.dumps(body).encode()).status in {201, 400, 409, 422, 429}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=60)
    | st.text(alphabet='{}[]":,0123456789.eE+-\\utrn ', max_size=60).map(str.encode)
)
def test_any_bytes_are_answered(backend, body):
    assert backend.post("/v1/api-keys", body).status in {201, 400, 415, 422, 429}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    query=st.text(max_size=30),
    name=st.sampled_from(["search", "limit", "cursor", "email", "created_after", "x"]),
)
def test_any_query_is_answered(backend, query, name):
    path = (
        "/v1/customers?"
        + name
        + "="
        + "".join(f"%{byte:02x}" for byte in query.encode("utf-8", "surrogatepass"))
    )
    assert backend.get(path).status in {200, 422, 429}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(min_size=1, max_size=40))
def test_any_path_is_answered(backend, raw):
    quoted = "".join(f"%{byte:02x}" for byte in raw)
    assert backend.get(f"/v1/customers/{quoted}").status in {200, 404, 422, 429}
    assert backend.get(f"/v1/customers/{quoted}/credits").status in {200, 404, 422, 429}


@given(value=st.uuids())
def test_a_typeid_is_read_back(value):
    text = typeid("blk", value)
    assert len(text) == 30
    assert typeid_parse("blk", text) == value
    assert typeid_parse("led", text) is None
    assert uuid_parse(str(value).upper()) == value


@given(text=st.text(max_size=40))
def test_no_other_text_is_a_typeid(text):
    found = typeid_parse("blk", f"blk_{text}")
    assert found is None or typeid("blk", found) == f"blk_{text}"
