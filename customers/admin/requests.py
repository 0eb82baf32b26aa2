"""A request of the admin, as the middlewares leave it."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

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


def return_address(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    home = reverse("admin:index")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if is_ours and wanted.startswith(home) else home
