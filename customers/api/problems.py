"""Problem documents (RFC 9457): one place that turns a refusal, or anything that broke, into an answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf

from customers.api.requests import request_id_of
from customers.errors import (
    Conflict,
    DomainError,
    FieldError,
    MalformedRequest,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    ScopeMissing,
    ServerFault,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)

_log = logging.getLogger(__name__)
CONTENT_TYPE: Final = "application/problem+json"


def problem_response(error: DomainError, request: HttpRequest) -> HttpResponse:
    """The refusal as an answer."""
    response = HttpResponse(
        json.dumps(problem_document(error, request), default=str, ensure_ascii=False).encode(
            "utf-8", "replace"
        ),
        status=error.status,
        content_type=CONTENT_TYPE,
    )
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="Purser"'
    if isinstance(error, MethodNotAllowed) and "allow" in error.extra:
        response["Allow"] = ", ".join(error.extra["allow"])
    return response


def problem_document(error: DomainError, request: HttpRequest) -> dict[str, Any]:
    """The members of the problem; those of `error.extra` stand beside the usual ones."""
    return {
        "type": problem_url(error.code),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": request.path,
        "code": error.code,
        "request_id": request_id_of(request),
        "errors": [{"field": e.field, "code": e.code, "message": e.message} for e in error.errors],
        **error.extra,
    }


def problem_url(code: str) -> str:
    """Where the docs explain this problem."""
    return f"{settings.PURSER_URL}/problems/{code}"


def problem_from_exception(exception: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler."""
    request: HttpRequest = context["request"]._request
    return problem_response(as_domain_error(exception, request), request)


def as_domain_error(exception: Exception, request: HttpRequest) -> DomainError:
    """What the caller is told. Whatever nobody foresaw is logged with its traceback and becomes a server-fault."""
    if isinstance(exception, DomainError):
        return exception
    for kind, convert in _CONVERSIONS:
        if isinstance(exception, kind):
            return convert(exception)
    if isinstance(exception, DatabaseError | psycopg.Error):
        known = _database_refusal(exception)
        if known is not None:
            _log.warning("%s from the database", known.code, exc_info=exception, extra=_about(request))
            return known
    _log.error("unexpected %s", type(exception).__name__, exc_info=exception, extra=_about(request))
    return ServerFault()


def field_errors(detail: Any, path: str = "") -> Iterator[FieldError]:
    """DRF's nested validation errors, flat: `{"a": {"b": [e]}}` → field `a.b`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from field_errors(inner, path if name == "non_field_errors" else _joined(path, name))
    elif isinstance(detail, list | tuple):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict | list | tuple)
            yield from field_errors(inner, _joined(path, index) if nested else path)
    else:
        code = str(getattr(detail, "code", None) or "invalid").replace("_", "-")
        yield FieldError(path, code, str(detail))


def _joined(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _about(request: HttpRequest) -> dict[str, str]:
    return {"request_id": request_id_of(request), "path": request.path, "method": request.method or ""}


def _validation(exception: Any) -> DomainError:
    return ValidationFailed(errors=tuple(field_errors(exception.detail)))


def _method(exception: Any) -> DomainError:
    return MethodNotAllowed(str(exception.detail))


# In this order: the first kind that fits decides.
_CONVERSIONS: Final[tuple[tuple[type[Exception], Callable[[Any], DomainError]], ...]] = (
    (drf.ValidationError, _validation),
    (drf.ParseError, lambda e: MalformedRequest(str(e.detail))),
    (drf.NotAuthenticated, lambda _: NotAuthenticated()),
    (drf.AuthenticationFailed, lambda _: NotAuthenticated()),
    (drf.PermissionDenied, lambda _: ScopeMissing()),
    (drf.NotFound, lambda _: NotFound()),
    (drf.MethodNotAllowed, _method),
    (drf.UnsupportedMediaType, lambda _: UnsupportedMediaType()),
    (PermissionDenied, lambda _: ScopeMissing()),
    (Http404, lambda _: NotFound()),
    (RequestDataTooBig, lambda _: PayloadTooLarge()),
    (SuspiciousOperation, lambda _: MalformedRequest()),
    (MultiPartParserError, lambda _: UnsupportedMediaType()),
    (UnreadablePostError, lambda _: MalformedRequest("The request ended before its body did.")),
)


# SQLSTATE, or its class (two characters) → what the caller is told.
def _out_of_range() -> DomainError:
    return ValidationFailed("A number or text is larger than can be stored.")


def _busy() -> DomainError:
    return Unavailable("The object is busy. Try again.", retry_after_seconds=1)


_SQLSTATES: Final[dict[str, Callable[[], DomainError]]] = {
    "22003": _out_of_range,  # numeric_value_out_of_range
    "22001": _out_of_range,  # string_data_right_truncation
    "22021": lambda: ValidationFailed("A text contains characters that cannot be stored."),
    "22P05": lambda: ValidationFailed("A text contains characters that cannot be stored."),
    "22008": lambda: ValidationFailed("An instant is outside the calendar."),
    "54001": lambda: ValidationFailed("The input is nested too deeply."),
    "23503": lambda: Conflict("Something that this refers to is not there, or is still referred to."),
    "23505": lambda: Conflict("This exists already."),
    "23514": lambda: Conflict("This would break a rule of the database."),
    "40001": _busy,
    "40P01": _busy,
    "55P03": _busy,
    "57014": _busy,  # statement timeout
    "53": lambda: Unavailable(retry_after_seconds=1),
    "57": lambda: Unavailable(retry_after_seconds=1),
    "08": lambda: Unavailable(retry_after_seconds=1),
}


def _database_refusal(exception: Exception) -> DomainError | None:
    cause = exception if isinstance(exception, psycopg.Error) else exception.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if state is not None:
        refusal = _SQLSTATES.get(state) or _SQLSTATES.get(state[:2])
        return refusal() if refusal else None
    if isinstance(cause, psycopg.DataError) and "NUL" in str(cause):
        return ValidationFailed("A text contains a NUL character.")
    if isinstance(
        exception, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError
    ):
        return Unavailable(retry_after_seconds=1)
    return None
