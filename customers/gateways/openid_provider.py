"""Talks to an OpenID Connect provider: where its pages are, its keys, and what a code stands for.

What was fetched is kept in the process for an hour. No redirect is followed: its document names its addresses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import requests
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from customers.kernel.clock import elapsed_seconds

_KEPT_SECONDS: Final = 3600
_CONNECT_SECONDS, _READ_SECONDS = 3, 5
_ANSWER_BYTES: Final = 1024 * 1024
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


class ProviderUnreachable(Exception):
    """No answer, or none that makes sense."""


class ProviderRefused(Exception):
    """The provider answered with an error: the code was used, too old, or not ours."""


def provider_document(issuer: str) -> Mapping[str, Any]:
    """What the provider says about itself, which must be the one we asked."""
    document = _kept(issuer.rstrip("/") + "/.well-known/openid-configuration", fresh=False)
    if document.get("issuer") != issuer:
        raise ProviderUnreachable(f"{issuer} calls itself {document.get('issuer')!r}")
    for address in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        address_check(document.get(address))
    return document


def provider_keys(document: Mapping[str, Any], *, fresh: bool = False) -> KeySet:
    """The provider's public keys; `fresh` asks again, when a signature was made with none of those kept."""
    try:
        return KeySet.import_key_set(_kept(document["jwks_uri"], fresh=fresh))  # type: ignore[arg-type]
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise ProviderUnreachable(f"its keys cannot be read: {error}") from error


def code_exchange(
    document: Mapping[str, Any],
    *,
    client_id: str,
    client_secret: str,
    code: str,
    verifier: str,
    answer_url: str,
) -> Mapping[str, Any]:
    """The tokens that the code stands for."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": answer_url,
        "code_verifier": verifier,
    }
    ways = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if client_secret and "client_secret_basic" in ways:
        basic = (quote_plus(client_id), quote_plus(client_secret))
        return _asked("POST", document["token_endpoint"], data=form, auth=basic)
    form["client_id"] = client_id
    if client_secret:
        form["client_secret"] = client_secret
    return _asked("POST", document["token_endpoint"], data=form)


def person_details(document: Mapping[str, Any], *, access_token: str) -> Mapping[str, Any]:
    """What the provider tells of the person beside the ID token; nothing, where it has no such address."""
    address = document.get("userinfo_endpoint")
    if not address or not access_token:
        return {}
    address_check(address)
    return _asked("GET", address, headers={"Authorization": f"Bearer {access_token}"})


def address_check(address: Any) -> None:
    """Logins go over TLS, but for a provider on this very machine."""
    parts = urlsplit(address if isinstance(address, str) else "")
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _LOOPBACK):
        raise ProviderUnreachable(f"{address!r} is no https address")


_lock: Final = Lock()
_fetched: Final[dict[str, tuple[float, Mapping[str, Any]]]] = {}


def _kept(address: str, *, fresh: bool) -> Mapping[str, Any]:
    with _lock:
        at, document = _fetched.get(address, (0.0, {}))
    if document and not fresh and elapsed_seconds() - at < _KEPT_SECONDS:
        return document
    address_check(address)
    document = _asked("GET", address)
    with _lock:
        _fetched[address] = (elapsed_seconds(), document)
    return document


def provider_forget() -> None:
    """As a process that has just started."""
    with _lock:
        _fetched.clear()


def _asked(method: str, address: str, **more: Any) -> Mapping[str, Any]:
    try:
        with requests.request(
            method,
            address,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            allow_redirects=False,
            stream=True,
            **more,
        ) as answer:
            content = answer.raw.read(_ANSWER_BYTES, decode_content=True)
    except (requests.RequestException, OSError, ValueError) as error:
        raise ProviderUnreachable(f"{address}: {error}") from error
    if answer.status_code in (400, 401, 403):
        raise ProviderRefused(f"{address}: {answer.status_code} {content[:300].decode('utf-8', 'replace')}")
    if answer.status_code != 200:
        raise ProviderUnreachable(f"{address}: {answer.status_code}")
    return _object(address, content)


def _object(address: str, content: bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(content)
    except ValueError as error:
        raise ProviderUnreachable(f"{address}: no JSON") from error
    if not isinstance(read, dict):
        raise ProviderUnreachable(f"{address}: no JSON object")
    return read
