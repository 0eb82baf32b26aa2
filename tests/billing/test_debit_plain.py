"""Debits of many accounts whose first block pays all: booked by what the lock showed of the accounts, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from customers.kernel.ids import uuid7
from tests.oracle.kernel import (
    START,
    Connection,
    KernelAccount,
    app_connection,
    call,
    customer_make,
    kernel_account,
    superuser_connection,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def kernel() -> Iterator[Connection]:
    """Who may call what the application may not."""
    with superuser_connection() as connection:
        yield connection


@pytest.fixture
def pair() -> Iterator[list[KernelAccount]]:
    """Two customers of one environment with a block of 100 mc each."""
    with app_connection() as connection:
        one = kernel_account(connection)
        other = KernelAccount(connection, one.environment, customer_make(connection, one.environment))
        for account in (one, other):
            account.grant(block=uuid7(), credits=100, now=START)
        yield [one, other]


def plain(
    kernel: Connection, accounts: list[KernelAccount], debits: list[tuple[int, int]], **otherwise: Any
) -> bool:
    """`debits`: the place of an account (from 1) and an amount each. The accounts are told of as they are."""
    rows = [account.account() for account in accounts]
    entries = [uuid7() for _ in debits]
    told: dict[str, Any] = {
        "environment": accounts[0].environment,
        "tells": False,
        "accounts": [row.customer_id for row in rows],
        "sequences": [row.sequence for row in rows],
        "balances": [row.balance_mc for row in rows],
        "reserved": [row.reserved_mc for row in rows],
        "spares": [row.balance_mc - row.reserved_mc for row in rows],
        "instants": [START for _ in rows],
        "whose": [place for place, _ in debits],
        "entries": entries,
        "amounts": [amount for _, amount in debits],
        "source_type": "event",
        "sources": entries,
        "actors": ["user:test" for _ in debits],
        "keys": [f"key-{n}" for n in range(len(debits))],
        "requests": None,
        "metadata": None,
    }
    answer = call(kernel, "billing_debit_plain", **told | otherwise)
    return bool(answer.billing_debit_plain)


def prints(accounts: list[KernelAccount]) -> list[str]:
    return [account.fingerprint() for account in accounts]


def block_of(account: KernelAccount) -> UUID:
    block: UUID = account.rows("billing_credit_block")[0].id
    return block


def test_each_account_is_debited_in_the_order_of_its_debits(
    kernel: Connection, pair: list[KernelAccount]
) -> None:
    # when
    assert plain(kernel, pair, [(2, 10), (1, 30), (2, 90), (1, 5)]) is True
    # then
    entries = [
        [
            (e.sequence, e.amount_mc, e.balance_after_mc, e.effective_after_mc, e.block_ids, e.block_amounts)
            for e in account.rows("billing_ledger_entry")[1:]
        ]
        for account in pair
    ]
    one, other = block_of(pair[0]), block_of(pair[1])
    assert entries == [
        [(2, -30, 70, 70, [one], [-30]), (3, -5, 65, 65, [one], [-5])],
        [(2, -10, 90, 90, [other], [-10]), (3, -90, 0, 0, [other], [-90])],
    ]
    assert [(row.balance_mc, row.sequence) for row in (each.account() for each in pair)] == [(65, 3), (0, 3)]
    assert [(row.remaining_mc, row.state) for each in pair for row in each.rows("billing_credit_block")] == [
        (65, "live"),
        (0, "spent"),
    ]


@pytest.mark.parametrize("tells", [True, False])
def test_what_is_to_be_told_of_is_left_where_an_endpoint_wants_it(
    kernel: Connection, pair: list[KernelAccount], tells: bool
) -> None:
    assert plain(kernel, pair, [(1, 10), (2, 20), (1, 30)], tells=tells) is True

    untold = kernel.execute(
        "SELECT amount_mc, balance_mc, sequence FROM customers_untold_debit WHERE environment_id = %s"
        " ORDER BY amount_mc",
        (pair[0].environment,),
    )
    assert [tuple(row) for row in untold] == ([(10, 90, 2), (20, 80, 2), (30, 60, 3)] if tells else [])


def test_debits_of_whom_nobody_named_are_left(kernel: Connection, pair: list[KernelAccount]) -> None:
    assert plain(kernel, pair, [(1, 10), (3, 30), (2, 20), (3, 30)]) is True

    assert [each.account().balance_mc for each in pair] == [90, 80]
    assert [[row.amount_mc for row in each.rows("billing_ledger_entry")] for each in pair] == [
        [100, -10],
        [100, -20],
    ]


@pytest.mark.parametrize(
    "debits",
    [
        pytest.param([(1, 10), (2, 101)], id="more than there is"),
        pytest.param([(1, 10), (2, 60), (2, 41)], id="more than there is, together"),
        pytest.param([(1, 10), (2, 0)], id="nothing"),
        pytest.param([(1, 10), (2, 20), (2, -5)], id="less than nothing"),
        pytest.param([(1, 10)], id="of one account only"),
    ],
)
def test_what_is_not_plain_is_left_alone_for_all(
    kernel: Connection, pair: list[KernelAccount], debits: list[tuple[int, int]]
) -> None:
    before = prints(pair)
    assert plain(kernel, pair, debits) is False
    assert prints(pair) == before


def test_what_the_first_block_does_not_pay_is_left_alone(
    kernel: Connection, pair: list[KernelAccount]
) -> None:
    # given a block that burns first, of which a part is held
    first = uuid7()
    pair[1].grant(block=first, credits=50, priority=9, now=START)
    pair[1].hold(hold=uuid7(), amount=20, metric=None, ends=START + HOUR, now=START)
    before = prints(pair)
    # then it is not more than what is free of it that can be taken
    assert plain(kernel, pair, [(1, 1), (2, 31)]) is False
    assert prints(pair) == before
    assert plain(kernel, pair, [(1, 1), (2, 30)]) is True
    entry = pair[1].rows("billing_ledger_entry")[-1]
    assert (entry.block_ids, entry.balance_after_mc, entry.effective_after_mc) == ([first], 120, 100)


def test_a_block_that_has_expired_by_the_accounts_instant_pays_nothing(
    kernel: Connection, pair: list[KernelAccount]
) -> None:
    # given that what burns first ends in an hour
    ending = uuid7()
    pair[0].grant(block=ending, credits=50, ends=START + HOUR, now=START)
    last = block_of(pair[0])
    # when
    for minutes in (59, 60):
        instant = START + timedelta(minutes=minutes)
        assert plain(kernel, pair[:1], [(1, 10)], instants=[instant]) is True
    # then
    blocks = [entry.block_ids for entry in pair[0].rows("billing_ledger_entry")]
    assert blocks[-2:] == [[ending], [last]]


def test_no_more_is_taken_than_can_be_spared(kernel: Connection, pair: list[KernelAccount]) -> None:
    before = prints(pair)
    assert plain(kernel, pair, [(1, 10), (2, 41)], spares=[100, 40]) is False
    assert plain(kernel, pair, [(1, 10), (2, 101)], spares=[1000, 1000]) is False
    assert prints(pair) == before
    assert plain(kernel, pair, [(1, 10), (2, 40)], spares=[100, 40]) is True


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param({"sequences": [1, 5]}, id="another entry was the last"),
        pytest.param({"balances": [100, 90]}, id="another balance"),
        pytest.param({"reserved": [0, 1]}, id="something held"),
        pytest.param({"environment": uuid7()}, id="another environment"),
    ],
)
def test_accounts_that_are_not_as_they_were_said_to_be_are_refused(
    kernel: Connection, pair: list[KernelAccount], otherwise: dict[str, Any]
) -> None:
    before = prints(pair)
    with pytest.raises(psycopg.Error, match="accounts that are not as they were said to be") as refusal:
        plain(kernel, pair, [(1, 10), (2, 20)], **otherwise)
    assert refusal.value.sqlstate == "PU422"
    assert prints(pair) == before


@pytest.mark.parametrize(
    ("row", "spare"),
    [
        pytest.param({}, 80, id="all that is not held"),
        pytest.param({"balance_mc": 10}, -10, id="nothing of an overdraft"),
        pytest.param({"low_balance_at_mc": 50}, 29, id="down to just above the threshold"),
        pytest.param({"low_balance_at_mc": -50}, 80, id="nothing below zero, whatever the threshold"),
        pytest.param({"low_balance_at_mc": 80}, -1, id="nothing at the threshold"),
        pytest.param(
            {"low_balance_told": True, "low_balance_at_mc": 80}, 80, id="past a threshold that has rung"
        ),
        pytest.param(
            {"low_balance_told": True, "low_balance_at_mc": 75},
            80,
            id="which it is not far enough above to ring again",
        ),
        pytest.param({"low_balance_told": True, "low_balance_at_mc": 60}, 0, id="far enough above it"),
        pytest.param({"low_balance_told": True}, 80, id="a threshold that is gone"),
        pytest.param({"auto_topup_at_mc": 20}, 59, id="down to just above the auto-topup"),
        pytest.param({"auto_topup_at_mc": 20, "low_balance_at_mc": 50}, 29, id="to the higher of both"),
        pytest.param(
            {"auto_topup_at_mc": 90, "topup_is_requested": True}, 80, id="while a topup is on its way"
        ),
        pytest.param({"auto_topup_at_mc": 20, "topup_is_requested": True}, 0, id="whose request has to end"),
        pytest.param({"has_scoped_blocks": True}, 0, id="credits for certain metrics"),
    ],
)
def test_an_account_spares_what_neither_rings_nor_goes_below_zero(
    kernel: Connection, row: dict[str, Any], spare: int
) -> None:
    usual = {
        "balance_mc": 100,
        "reserved_mc": 20,
        "low_balance_told": False,
        "topup_is_requested": False,
        "has_scoped_blocks": False,
    }
    found = kernel.execute(
        "SELECT billing_debit_spare(jsonb_populate_record(NULL::billing_credit_account, %s))",
        (Jsonb(usual | row),),
    ).fetchone()
    assert found is not None
    assert found[0] == spare
