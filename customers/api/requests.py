"""What the edge puts on every request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
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
