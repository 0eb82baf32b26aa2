"""A request of the admin, as the middlewares leave it."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.http import HttpRequest

from customers.kernel.caller import Caller
from customers.models import Environment, User


class AdminRequest(HttpRequest):
    """`environment` and `caller` are there once a tenant exists; `now` is that environment's present."""

    environment: Environment | None
    caller: Caller
    now: datetime
    request_id: str
    user: User


def of_admin(request: HttpRequest) -> AdminRequest:
    """The same request, typed."""
    return cast(AdminRequest, request)


def environment_of(request: HttpRequest) -> Environment | None:
    """The environment that this person looks at, or None before there is any."""
    return getattr(request, "environment", None)


def wants_fragment(request: HttpRequest) -> bool:
    """Whether a script asks for the inside of a dialog rather than for a page."""
    return request.headers.get("X-Purser-Dialog") == "1"


def address_of(request: HttpRequest) -> str:
    """Where the person is, for the audit record."""
    return str(request.META.get("REMOTE_ADDR") or "")[:60]
