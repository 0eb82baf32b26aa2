"""The application as the server calls it: what goes past Django's handler answers as what goes through it."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from typing import Any

import pytest

from config.handler import EdgeHandler
from config.hot_paths import hot_view
from customers.kernel.clock import system_now
from metering.services.metrics import metric_create
from metering.services.rules import rule_create

EVENT = {
    "external_customer_id": "nina",
    "billable_metric_key": "call",
    "units": 3,
    "idempotency_key": "first",
}


@pytest.fixture
def free_calls(inside_acme):
    now = system_now()
    caller = inside_acme.test.caller
    metric_create(caller=caller, key="call", name="Call", now=now)
    rule_create(
        caller=caller, metric_key="call", definition={"cost_type": "per_unit", "unit_cost": 0}, now=now
    )


def send(acme: Any, method: str, path: str, body: bytes = b"", **variables: Any) -> Any:
    """The status line, the headers and the JSON of one call, as a WSGI server would make it."""
    answered: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_API_KEY": acme.test.secret,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        **variables,
    }

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        answered.extend((status, dict(headers)))

    chunks = EdgeHandler()(environ, start)
    return *answered, json.loads(b"".join(chunks))


@pytest.mark.usefixtures("free_calls")
def test_a_hot_call_is_answered_past_django(acme):
    status, headers, answer = send(acme, "POST", "/v1/usage", json.dumps(EVENT).encode())

    assert status == "202 Accepted"
    assert headers["Content-Type"] == "application/json"
    assert headers["RateLimit-Limit"] == "10000"
    assert headers["X-Request-Id"].startswith("req_")
    assert (answer["idempotency_key"], answer["estimated_cost"]) == ("first", 0)


@pytest.mark.usefixtures("free_calls")
def test_a_body_in_chunks_is_read_to_its_end(acme):
    body = json.dumps(EVENT).encode()

    status, _, answer = send(
        acme, "POST", "/v1/usage", body, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked"
    )

    assert (status, answer["idempotency_key"]) == ("202 Accepted", "first")


@pytest.mark.usefixtures("free_calls")
def test_a_type_with_parameters_is_json_too(acme):
    body = json.dumps(EVENT).encode()

    status, _, _ = send(acme, "POST", "/v1/usage", body, CONTENT_TYPE="Application/JSON; charset=utf-8")

    assert status == "202 Accepted"


@pytest.mark.usefixtures("free_calls")
def test_the_query_is_read_when_a_view_asks(acme):
    send(acme, "POST", "/v1/usage", json.dumps(EVENT).encode())

    status, _, answer = send(
        acme, "GET", "/v1/customer-by-external-id/nina/entitlements/call", QUERY_STRING="units=7"
    )

    assert (status, answer["units"], answer["estimated_cost"]) == ("200 OK", 7, 0)


@pytest.mark.parametrize(
    ("method", "variables", "status"),
    [
        ("GET", {}, "405 Method Not Allowed"),
        ("POST", {"HTTP_X_API_KEY": "sk_test_nobody"}, "401 Unauthorized"),
        ("POST", {"CONTENT_TYPE": "text/plain"}, "415 Unsupported Media Type"),
        ("POST", {"CONTENT_LENGTH": ""}, "400 Bad Request"),
    ],
)
def test_a_refusal_is_a_problem_that_names_its_path(acme, method, variables, status):
    line, headers, problem = send(acme, method, "/v1/usage", b"{}", SCRIPT_NAME="/billing/", **variables)

    assert line == status
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["instance"] == "/billing/v1/usage"
    assert problem["request_id"] == headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/customers/c1/credits", {"by": "id", "reference": "c1"}),
        ("/v1/customer-by-external-id/a/b/usage", {"by": "external", "reference": "a/b"}),
        (
            "/v1/customers/c1/entitlements/credits",
            {"by": "id", "reference": "c1", "metric_key": "credits"},
        ),
        (
            "/v1/customer-by-external-id/a/entitlements/b/entitlements/c",
            {"by": "external", "reference": "a/entitlements/b", "metric_key": "c"},
        ),
    ],
)
def test_an_id_may_hold_slashes(path, arguments):
    found = hot_view(path, "GET")

    assert found is not None
    assert found[1] == arguments


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/c1",
        "/v1/customers/credits",
        "/v1/customers//credits",
        "/v1/customers/c1/entitlements/",
        "/v1/customers/c1/entitlements",
        "/v1/customersx/c1/credits",
    ],
)
def test_other_paths_of_a_customer_go_the_ordinary_way(path):
    assert hot_view(path, "GET") is None
