"""Sweeps do what is due, once, and nothing depends on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from billing.services.sealing import ledger_seal
from billing.services.sweeps import accounts_settle
from billing.services.verification import ledger_verify
from billing.tasks import accounts_settle as settle_task
from billing.tasks import ledger_seal as seal_task
from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, KernelAccount, app_connection, customer_make, kernel_account
from tests.oracle.lively import END, lively_environment

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


@pytest.fixture
def account() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def some_life(account: KernelAccount) -> None:
    """Within a week 300 of 1,000 die, 200 are born, and a hold of 50 ends."""
    account.grant(block=uuid7(), credits=700, now=START)
    account.grant(block=uuid7(), credits=300, ends=START + 24 * HOUR, now=START)
    account.grant(block=uuid7(), credits=200, starts=START + 48 * HOUR, now=START)
    account.hold(hold=uuid7(), amount=50, metric="tokens", ends=START + HOUR, now=START)


def test_every_read_is_right_though_nobody_swept_for_a_week(account: KernelAccount) -> None:
    some_life(account)
    before = account.fingerprint()
    seen = {hours: account.read(START + hours * HOUR) for hours in (0, 1, 2, 24, 48, 168)}
    assert [(read.balance, read.reserved) for read in seen.values()] == [
        (1000, 50),
        (1000, 50),
        (1000, 0),
        (700, 0),
        (900, 0),
        (900, 0),
    ]
    assert account.fingerprint() == before


def test_every_decision_is_right_though_nobody_swept_for_a_week(account: KernelAccount) -> None:
    some_life(account)
    assert account.debit(cause=uuid7(), amount=901, metric="tokens", now=START + WEEK) == "insufficient"
    assert account.debit(cause=uuid7(), amount=900, metric="tokens", now=START + WEEK) == "debited"
    assert account.account().balance_mc == 0


def test_a_sweep_books_what_is_due_at_its_own_instants_and_once(account: KernelAccount) -> None:
    some_life(account)
    assert accounts_settle(now=START + WEEK) >= 1
    entries = sorted(account.rows("billing_ledger_entry"), key=lambda entry: entry.sequence)[2:]
    assert [(entry.kind, entry.amount_mc, entry.occurred_at) for entry in entries] == [
        ("expire", -300, START + 24 * HOUR),
        ("grant", 200, START + 48 * HOUR),
    ]
    assert [(hold.state, hold.ended_at) for hold in account.rows("billing_hold")] == [
        ("expired", START + HOUR + timedelta(seconds=5))
    ]
    settled = account.fingerprint()
    accounts_settle(now=START + WEEK)
    assert account.fingerprint() == settled


def test_a_sweep_is_done_in_bounded_batches(account: KernelAccount) -> None:
    accounts_settle(now=START + WEEK)  # what other tests have left
    for _ in range(150):
        customer = customer_make(account.connection, account.environment)
        some_life(KernelAccount(account.connection, account.environment, customer))
    assert accounts_settle(now=START + WEEK, batches=1) == 100
    assert accounts_settle(now=START + WEEK) == 50
    assert ledger_verify(environment_id=account.environment).findings == []


def test_an_account_somebody_is_working_on_is_left_to_him(account: KernelAccount) -> None:
    some_life(account)
    with app_connection() as busy:
        busy.autocommit = False
        KernelAccount(busy, account.environment, account.customer).debit(
            cause=uuid7(), amount=1, metric="tokens", now=START
        )
        before = account.fingerprint()
        accounts_settle(now=START + WEEK)
        assert account.fingerprint() == before
    accounts_settle(now=START + WEEK)
    assert (account.account().balance_mc, account.account().sequence) == (900, 5)


def test_environments_with_a_test_clock_are_left_to_it(
    account: KernelAccount, superuser_sql: psycopg.Connection[Any]
) -> None:
    some_life(account)
    superuser_sql.execute(
        "UPDATE customers_environment SET kind = 'test', frozen_at = %s WHERE id = %s",
        (START, account.environment),
    )
    before = account.fingerprint()
    accounts_settle(now=START + WEEK)
    assert account.fingerprint() == before


def test_the_tasks_may_run_twice(account: KernelAccount) -> None:
    some_life(account)
    for _ in range(2):
        settle_task.run()
        seal_task.run()
    verified = ledger_verify(environment_id=account.environment)
    assert (verified.findings, verified.sealed_entries) == ([], 4)


def test_sealing_goes_on_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.services.sealing._ENTRIES_OF_A_SEAL", 5)
    with app_connection() as connection:
        lively = lively_environment(connection)
        assert ledger_seal(environment_id=lively.environment, now=END) == 12
        seals = connection.execute(
            "SELECT number, first_position, last_position, accounts FROM billing_ledger_seal ORDER BY 1"
        )
        assert [tuple(seal) for seal in seals] == [(1, 1, 5, 1), (2, 6, 10, 2), (3, 11, 12, 1)]
    assert ledger_verify(environment_id=lively.environment).findings == []
