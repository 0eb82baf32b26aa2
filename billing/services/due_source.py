"""What a test clock has to do for credits: ends of holds, expiry, blocks that start. See services/sweeps.py."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.services.accounts import account_settle
from customers.kernel.database import call_all, call_one
from customers.services.due_work import Moment

_NEXT: Final = (
    "SELECT a.next_change_at, coalesce(c.external_id, c.public_id) FROM billing_credit_account a "
    "JOIN customers_customer c ON c.id = a.customer_id "
    "WHERE a.environment_id = $1 AND a.next_change_at IS NOT NULL ORDER BY a.next_change_at LIMIT 1"
)
_DUE: Final = (
    "SELECT customer_id FROM billing_credit_account "
    "WHERE environment_id = $1 AND next_change_at <= $2 AND customer_id > $3 ORDER BY customer_id LIMIT $4"
)
_LATEST: Final = (
    "SELECT a.last_entry_at, coalesce(c.external_id, c.public_id) FROM billing_credit_account a "
    "JOIN customers_customer c ON c.id = a.customer_id "
    "WHERE a.environment_id = $1 AND a.last_entry_at IS NOT NULL ORDER BY a.last_entry_at DESC LIMIT 1"
)
#: Blocks that start later are written down without an entry.
_GRANTED: Final = (
    "SELECT max(created_at) FROM billing_credit_block WHERE environment_id = $1 AND state = 'pending'"
)
_INVOICED: Final = "SELECT max(occurred_at) FROM billing_invoice_event WHERE environment_id = $1"
_ACCOUNTS_OF_A_BATCH: Final = 500


def credits_next_due(*, environment_id: UUID) -> Moment | None:
    """The first instant at which time alone changes an account of the environment."""
    row = call_one(_NEXT, [environment_id])
    return Moment(at=row[0], what=f"the credits of {row[1]}") if row else None


def credits_run(*, environment_id: UUID, at: datetime) -> int:
    """Settle every account on which something is due; returns how many those were."""
    settled, last = 0, UUID(int=0)
    while due := call_all(_DUE, [environment_id, at, last, _ACCOUNTS_OF_A_BATCH]):
        for (account_id,) in due:
            account_settle(environment_id=environment_id, customer_id=account_id, now=at)
        settled, last = settled + len(due), due[-1][0]
    return settled


def credits_latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last movement of credits, or the last grant of credits to come."""
    row = call_one(_LATEST, [environment_id])
    moved = Moment(at=row[0], what=f"a movement of the credits of {row[1]}") if row else None
    granted = call_one(_GRANTED, [environment_id])
    if granted is not None and granted[0] is not None and (moved is None or moved.at < granted[0]):
        return Moment(at=granted[0], what="a grant of credits that start later")
    return moved


def invoices_latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last thing that happened to an invoice: it was made, issued, charged, paid."""
    row = call_one(_INVOICED, [environment_id])
    return Moment(at=row[0], what="an invoice's event") if row and row[0] is not None else None
