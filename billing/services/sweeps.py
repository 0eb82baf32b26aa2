"""Does what time alone has made due on accounts: ends of holds, expiry, blocks that start.

Nothing depends on it: whoever reads or moves an account does the same first. It books dead credits, and tells of them,
when nobody comes.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from django.db import transaction

from customers.kernel.database import call_all, call_one

_log = logging.getLogger("purser.billing")

#: Accounts settled in one transaction, and in one run; what is left over is found by the next.
_ACCOUNTS_OF_A_BATCH: Final = 100
_BATCHES_OF_A_RUN: Final = 200


def accounts_settle(*, now: datetime, batches: int = _BATCHES_OF_A_RUN) -> int:
    """Settle accounts on which something is due, in all environments without a clock of their own; returns how many."""
    settled = 0
    for _ in range(batches):
        count = _batch_settle(now)
        settled += count
        if count < _ACCOUNTS_OF_A_BATCH:
            break
    return settled


def _batch_settle(now: datetime) -> int:
    # Claim and work in one transaction: the claim is the row's lock, which another sweeper skips.
    with transaction.atomic():
        due = call_all(
            "SELECT environment_id, account_id FROM billing_accounts_due_v1($1, $2)",
            [now, _ACCOUNTS_OF_A_BATCH],
        )
        for environment_id, account_id in due:
            _account_settle(environment_id, account_id, now)
    return len(due)


def _account_settle(environment_id: UUID, account_id: UUID, now: datetime) -> None:
    """One whose ledger is not as the kernel left it must not hold up the others; verify_ledger names it."""
    try:
        with transaction.atomic():
            call_one("SELECT billing_account_settle_v1($1, $2, $3)", [environment_id, account_id, now])
    except psycopg.IntegrityError:
        _log.exception("account not settled", extra={"customer_id": str(account_id)})
