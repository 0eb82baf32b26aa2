"""A debit goes the plain way when nothing needs thought, else the long one; what it leaves is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, KernelAccount, app_connection, kernel_account, superuser_connection

HOUR = timedelta(hours=1)


@pytest.fixture
def account() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def debit(account: KernelAccount, amount: int) -> str:
    return account.debit(cause=uuid7(), amount=amount, metric="tokens", now=START)


def told(account: KernelAccount, event: str) -> list[dict[str, int]]:
    rows = account.connection.execute(
        "SELECT payload FROM customers_outbox_event WHERE customer_id = %s AND event = %s ORDER BY id",
        (account.customer, event),
    )
    return [row[0] for row in rows]


def customer_set(account: KernelAccount, change: str) -> None:
    account.connection.execute(f"UPDATE customers_customer SET {change} WHERE id = %s", (account.customer,))


def test_one_block_pays_and_is_spent_by_its_last_credit(account: KernelAccount) -> None:
    block = uuid7()
    account.grant(block=block, credits=100, now=START)

    assert debit(account, 60) == "debited"
    assert [(row.remaining_mc, row.state) for row in account.rows("billing_credit_block")] == [(40, "live")]

    assert debit(account, 40) == "debited"
    assert [(row.remaining_mc, row.state) for row in account.rows("billing_credit_block")] == [(0, "spent")]
    assert account.account().balance_mc == 0
    assert debit(account, 1) == "insufficient"


def test_several_blocks_pay_in_burn_order_in_one_entry(account: KernelAccount) -> None:
    last, first, second = uuid7(), uuid7(), uuid7()
    account.grant(block=last, credits=100, now=START)
    account.grant(block=first, credits=10, priority=9, now=START)
    account.grant(block=second, credits=20, ends=START + HOUR, now=START)

    assert debit(account, 45) == "debited"

    entry = account.rows("billing_ledger_entry")[-1]
    assert entry.block_ids == [first, second, last]
    assert entry.block_amounts == [-10, -20, -15]
    assert (entry.amount_mc, entry.balance_after_mc, entry.sequence) == (-45, 85, 4)


def test_what_is_held_in_the_first_block_is_left_there(account: KernelAccount) -> None:
    first, second = uuid7(), uuid7()
    account.grant(block=first, credits=50, priority=9, now=START)
    account.grant(block=second, credits=50, now=START)
    account.hold(hold=uuid7(), amount=40, metric=None, ends=START + HOUR, now=START)

    assert debit(account, 15) == "debited"

    entry = account.rows("billing_ledger_entry")[-1]
    assert (entry.block_ids, entry.block_amounts) == ([first, second], [-10, -5])
    assert (entry.balance_after_mc, entry.effective_after_mc) == (85, 45)
    assert debit(account, 46) == "insufficient"


def test_a_threshold_rings_when_it_is_reached_and_not_before(account: KernelAccount) -> None:
    account.grant(block=uuid7(), credits=100, now=START)
    customer_set(account, "low_balance_threshold_mc = 50")

    assert debit(account, 49) == "debited"
    assert told(account, "credit.balance_low") == []

    assert debit(account, 1) == "debited"
    assert debit(account, 1) == "debited"
    assert [event["balance"] for event in told(account, "credit.balance_low")] == [50]


def test_a_threshold_below_zero_lets_nobody_into_overdraft(account: KernelAccount) -> None:
    account.grant(block=uuid7(), credits=100, now=START)
    customer_set(account, "low_balance_threshold_mc = -50")

    assert debit(account, 101) == "insufficient"
    assert debit(account, 100) == "debited"
    assert account.account().balance_mc == 0


@pytest.mark.parametrize("amount", [30, 70], ids=["of one block", "of two"])
def test_an_environment_that_tells_of_debits_is_told(account: KernelAccount, amount: int) -> None:
    account.grant(block=uuid7(), credits=50, now=START)
    account.grant(block=uuid7(), credits=50, now=START)
    with superuser_connection() as superuser:
        superuser.execute(
            "UPDATE customers_environment SET tells_consumption = true WHERE id = %s", (account.environment,)
        )

    assert debit(account, amount) == "debited"

    untold = account.connection.execute(
        "SELECT sequence, amount_mc, balance_mc FROM customers_untold_debit WHERE customer_id = %s",
        (account.customer,),
    )
    assert [tuple(row) for row in untold] == [(3, amount, 100 - amount)]
