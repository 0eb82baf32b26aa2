"""What stands around every request: names, pages, health, headers, description."""

from __future__ import annotations

import json
import re
from io import BytesIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import HttpResponse
from django.test import RequestFactory

from config.middleware import EdgeMiddleware
from config.openapi import openapi_bytes
from customers.kernel.ids import typeid_parse
from customers.models import Tenant
from tests.conftest import Api


@pytest.mark.parametrize(
    "path", ["/v1/customers", "/v1/nothing", "/v1/customers/a/credits", "/healthz", "/problems"]
)
def test_every_answer_has_a_request_id(api, path):
    first, second = (api.get(path).headers["X-Request-Id"] for _ in range(2))

    assert typeid_parse("req", first) is not None
    assert first != second


def test_a_callers_request_id_is_kept(api):
    assert (
        api.get("/healthz", headers={"X-Request-Id": "trace:A-1.b_2"}).headers["X-Request-Id"]
        == "trace:A-1.b_2"
    )


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 61, "<script>", "é", "-a", "a\tb"])
def test_a_request_id_that_is_none_is_replaced(api, given):
    answered = api.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]

    assert typeid_parse("req", answered) is not None


def test_the_request_id_is_in_the_problem_and_the_log(api, caplog):
    answer = api.get("/v1/customers/nobody")

    lines = [record for record in caplog.records if record.name == "purser.access"]
    assert answer["request_id"] == answer.headers["X-Request-Id"]
    assert [(line.path, line.status, line.request_id) for line in lines] == [
        ("/v1/customers/nobody", 404, answer["request_id"])
    ]


def test_a_chunked_body_is_read():
    """Django alone takes a body without a length for an empty one."""
    body = b'{"external_id": "chunked"}'
    seen = {}

    def view(request):
        seen["body"], seen["length"] = request.body, request.META["CONTENT_LENGTH"]
        return HttpResponse()

    request = RequestFactory().generic(
        "POST",
        "/v1/customers",
        body,
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
    )
    del request.META["CONTENT_LENGTH"]
    request.META["wsgi.input"] = BytesIO(body)
    EdgeMiddleware(view)(request)

    assert seen == {"body": body, "length": str(len(body))}


def test_health(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


def test_not_ready_without_redis_is_ready_and_says_so(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "ConnectionError")


@pytest.mark.parametrize("path", ["/v1/customers", "/problems", "/docs", "/healthz"])
def test_nothing_is_loaded_from_elsewhere(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "'unsafe-eval'" not in policy


def test_the_docs_need_no_key_and_no_network(client):
    for path in ("/docs", "/redoc", "/docs?script="):
        page = client.get(path)
        assert page.status_code == 200, path
        assert not re.findall(r"""(?:src|href)=["']https?://""", page.content.decode())


def test_the_description_is_complete():
    document = json.loads(openapi_bytes())
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]

    assert document["openapi"].startswith("3.1")
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    without_example = []
    for path, method, operation in operations:
        assert operation["summary"], (path, method)
        assert operation["x-scope"], (path, method)
        assert {"401", "403", "429", "500"} <= operation["responses"].keys(), (path, method)
        assert not {"x-problems"} & operation.keys()
        shown = [answer for status, answer in operation["responses"].items() if status < "300"]
        assert shown, (path, method)
        for answer in shown:
            media = answer.get("content", {}).get("application/json")
            if media is not None and not {"example", "examples"} & media.keys():
                without_example.append(operation["operationId"])
    assert without_example == []


def test_the_description_is_served_to_anybody(client):
    answer = client.get("/v1/openapi.json")

    assert answer.status_code == 200
    assert answer.content == openapi_bytes()


def test_create_tenant_prints_both_keys(capsys):
    call_command("create_tenant", f"Printed {uuid4().hex}")

    printed = dict(
        line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("live", "test"))
    )
    assert printed["live"].startswith("sk_live_")
    assert printed["test"].startswith("sk_test_")
    assert Api(printed["test"]).get("/v1/customers").status == 200


def test_two_tenants_of_one_name_are_refused(acme):
    before = Tenant.objects.count()
    with pytest.raises(CommandError, match="There is a tenant named"):
        call_command("create_tenant", acme.tenant.name)
    assert Tenant.objects.count() == before
