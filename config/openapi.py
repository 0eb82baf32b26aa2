"""The API's description (OpenAPI 3.1): what DRF's views say of themselves, the hot endpoints, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView

from config.hot_paths import OPERATIONS
from customers.api.hot import Operation
from customers.api.problem_pages import refusals
from customers.api.problems import CONTENT_TYPE
from customers.api.schema import IDEMPOTENCY_KEY, SECURITY
from customers.api.webhook_catalogue import webhooks_described
from customers.errors import DomainError

_REF: Final = "#/components/schemas/"
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Why a call was refused (RFC 9457). A refused call leaves nothing behind.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The page that explains this problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path that was called."},
        "code": {"type": "string", "description": "What to switch on."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "description": "A path such as `events.3.units`."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


class DocsView(SpectacularSwaggerSplitView):
    """The description to click through, from our own static files."""

    url_name = "openapi"


class ReferenceView(SpectacularRedocView):
    """The description to read."""

    url_name = "openapi"
    template_name = "docs/redoc.html"


@require_safe
def openapi_document(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(openapi_bytes(), content_type="application/json")


@lru_cache(maxsize=1)
def openapi_bytes() -> bytes:
    """The description as docs/openapi.json holds it."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return (json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n").encode()


def add_hot_operations(result: dict[str, Any], **_options: Any) -> dict[str, Any]:
    """Hook: the hot endpoints, whose bodies are msgspec structs."""
    types = [kind for operation in OPERATIONS for kind in _types(operation)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    by_type = dict(zip(map(id, types), schemas, strict=True))
    result.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for operation in OPERATIONS:
        result["paths"].setdefault(operation.path, {})[operation.method] = _hot_operation(operation, by_type)
    result["paths"] = dict(sorted(result["paths"].items()))
    result["components"]["schemas"] = dict(sorted(result["components"]["schemas"].items()))
    return result


def add_problems(result: dict[str, Any], **_options: Any) -> dict[str, Any]:
    """Hook: what each operation may refuse, with an example of each refusal."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                operation["tags"] = [tag[:1].upper() + tag[1:] for tag in operation["tags"]]
                _add_problems(path, method, operation)
    return result


def add_webhooks(result: dict[str, Any], **_options: Any) -> dict[str, Any]:
    """Hook: what we send to others."""
    result["webhooks"] = webhooks_described()
    return result


def _types(operation: Operation) -> Iterator[Any]:
    if operation.request is not None:
        yield operation.request
    yield from (kind for kind in operation.responses.values() if kind is not None)


def _hot_operation(operation: Operation, by_type: dict[int, Any]) -> dict[str, Any]:
    parameters: list[Any] = [dict(parameter) for parameter in operation.parameters]
    if operation.method == "post":
        parameters.append({**IDEMPOTENCY_KEY, "required": False})
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "security": SECURITY,
        "x-scope": operation.scope,
        "x-problems": list(operation.problems),
        **operation.extensions,
    }
    if parameters:
        described["parameters"] = parameters
    if operation.request is not None:
        body = _content(by_type[id(operation.request)], operation.request_example)
        described["requestBody"] = {"required": True, "content": body}
    described["responses"] = {
        str(status): {"description": "", "content": _content(by_type[id(kind)], operation.response_example)}
        if kind is not None
        else {"description": "No body"}
        for status, kind in operation.responses.items()
    }
    return described


def _content(schema: Any, example: Any) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    if example is not None:
        media["example"] = example
    return {"application/json": media}


def _add_problems(path: str, method: str, operation: dict[str, Any]) -> None:
    known = refusals()
    codes = dict.fromkeys([*operation.pop("x-problems", ()), *_usual(path, method, operation)])
    by_status: dict[int, list[type[DomainError]]] = {}
    for code in codes:
        by_status.setdefault(known[code].status, []).append(known[code])
    for status, kinds in sorted(by_status.items()):
        operation["responses"].setdefault(str(status), _problem(status, kinds))


def _usual(path: str, method: str, operation: dict[str, Any]) -> Iterable[str]:
    yield from ("not-authenticated", "scope-missing", "rate-limited", "server-fault", "unavailable")
    # Texts that cannot be stored are refused wherever they may stand: in a path, a parameter, a body.
    if operation.get("parameters") or "requestBody" in operation:
        yield "validation-failed"
    if "{" in path:
        yield "not-found"
    if method in {"post", "patch", "put"}:
        yield from ("malformed-request", "payload-too-large", "unsupported-media-type")
    named = [each for each in operation.get("parameters", ()) if each["name"] == IDEMPOTENCY_KEY["name"]]
    if named:
        yield from ("validation-failed", "idempotency-key-in-flight", "idempotency-key-reused")
    if any(each["required"] for each in named):
        yield "idempotency-key-missing"


def _problem(status: int, kinds: list[type[DomainError]]) -> dict[str, Any]:
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": f"{_REF}Problem"},
                "examples": {
                    kind.code: {"summary": kind.title, "value": _example(status, kind)} for kind in kinds
                },
            }
        },
    }


def _example(status: int, kind: type[DomainError]) -> dict[str, Any]:
    return {
        # Not this installation's own address: docs/openapi.json is the same everywhere.
        "type": f"https://purser.example/problems/{kind.code}",
        "title": kind.title,
        "status": status,
        "detail": kind.title,
        "instance": "/v1/…",
        "code": kind.code,
        "request_id": "req_01jzgd2kq8e5rtx3m9v7c4b6na",
        "errors": [],
    }
