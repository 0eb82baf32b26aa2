"""API keys: issued once, shown once, revoked for good."""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, NotFound, ScopeMissing, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, uuid7
from customers.models import ApiKey, Environment
from customers.services.audit import audit_record
from customers.services.authentication import secret_digest
from customers.services.environments import config_bump

RESOURCES: Final = (
    "customers",
    "credits",
    "usage",
    "entitlements",
    "catalog",
    "subscriptions",
    "invoices",
    "webhooks",
    "keys",
)
SCOPES: Final = tuple(f"{resource}:{action}" for resource in RESOURCES for action in ("read", "write"))

_LETTERS: Final = string.ascii_letters + string.digits
#: 44 letters of 62 are 261 bits.
_SECRET_LENGTH: Final = 44


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which exists here and in the answer only."""

    key: ApiKey
    secret: str


@transaction.atomic
def api_key_issue(
    *,
    caller: Caller,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    within: Collection[str] = (),
    now: datetime,
) -> IssuedKey:
    """Make a key in the caller's environment.

    `within` are the scopes of the key that asks: a new one gets no wider ones (and all of them when none are named).
    Empty = everything, as always with scopes.
    """
    environment = Environment.objects.get(id=caller.environment_id)
    granted = _scopes_granted(tuple(scopes), within)
    _check(name, granted, expires_at)
    secret = f"sk_{environment.kind}_" + "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))
    with environment_scope(environment.id):
        key = ApiKey.objects.create(
            id=uuid7(),
            environment=environment,
            name=name,
            hint=f"sk_{environment.kind}_…{secret[-4:]}",
            secret_sha256=secret_digest(secret),
            scopes=granted,
            created_at=now,
            expires_at=expires_at,
        )
        audit_record(
            caller=caller,
            action="api_key.issued",
            object_type="api_key",
            object_id=key.public_id,
            changes={"name": [None, name], "scopes": [None, granted]},
            now=now,
        )
    return IssuedKey(key, secret)


@transaction.atomic
def api_key_revoke(*, caller: Caller, key_id: UUID, reason: str = "", now: datetime) -> ApiKey:
    """From now on the key opens nothing (on the hot path within API_KEY_CACHE_SECONDS). Twice is no error."""
    key = ApiKey.objects.select_for_update().filter(id=key_id, environment_id=caller.environment_id).first()
    if key is None:
        raise NotFound(f"There is no API key {typeid('key', key_id)}.")
    if key.revoked_at is None:
        # A key dies by the wall clock, also where a test clock stands still.
        key.revoked_at = system_now()
        key.save(update_fields=["revoked_at"])
        audit_record(
            caller=caller,
            action="api_key.revoked",
            object_type="api_key",
            object_id=key.public_id,
            reason=reason,
            now=now,
        )
        config_bump(environment_id=caller.environment_id)
    return key


def _scopes_granted(asked: tuple[str, ...], within: Collection[str]) -> list[str]:
    if not within:
        return sorted(set(asked))
    wider = sorted(set(asked) - set(within))
    if wider:
        raise ScopeMissing(f"A key cannot give scopes it does not have: {', '.join(wider)}.")
    return sorted(set(asked) or set(within))


def _check(name: str, scopes: list[str], expires_at: datetime | None) -> None:
    errors = []
    if not name.strip() or len(name) > 200 or "\x00" in name:
        errors.append(FieldError("name", "invalid-name", "Must be 1 to 200 characters."))
    errors += [
        FieldError("scopes", "unknown-scope", f"There is no scope {scope}.")
        for scope in scopes
        if scope not in SCOPES
    ]
    if expires_at is not None and expires_at <= system_now():
        errors.append(FieldError("expires_at", "in-the-past", "Must be in the future."))
    if errors:
        raise ValidationFailed(errors=errors)
