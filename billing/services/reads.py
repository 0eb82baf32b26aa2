"""Balances and blocks as they are at an instant, whether or not any worker has run: what is due first is done first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billing.services.catch_up import caught_up
from customers.errors import CustomerNotFound
from customers.kernel.database import call_all, call_function

Include = Literal["none", "live", "all"]
_rows: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode

_MANY: Final = """
SELECT c.id, c.public_id, r.status, r.balance, r.reserved FROM customers_customer c
CROSS JOIN LATERAL billing_credits_read_v1($1, 'id', c.public_id, 'none', $3, $3) r
WHERE c.id = ANY ($2::uuid[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """A customer's credits at an instant, in mc. `blocks` are as stored: live ones in burn order, then the others."""

    public_id: str
    external_id: str | None
    balance_mc: int
    reserved_mc: int
    lifetime_earned_mc: int
    #: None: of a past instant.
    version: int | None
    blocks: list[dict[str, Any]] | None

    @property
    def effective_mc(self) -> int:
        return self.balance_mc - self.reserved_mc


@dataclass(frozen=True, slots=True)
class Balance:
    """In mc."""

    balance_mc: int
    reserved_mc: int

    @property
    def effective_mc(self) -> int:
        return self.balance_mc - self.reserved_mc


def credits_read(
    *,
    environment_id: UUID,
    by: str,
    reference: str,
    include: Include = "none",
    at: datetime | None = None,
    now: datetime,
) -> Credits:
    """The balance at `now`, in one round trip; or at a later instant, with what will have expired and started by then.

    Raises CustomerNotFound.
    """
    said = {"by": by, "reference": reference, "include": include, "at": at or now, "now": now}
    row = _read("billing_credits_read_v1", environment_id, now, said)
    return _credits(row, version=row.version)


def credits_as_of(
    *,
    environment_id: UUID,
    by: str,
    reference: str,
    include: Include = "none",
    as_of: datetime,
    now: datetime,
) -> Credits:
    """The balance as it was at a past instant, in one round trip. Raises CustomerNotFound."""
    said = {"by": by, "reference": reference, "include": include, "as_of": as_of}
    row = _read("billing_credits_as_of_v1", environment_id, now, said)
    return _credits(row, version=None)


def balances_of(*, environment_id: UUID, customer_ids: Iterable[UUID], now: datetime) -> dict[UUID, Balance]:
    """Each customer's balance as it is at `now`; zeros for who never had any."""
    found = {}
    for customer_id, public_id, status, balance_mc, reserved_mc in call_all(
        _MANY, [environment_id, list(customer_ids), now]
    ):
        if status == "catch-up-due":
            credits = credits_read(environment_id=environment_id, by="id", reference=public_id, now=now)
            found[customer_id] = Balance(credits.balance_mc, credits.reserved_mc)
        else:
            found[customer_id] = Balance(balance_mc, reserved_mc)
    return found


def _read(function: str, environment_id: UUID, now: datetime, said: dict[str, Any]) -> Any:
    """What the kernel reads; work of higher apps that it says is due first is done, up to `now`."""

    def attempt() -> Any:
        return call_function(function, environment=environment_id, **said)

    row = attempt()
    if row.status == "catch-up-due":
        row = caught_up(attempt, environment_id=environment_id, customer_id=row.customer, now=now)
    if row.status == "customer-not-found":
        raise CustomerNotFound
    return row


def _credits(row: Any, *, version: int | None) -> Credits:
    return Credits(
        public_id=row.public_id,
        external_id=row.external_id,
        balance_mc=row.balance,
        reserved_mc=row.reserved,
        lifetime_earned_mc=row.lifetime_earned,
        version=version,
        blocks=None if row.blocks is None else _rows(row.blocks),
    )
