"""Who a secret is.

The hot path remembers keys for a few seconds (API_KEY_CACHE_SECONDS: so long does a revoked key still work there);
every other call reads its key afresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from customers.errors import NotAuthenticated
from customers.kernel.clock import elapsed_seconds
from customers.kernel.database import call_one, call_table, environment_remember
from customers.kernel.ids import typeid
from customers.kernel.memory import forget_environment, on_config_change

_REMEMBERED_MAX: Final = 10_000
# In one round trip: who it is, and the connection sees that environment's rows from now on.
_FIND_AND_USE: Final = (
    "SELECT f.*, set_config('purser.environment_id', f.environment_id::text, false) "
    "FROM customers_api_key_find_v1($1, $2) f"
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """An API key that was found, with what a call needs of its environment."""

    id: UUID
    public_id: str
    #: How what it does is signed: `key:key_…`.
    actor: str
    environment_id: UUID
    kind: str
    # Empty = everything.
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    config_version: int
    frozen_at: datetime | None

    def may(self, scope: str) -> bool:
        return not self.scopes or scope in self.scopes

    def works_at(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


# By the secret's digest: the key, and until when it is remembered.
_remembered: dict[bytes, tuple[KnownKey, float]] = {}


def key_authenticate(*, secret: str, now: datetime) -> KnownKey:
    """The key of this secret, from memory if it was seen seconds ago. `now` is the wall clock."""
    digest = secret_digest(secret)
    found = _remembered.get(digest)
    if found is None or found[1] < elapsed_seconds():
        return _usable(_read(_find, secret, digest, now), now)
    return _usable(found[0], now)


def key_authenticate_afresh(*, secret: str, now: datetime, use_environment: bool) -> KnownKey:
    """The key of this secret, from the database; with `use_environment` its rows become visible at once."""
    key = _read(_find_and_use if use_environment else _find, secret, secret_digest(secret), now)
    if use_environment:
        environment_remember(key.environment_id)
    return _usable(key, now)


def secret_digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


@on_config_change
def _forget(environment_id: UUID) -> None:
    for digest, (key, _) in list(_remembered.items()):
        if key.environment_id == environment_id:
            _remembered.pop(digest, None)


def authentication_forget() -> None:
    """Drop every remembered key."""
    _remembered.clear()


def _find(digest: bytes, now: datetime) -> Row | None:
    return next(iter(call_table("customers_api_key_find_v1", secret_sha256=digest, seen_at=now)), None)


def _find_and_use(digest: bytes, now: datetime) -> Row | None:
    return call_one(_FIND_AND_USE, [digest, now])


def _read(
    find: Callable[[bytes, datetime], Row | None], secret: str, digest: bytes, now: datetime
) -> KnownKey:
    row = find(digest, now) if secret.startswith("sk_") else None
    if row is None:
        raise NotAuthenticated("The API key is missing or unknown.")
    key = _key_from(row)
    before = _remembered.get(digest)
    if before is not None and before[0].config_version != key.config_version:
        forget_environment(key.environment_id)
    if len(_remembered) >= _REMEMBERED_MAX:
        _remembered.clear()
    _remembered[digest] = (key, elapsed_seconds() + settings.API_KEY_CACHE_SECONDS)
    return key


def _key_from(row: Row) -> KnownKey:
    public_id = typeid("key", row[0])
    return KnownKey(
        id=row[0],
        public_id=public_id,
        actor=f"key:{public_id}",
        environment_id=row[1],
        kind=row[2],
        scopes=frozenset(row[3]),
        expires_at=row[4],
        revoked_at=row[5],
        config_version=row[6],
        frozen_at=row[7],
    )


def _usable(key: KnownKey, now: datetime) -> KnownKey:
    if not key.works_at(now):
        raise NotAuthenticated("The API key was revoked." if key.revoked_at else "The API key has expired.")
    return key
