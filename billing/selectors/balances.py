"""The balances of many customers at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from customers.kernel.database import call_all

_READ: Final = """
SELECT c.id, r.balance, r.reserved FROM customers_customer c
CROSS JOIN LATERAL billing_credits_read_v1($1, 'id', c.public_id, 'none', $3) r
WHERE c.id = ANY ($2::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Balance:
    """In mc."""

    balance_mc: int
    reserved_mc: int

    @property
    def effective_mc(self) -> int:
        return self.balance_mc - self.reserved_mc


def balances_of(*, environment_id: UUID, customer_ids: Iterable[UUID], now: datetime) -> dict[UUID, Balance]:
    """Each customer's balance as it is at `now`, whether or not any worker has run; zeros for who never had any."""
    rows = call_all(_READ, [environment_id, list(customer_ids), now])
    return {row[0]: Balance(row[1], row[2]) for row in rows}
