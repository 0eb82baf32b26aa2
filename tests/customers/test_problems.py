"""No input produces a 500, and every refusal is a problem document that says what to do."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from customers.api.problem_pages import refusals

PATH = "/v1/customers"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"external_id": "a"',
        b'{"external_id": }',
        b"not json",
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b'{"external_id": "a", "overage_limit": NaN}',
        b'{"external_id": "a", "overage_limit": Infinity}',
        b'{"external_id": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"external_id": "a\nb"}',
        b'{"external_id": "a"} {}',
    ],
)
def test_a_body_that_cannot_be_read_is_400(api, body):
    assert api.post(PATH, body).refusal() == (400, "malformed-request")


@pytest.mark.parametrize(
    "body",
    [
        b'{"external_id": "a", "metadata": {"a":' + b"[" * 100_000,
        b'{"external_id": "a", "metadata": {"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"external_id": "a", "overage_limit": ' + b"9" * 5000 + b"}",
        b'{"external_id": "a", "overage_limit": 1e400}',
        b'{"external_id": "a", "overage_limit": 1e999999999999999999999}',
        b'{"external_id": "a", "overage_limit": 9223372036854775808}',
        b'{"external_id": "a", "overage_limit": 1000.0}',
        b'{"external_id": "a", "overage_limit": 1e3}',
        b'{"external_id": "a", "metadata": {"n": 1e400}}',
        b'{"external_id": "a", "metadata": ' + b'{"a":' * 60 + b"1" + b"}" * 61,
        b'{"external_id": "a", "metadata": {"a":' + b"[" * 900 + b"]" * 900 + b"}}",
    ],
)
def test_a_number_or_depth_beyond_bounds_is_422(api, body):
    assert api.post(PATH, body).refusal() == (422, "validation-failed")
    assert api.get(PATH)["data"] == []


def test_the_last_of_two_equal_members_counts(api):
    assert api.post(PATH, b'{"external_id": "a", "external_id": "b"}')["external_id"] == "b"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
        "x",
    ],
)
def test_another_content_type_is_415(api, content_type):
    answer = api.post(PATH, b'{"external_id": "a"}', content_type=content_type)

    assert answer.refusal() == (415, "unsupported-media-type")


def test_a_charset_or_another_case_is_fine(api):
    made = api.post(PATH, b'{"external_id": "a"}', content_type="Application/JSON; charset=utf-8")

    assert made.status == 201


def test_an_oversized_body_is_413(api, settings):
    body = json.dumps({"external_id": "a", "name": "x" * settings.BODY_MAX_BYTES}).encode()

    assert api.post(PATH, body).refusal() == (413, "payload-too-large")


def test_accept_makes_no_difference(api):
    for accept in ("text/html", "application/xml", "*/*", "application/json;q=0", "nonsense"):
        assert api.get(PATH, headers={"Accept": accept}).status == 200


def test_another_method_is_405_and_says_which_there_are(api):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"):
        answer = api.send(method, PATH, {})

        assert answer.refusal() == (405, "method-not-allowed")
        assert answer.headers["Allow"] == "GET, POST, HEAD"


@pytest.mark.parametrize("path", ["/v1/", "/v1/nothing", "/v1/customers/", "/v1/api-keys/x/y/z"])
def test_an_unknown_path_is_404(api, path):
    assert api.get(path).status == 404
    assert api.get(path).headers["Content-Type"] == "application/problem+json"


def test_a_problem_has_every_member(api):
    answer = api.get("/v1/customers/nobody", headers={"X-Request-Id": "my-request.1"})

    assert answer.json == {
        "type": "http://127.0.0.1:8000/problems/customer-not-found",
        "title": "There is no such customer",
        "status": 404,
        "detail": "There is no customer with the id 'nobody'.",
        "instance": "/v1/customers/nobody",
        "code": "customer-not-found",
        "request_id": "my-request.1",
        "errors": [],
    }


def test_what_nobody_foresaw_is_a_server_fault_and_is_logged(api, monkeypatch, caplog):
    def breaks(*_arguments, **_options):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("customers.api.customers.customer_create", breaks)

    answer = api.post(PATH, {"external_id": "a"})

    assert answer.refusal() == (500, "server-fault")
    assert b"secret detail" not in answer.bytes
    assert any(record.exc_info and "secret detail" in str(record.exc_info[1]) for record in caplog.records)


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT 99999999999::integer", 422, "validation-failed"),
        ("SELECT repeat('[', 100000)::jsonb", 422, "validation-failed"),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", 503, "unavailable"),
        (
            "DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = 'lock_not_available'; END $$",
            503,
            "unavailable",
        ),
        (
            "DO $$ BEGIN RAISE EXCEPTION 'dead' USING ERRCODE = 'deadlock_detected'; END $$",
            503,
            "unavailable",
        ),
        ("DO $$ BEGIN RAISE EXCEPTION 'rule' USING ERRCODE = 'check_violation'; END $$", 409, "conflict"),
        ("SELECT no_such_column", 500, "server-fault"),
    ],
)
def test_what_the_database_says_becomes_the_fitting_problem(api, monkeypatch, sql, status, code):
    def asks(**_options):
        with connection.cursor() as cursor:
            cursor.execute(sql)

    with monkeypatch.context() as patch:
        patch.setattr("customers.api.customers.customer_create", asks)
        answer = api.post(PATH, {"external_id": "a"}, idempotency_key="k")

    assert answer.refusal() == (status, code)
    # The next request finds a connection that works.
    assert api.post(PATH, {"external_id": "b"}).status == 201


def test_a_connection_that_breaks_is_503_and_the_next_request_has_another(api, monkeypatch, superuser_sql):
    def loses_its_connection(**_options):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            superuser_sql.execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())
            cursor.execute("SELECT 1")

    with monkeypatch.context() as patch:
        patch.setattr("customers.api.customers.customer_create", loses_its_connection)
        answer = api.post(PATH, {"external_id": "a"}, idempotency_key="k")

    assert answer.refusal() == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert api.post(PATH, {"external_id": "a"}, idempotency_key="k").status == 201


def test_every_refusal_has_a_page(client):
    for code, refusal in refusals().items():
        page = client.get(f"/problems/{code}")
        assert page.status_code == 200
        assert refusal.title in page.content.decode().replace("&#x27;", "'")
        assert len(refusal.__doc__ or "") > 40, f"{code} does not say what to do"
    assert client.get("/problems/no-such-problem").status_code == 404


def test_the_index_links_every_page(client):
    index = client.get("/problems").content.decode()

    assert all(f'href="/problems/{code}"' in index for code in refusals())
