"""The way a server calls us: hot paths past Django's handler, the others through it, with the same answers."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import psycopg
from django.core.signals import request_started
from django.db import connection

from config.wsgi import application
from tests.conftest import Api
from tests.making import balance, give, make_metric


def call(api: Api, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
    """As a WSGI server does: the path percent-decoded into latin-1, the body as a stream."""
    sent = b"" if body is None else json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, encoding="latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_X_API_KEY": api.secret,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(sent)),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(sent),
        "wsgi.errors": BytesIO(),
    }
    answered: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        answered.append((status, headers))

    content = b"".join(application(environ, start_response))
    ((status, headers),) = answered
    return int(status[:3]), dict(headers), json.loads(content)


def event(of: str = "user_1", **more: Any) -> dict[str, Any]:
    key = more.pop("idempotency_key", f"event-{uuid4().hex}")
    return {
        "external_customer_id": of,
        "billable_metric_key": "api_call",
        "units": 1,
        "idempotency_key": key,
        **more,
    }


def test_a_hot_call_is_answered_whole_without_djangos_handler(api: Api) -> None:
    make_metric(api)
    give(api, 5000)
    started: list[Any] = []

    def note(**_: Any) -> None:
        started.append(1)

    request_started.connect(note)
    try:
        status, headers, body = call(api, "POST", "/v1/usage", event())
    finally:
        request_started.disconnect(note)

    assert status == 202
    assert body["estimated_cost"] == 1000
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-Id"].startswith("req_")
    assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} <= set(headers)
    assert balance(api)["balance"] == 4000
    assert started == []


def test_a_refusal_of_a_hot_call_is_a_problem_document(api: Api) -> None:
    make_metric(api)

    status, headers, body = call(api, "POST", "/v1/usage", event())

    assert (status, body["code"]) == (402, "insufficient-credits")
    assert headers["Content-Type"] == "application/problem+json"
    assert body["request_id"] == headers["X-Request-Id"]


def test_other_calls_go_through_djangos_handler(api: Api) -> None:
    assert call(api, "GET", "/v1/customers")[0] == 200
    assert call(api, "GET", "/v1/nothing")[2]["code"] == "not-found"


def test_an_id_beyond_ascii_reaches_the_same_customer(api: Api) -> None:
    make_metric(api)
    give(api, 5000, to="m%C3%BCller")

    status, _, body = call(api, "GET", "/v1/customer-by-external-id/m%C3%BCller/credits")

    assert (status, body["external_customer_id"], body["balance"]) == (200, "müller", 5000)


def test_a_connection_found_dead_is_opened_again(api: Api, superuser_sql: psycopg.Connection[Any]) -> None:
    make_metric(api)
    give(api, 5000)
    superuser_sql.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])

    assert call(api, "POST", "/v1/usage", event())[0] == 202
    assert balance(api)["balance"] == 4000


def test_hot_statements_are_prepared(api: Api) -> None:
    make_metric(api)
    give(api, 5000)
    call(api, "POST", "/v1/usage", event())

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%metering_usage_record%'"
        )
        assert cursor.fetchone() == (1,)
