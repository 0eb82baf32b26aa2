"""The API key on a request: who calls, and may they?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from customers.api.requests import address_of, request_id_of
from customers.errors import NotAuthenticated, ScopeMissing
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.services.authentication import KnownKey, key_authenticate_afresh
from customers.services.environments import environment_now

if TYPE_CHECKING:
    # DRF imports this module while it makes its views.
    from rest_framework.views import APIView


class ApiKeyAuthentication(BaseAuthentication):
    """Reads the key afresh, makes its environment's rows visible, and names the caller."""

    def authenticate(self, request: Request) -> tuple[None, KnownKey]:
        key = key_authenticate_afresh(
            secret=secret_of(request._request), now=system_now(), use_environment=True
        )
        attributes: Any = request
        attributes.key = key
        attributes.caller = caller_of(request._request, key)
        attributes.now = environment_now(key)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Purser"'


class KeyHasScope(BasePermission):
    """Reading needs `<resource>:read`, everything else `<resource>:write`; neither includes the other."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        scope_check(cast(KnownKey, request.auth), scope_needed(view, request.method or ""))
        return True


def secret_of(request: HttpRequest) -> str:
    """The secret in `X-API-Key` or `Authorization: Bearer`; sending both is fine when they agree."""
    header = request.META.get("HTTP_X_API_KEY", "").strip()
    scheme, _, bearer = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    if header and bearer and header != bearer:
        raise NotAuthenticated("X-API-Key and Authorization name different keys.")
    secret = str(header or bearer)
    if not secret:
        raise NotAuthenticated
    return secret


def caller_of(request: HttpRequest, key: KnownKey) -> Caller:
    return Caller(
        environment_id=key.environment_id,
        actor=key.actor,
        request_id=request_id_of(request),
        address=address_of(request),
        config_version=key.config_version,
    )


def scope_needed(view: APIView, method: str) -> str:
    resource: str = view.resource  # type: ignore[attr-defined]
    return f"{resource}:read" if method in ("GET", "HEAD", "OPTIONS") else f"{resource}:write"


def scope_check(key: KnownKey, scope: str) -> None:
    if not key.may(scope):
        raise ScopeMissing(f"This call needs the scope {scope}.", extra={"scope": scope})
