"""Proves the ledger: everything that must be true of it, asked of the database in one snapshot per environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from billing.models import LedgerSeal, VerificationRun
from billing.selectors.ledger_checks import OF_ENVIRONMENTS, Check, Fault, checks_of_accounts, fault_of
from customers.kernel.clock import elapsed_seconds
from customers.kernel.database import environment_scope
from customers.models import Customer, Environment

#: How much is looked at in one go: it bounds memory, here and in the database. A quarter of it takes twice the time:
#: a page holds entries of many accounts, and is read again for each batch.
_ENTRIES_OF_A_BATCH: Final = 200_000
_ACCOUNTS_OF_A_BATCH: Final = 10_000
#: How many faults are kept in words. All are counted.
FINDINGS_MAX: Final = 1_000
_BEFORE_ALL: Final = UUID(int=0)

Progress = Callable[["Verification"], None]


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was looked at so far, and what is wrong."""

    environment_id: UUID
    entries_in_all: int = 0
    accounts: int = 0
    entries: int = 0
    sealed_entries: int = 0
    head_hash: str = ""
    faults: int = 0
    findings: list[dict[str, str | None]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.faults == 0


def verification_run(
    *,
    environment_id: UUID,
    customer_id: UUID | None = None,
    actor: str = "system:verify_ledger",
    progress: Progress | None = None,
    now: datetime,
) -> VerificationRun:
    """Verify an environment, or one customer of it, and keep what was found."""
    began = elapsed_seconds()
    done = ledger_verify(environment_id=environment_id, customer_id=customer_id, progress=progress)
    with environment_scope(environment_id):
        return VerificationRun.objects.create(
            environment_id=environment_id,
            customer_id=customer_id,
            actor=actor,
            started_at=now,
            finished_at=now + timedelta(seconds=elapsed_seconds() - began),
            accounts=done.accounts,
            entries=done.entries,
            sealed_entries=done.sealed_entries,
            head_hash=done.head_hash,
            faults=done.faults,
            findings=done.findings,
            ok=done.ok,
        )


def ledger_verify(
    *, environment_id: UUID, customer_id: UUID | None = None, progress: Progress | None = None
) -> Verification:
    """Look at everything, change nothing. `progress` is called after each batch."""
    done = Verification(environment_id=environment_id)
    with _snapshot(environment_id):
        _head_read(done)
        if customer_id is None:
            done.entries_in_all = _one(
                "SELECT coalesce(sum(sequence), 0)::bigint FROM billing_credit_account", {}
            )
            for check in OF_ENVIRONMENTS:
                _faults_find(done, check, {})
        for accounts, entries in _batches(customer_id):
            _batch_verify(done, accounts)
            done.accounts += len(accounts)
            done.entries += entries
            if progress is not None:
                progress(done)
    return done


def environments_all() -> Sequence[UUID]:
    return list(Environment.objects.order_by("id").values_list("id", flat=True))


@contextmanager
def _snapshot(environment_id: UUID) -> Iterator[None]:
    """One instant of one environment. Inside somebody's transaction, theirs has to do."""
    with environment_scope(environment_id):
        is_ours = not connection.in_atomic_block
        with transaction.atomic():
            if is_ours:
                _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", {})
            yield


def _batches(customer_id: UUID | None) -> Iterator[tuple[list[UUID], int]]:
    if customer_id is not None:
        yield (
            [customer_id],
            _one("SELECT count(*) FROM billing_ledger_entry WHERE account_id = %(id)s", {"id": customer_id}),
        )
        return
    last = _BEFORE_ALL
    while batch := _batch_after(last):
        yield [account for account, _ in batch], sum(entries for _, entries in batch)
        last = batch[-1][0]


def _batch_after(last: UUID) -> list[tuple[UUID, int]]:
    """The next accounts by id, as many as have some tens of thousands of entries between them."""
    # The first is always taken, however large.
    return _execute(
        "SELECT customer_id, entries FROM (SELECT customer_id, greatest(sequence, 0) AS entries,"
        " sum(greatest(sequence, 0)) OVER (ORDER BY customer_id) AS running FROM billing_credit_account"
        " WHERE customer_id > %(last)s ORDER BY customer_id LIMIT %(accounts)s) t"
        " WHERE running - entries < %(entries)s ORDER BY customer_id",
        {"last": last, "accounts": _ACCOUNTS_OF_A_BATCH, "entries": _ENTRIES_OF_A_BATCH},
    )


def _batch_verify(done: Verification, accounts: list[UUID]) -> None:
    for check in checks_of_accounts():
        _faults_find(done, check, {"accounts": accounts})


def _faults_find(done: Verification, check: Check, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(check.sql, parameters)
        columns = [column.name for column in cursor.description]
        while rows := cursor.fetchmany(FINDINGS_MAX):
            for row in rows:
                done.faults += 1
                if len(done.findings) < FINDINGS_MAX:
                    done.findings.append(_finding(fault_of(check, dict(zip(columns, row, strict=True)))))


def _finding(fault: Fault) -> dict[str, str | None]:
    customer = None
    if fault.account_id is not None:
        customer = Customer.objects.filter(id=fault.account_id).values_list("public_id", flat=True).first()
    return {"code": fault.code, "object": fault.object, "customer_id": customer, "message": fault.message}


def _head_read(done: Verification) -> None:
    head = LedgerSeal.objects.order_by("-number").values_list("last_position", "hash").first()
    if head is not None:
        done.sealed_entries, done.head_hash = head[0], bytes(head[1]).hex()


def _execute(sql: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def _one(sql: str, parameters: dict[str, Any]) -> int:
    return int(_execute(sql, parameters)[0][0])
