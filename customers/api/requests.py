"""What the edge puts on every request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework.request import Request

from customers.kernel.caller import Caller
from customers.kernel.rate_limit import Taken
from customers.services.authentication import KnownKey


class EdgeRequest(HttpRequest):
    """Django's request as EdgeMiddleware and the hot path leave it."""

    request_id: str
    key: KnownKey
    caller: Caller
    now: datetime


class HotRequest(WSGIRequest):
    """An EdgeRequest whose parts are read when they are asked for; a hot view asks for few."""

    def __init__(self, environ: dict[str, Any]) -> None:
        # Not Django's, which reads them all.
        self.environ = environ
        self.META = environ
        self.method = environ["REQUEST_METHOD"].upper()

    @cached_property
    def path_info(self) -> str:  # type: ignore[override]
        return str(self.META.get("PATH_INFO") or "/")

    @cached_property
    def path(self) -> str:  # type: ignore[override]
        return f"{self.META.get('SCRIPT_NAME', '').rstrip('/')}{self.path_info}"

    @cached_property
    def content_type(self) -> str:  # type: ignore[override]
        given = self.META.get("CONTENT_TYPE", "")
        return given if given == "application/json" else parse_header_parameters(given)[0]

    @cached_property
    def body(self) -> bytes:
        """Its length was looked at before anybody asks for it."""
        length = self.META.get("CONTENT_LENGTH") or ""
        try:
            return bytes(self.META["wsgi.input"].read(int(length))) if length.isdigit() else b""
        except OSError as error:
            raise UnreadablePostError(*error.args) from error


class ApiRequest(Request):
    """The request of a DRF view."""

    key: KnownKey
    caller: Caller
    #: The present of the caller's environment: its test clock, or else the system's.
    now: datetime
    rate: Taken
    #: Tells the Idempotency-Key, if there is one, what this call made: kept for ever.
    idempotency_effect: Callable[[UUID], None]


def request_id_of(request: HttpRequest) -> str:
    """The id that names this request in logs, problems and audit records."""
    return getattr(request, "request_id", "")


def address_of(request: HttpRequest) -> str:
    """Where the request came from."""
    return str(request.META.get("REMOTE_ADDR") or "")[:60]
