"""Balances and blocks as they are at an instant, whether or not any worker has run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from customers.kernel.database import call_function

Include = Literal["none", "live", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """A customer's credits at an instant, in mc. `blocks` are as stored: live ones in burn order, then the others."""

    balance_mc: int
    reserved_mc: int
    lifetime_earned_mc: int
    version: int
    blocks: list[dict[str, Any]] | None

    @property
    def effective_mc(self) -> int:
        return self.balance_mc - self.reserved_mc


def credits_read(*, environment_id: UUID, customer_id: UUID, include: Include = "none", now: datetime) -> Credits:
    """The balance at `now`, in one round trip. A future `now` shows what will have expired and started by then."""
    row = call_function(
        "billing_credits_read_v1", environment=environment_id, account=customer_id, include=include, now=now
    )
    return Credits(
        balance_mc=row.balance,
        reserved_mc=row.reserved,
        lifetime_earned_mc=row.lifetime_earned,
        version=row.version,
        blocks=_rows(row.blocks),
    )


def _rows(value: Any) -> list[dict[str, Any]] | None:
    # Django registers its own jsonb loader on its connections, which hands the text over as it is.
    rows: list[dict[str, Any]] | None = json.loads(value) if isinstance(value, str) else value
    return rows
