"""Balances and blocks as they are at an instant, whether or not any worker has run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from customers.errors import CustomerNotFound
from customers.kernel.database import call_function

Include = Literal["none", "live", "all"]
_rows: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


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


def credits_read(
    *, environment_id: UUID, by: str, reference: str, include: Include = "none", now: datetime
) -> Credits:
    """The balance at `now`, in one round trip. A future `now` shows what will have expired and started by then.

    Raises CustomerNotFound.
    """
    row = call_function(
        "billing_credits_read_v1",
        environment=environment_id,
        by=by,
        reference=reference,
        include=include,
        now=now,
    )
    return _credits(row, version=row.version)


def credits_as_of(
    *, environment_id: UUID, by: str, reference: str, include: Include = "none", now: datetime
) -> Credits:
    """The balance as it was at a past `now`, in one round trip. Raises CustomerNotFound."""
    row = call_function(
        "billing_credits_as_of_v1",
        environment=environment_id,
        by=by,
        reference=reference,
        include=include,
        as_of=now,
    )
    return _credits(row, version=None)


def _credits(row: Any, *, version: int | None) -> Credits:
    if row.customer is None:
        raise CustomerNotFound
    return Credits(
        public_id=row.public_id,
        external_id=row.external_id,
        balance_mc=row.balance,
        reserved_mc=row.reserved,
        lifetime_earned_mc=row.lifetime_earned,
        version=version,
        blocks=None if row.blocks is None else _rows(row.blocks),
    )
