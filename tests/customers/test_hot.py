"""The hot path's edge: bodies into structs, refusals into problems, old configuration into a second try."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.test import RequestFactory

from customers.api.hot import decode, hot, on_config_change, respond, units_check
from customers.errors import MalformedRequest, ValidationFailed
from customers.kernel.memory import ConfigMoved
from customers.services.checks import metadata_refusal
from customers.services.environments import config_bump


class Item(msgspec.Struct, forbid_unknown_fields=True):
    units: Decimal
    name: str = ""


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    units: Decimal
    items: list[Item] = []
    whole: int = 0
    properties: dict[str, Any] = {}


def problem(body: bytes) -> tuple[str, str]:
    with pytest.raises(ValidationFailed) as refusal:
        decode(body, type=Wish)
    (error,) = refusal.value.errors
    return error.field, error.code


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        ("0.1", "0.1"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ('"0.30"', "0.30"),
        ("1e3", "1E+3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)
def test_numbers_are_exact(number, exact):
    wish = decode(f'{{"units": {number}}}'.encode(), type=Wish)

    assert str(wish.units) == exact


def test_numbers_in_untyped_members_are_exact_too():
    wish = decode(b'{"units": 1, "properties": {"n": 0.1000000000000000055511151231257827}}', type=Wish)

    assert wish.properties == {"n": Decimal("0.1000000000000000055511151231257827")}


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (b"{}", "units", "required"),
        (b'{"units": true}', "units", "invalid"),
        (b'{"units": "ten"}', "units", "invalid"),
        (b'{"units": 1, "unit": 2}', "unit", "unknown-field"),
        (b'{"units": 1, "items": [{"units": 1}, {"name": "x"}]}', "items.1.units", "required"),
        (b'{"units": 1, "items": [{"units": 1, "name": 7}]}', "items.0.name", "invalid"),
        (b'{"units": 1, "whole": 1.5}', "whole", "invalid"),
        (b'{"units": 1, "whole": ' + b"9" * 5000 + b"}", "whole", "invalid"),
        (b'{"units": 1, "items": [{"units": 1, "name": "a\\u0000"}]}', "items.0.name", "nul-character"),
        (b'{"units": 1, "properties": {"a\\u0000": 1}}', "properties.a\\u0000", "nul-character"),
    ],
)
def test_the_field_is_named(body, field, code):
    assert problem(body) == (field, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"units": NaN}',
        b'{"units": "\xff"}',
        b'{"units": 1} x',
        b"[" * 100000,
        b'{"units": "\\ud800"}',
        b'{"units": 1, "properties": {"a":' + b"[" * 100000,
    ],
)
def test_what_cannot_be_read_is_malformed(body):
    with pytest.raises(MalformedRequest):
        decode(body, type=Wish)


def test_an_escaped_backslash_is_no_nul():
    assert decode(b'{"units": 1, "properties": {"a": "\\\\u0000"}}', type=Wish).properties == {"a": "\\u0000"}


@pytest.mark.parametrize(("depth", "refused"), [(40, False), (60, True), (900, True)])
def test_what_is_nested_too_deeply_to_be_read_again_is_refused(depth, refused):
    body = b'{"units": 1, "properties": {"a":' + b"[" * depth + b"]" * depth + b"}}"

    properties = decode(body, type=Wish).properties

    assert (metadata_refusal(properties) is not None) is refused


@pytest.mark.parametrize(
    "units",
    ["NaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "0", "-1", "1e-11", "1000000000000000.1"],
)
def test_a_quantity_out_of_bounds_is_refused(units):
    with pytest.raises(ValidationFailed):
        units_check("units", Decimal(units), above=Decimal(0))


@pytest.mark.parametrize("units", ["1", "0.0000000001", "1e15", "1.50000000000000000000000000000000000000"])
def test_a_quantity_within_bounds_is_fine(units):
    assert units_check("units", Decimal(units), above=Decimal(0)) == Decimal(units)


def call(view, acme, method="POST", body=b'{"units": 1}', content_type="application/json", secret=None):
    request = RequestFactory().generic(
        method, "/v1/hot", body, content_type=content_type, headers={"X-API-Key": secret or acme.test.secret}
    )
    return view(request)


@pytest.fixture
def view():
    @hot(methods=("POST",), scope="usage:write", bucket="usage")
    def answer(request):
        wish = decode(request.body, type=Wish)
        return respond(202, {"units": wish.units, "kind": request.key.kind, "actor": request.caller.actor})

    return answer


def test_a_hot_view_knows_its_caller(acme, view):
    response = call(view, acme)

    assert response.status_code == 202
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.content) == {"units": "1", "kind": "test", "actor": acme.test.caller.actor}
    assert response.headers["RateLimit-Limit"] == "10000"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"secret": "sk_test_unknown"}, 401),
        ({"content_type": "text/plain"}, 415),
        ({"body": b"{"}, 400),
        ({"body": b"{}"}, 422),
        ({"body": b" " * (1024 * 1024 + 1)}, 413),
    ],
)
def test_it_refuses_as_every_endpoint_does(acme, view, options, status):
    response = call(view, acme, **options)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_what_breaks_is_a_server_fault(acme):
    @hot(scope="usage:write", bucket="usage")
    def breaks(_request):
        raise ZeroDivisionError

    assert call(breaks, acme).status_code == 500


def test_old_configuration_is_forgotten_and_the_call_made_again(acme):
    seen: list[int] = []
    forgotten: list[UUID] = []
    on_config_change(forgotten.append)
    call(hot(scope="usage:write", bucket="usage")(lambda _request: respond(200, {})), acme)
    config_bump(environment_id=acme.test.id)
    forgotten.clear()

    @hot(scope="usage:write", bucket="usage")
    def asks(request):
        seen.append(request.key.config_version)
        if len(seen) == 1:
            config_bump(environment_id=acme.test.id)
            raise ConfigMoved
        return respond(200, {})

    assert call(asks, acme).status_code == 200
    assert seen == [2, 3]
    assert acme.test.id in forgotten


def test_configuration_that_never_stands_still_is_503(acme):
    @hot(scope="usage:write", bucket="usage")
    def never(_request):
        raise ConfigMoved

    response = call(never, acme)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
