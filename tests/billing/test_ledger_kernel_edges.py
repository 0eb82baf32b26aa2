"""Corners of the kernel that random lives do not reach."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, KernelAccount, app_connection, kernel_account

BALANCE_MAX = 9 * 10**15
HOUR = timedelta(hours=1)


@pytest.fixture
def account() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def events(account: KernelAccount, name: str) -> int:
    return account.one(
        "SELECT count(*) FROM customers_outbox_event WHERE customer_id = %s AND event = %s", name
    )


def test_a_balance_that_falls_by_expiry_and_debit_in_one_call_rings_once(account: KernelAccount) -> None:
    # given a customer at 300 with a threshold of 250, of which 200 die within the hour
    account.grant(block=uuid7(), credits=200, ends=START + HOUR, now=START)
    account.grant(block=uuid7(), credits=100, now=START)
    account.connection.execute(
        "UPDATE customers_customer SET low_balance_threshold_mc = 250 WHERE id = %s", (account.customer,)
    )
    # when a debit finds them dead
    assert account.debit(cause=uuid7(), amount=10, metric="tokens", now=START + HOUR) == "debited"
    # then it was told once
    assert events(account, "credit.balance_low") == 1


def test_a_refusal_that_books_an_expiry_first_rings_once_too(account: KernelAccount) -> None:
    account.grant(block=uuid7(), credits=200, ends=START + HOUR, now=START)
    account.connection.execute(
        "UPDATE customers_customer SET low_balance_threshold_mc = 0 WHERE id = %s", (account.customer,)
    )
    assert account.debit(cause=uuid7(), amount=10, metric="tokens", now=START + HOUR) == "insufficient"
    assert account.debit(cause=uuid7(), amount=10, metric="tokens", now=START + HOUR) == "insufficient"
    assert events(account, "credit.balance_low") == 1


@pytest.mark.parametrize(
    ("deed", "arguments"),
    [
        ("debit", {"cause": uuid7(), "amount": -5, "metric": None}),
        ("debit", {"cause": uuid7(), "amount": 0, "metric": None}),
        ("debit", {"cause": uuid7(), "amount": 5, "metric": None, "kind": "expire"}),
        ("grant", {"block": uuid7(), "credits": -5}),
        ("grant", {"block": uuid7(), "credits": 0}),
        ("grant", {"block": uuid7(), "credits": 5, "kind": "debit"}),
        ("grant", {"block": uuid7(), "credits": 5, "kind": "rollover"}),
        ("rollover", {"block": uuid7(), "new_block": uuid7(), "credits": 5, "priority": 0, "ends": None}),
        ("adjust", {"cause": uuid7(), "delta": 0}),
        ("refund", {"entry": 1, "amount": -5, "cause": uuid7(), "new_blocks": [uuid7()]}),
        ("hold", {"hold": uuid7(), "amount": -5, "metric": None, "ends": START + HOUR}),
        (
            "convert",
            {"price": -5, "block": uuid7(), "credits": 5, "priority": 0, "ends": None, "metrics": None},
        ),
    ],
    ids=lambda value: (
        str(value.get("amount", value.get("credits", ""))) if isinstance(value, dict) else value
    ),
)
def test_amounts_that_make_no_sense_are_refused_whoever_calls(
    account: KernelAccount, deed: str, arguments
) -> None:
    account.grant(block=uuid7(), credits=100, now=START)
    account.debit(cause=uuid7(), amount=50, metric=None, now=START)
    before = account.fingerprint()
    with pytest.raises(psycopg.Error, match="the ledger refuses"):
        getattr(account, deed)(**arguments, now=START)
    assert account.fingerprint() == before


def test_a_commit_of_less_than_nothing_is_refused(account: KernelAccount) -> None:
    account.grant(block=uuid7(), credits=100, now=START)
    hold = uuid7()
    account.hold(hold=hold, amount=10, metric=None, ends=START + HOUR, now=START)
    with pytest.raises(psycopg.Error, match="the ledger refuses"):
        account.commit(hold=hold, amount=-1, now=START)


def test_blocks_that_start_later_count_towards_the_largest_balance(account: KernelAccount) -> None:
    """Otherwise their start could fail, and with it everything else on the account, for ever."""
    most = 5 * 10**15
    assert account.grant(block=uuid7(), credits=most, starts=START + HOUR, now=START) == "pending"
    assert account.grant(block=uuid7(), credits=most, starts=START + HOUR, now=START) == "balance-too-large"
    assert account.grant(block=uuid7(), credits=most, now=START) == "balance-too-large"
    account.settle(START + HOUR)
    assert account.account().balance_mc == most


def test_a_cause_that_made_a_block_which_starts_later_makes_no_second_one(account: KernelAccount) -> None:
    """Were both kept, the second could never start: one cause makes one entry of a kind."""
    cause = uuid7()
    account.grant(block=uuid7(), credits=5, starts=START + HOUR, cause=cause, now=START)
    with pytest.raises(psycopg.errors.UniqueViolation):
        account.grant(block=uuid7(), credits=5, starts=START + HOUR, cause=cause, now=START)
    with pytest.raises(psycopg.errors.UniqueViolation):
        account.grant(block=uuid7(), credits=5, cause=cause, now=START)
    account.settle(START + HOUR)
    assert account.account().balance_mc == 5


def test_an_account_can_be_filled_and_overdrawn_to_the_last_millicredit(account: KernelAccount) -> None:
    account.policy_set("allow", None)
    assert account.grant(block=uuid7(), credits=BALANCE_MAX, now=START) == "granted"
    assert account.grant(block=uuid7(), credits=1, now=START) == "balance-too-large"
    assert account.debit(cause=uuid7(), amount=2 * BALANCE_MAX, metric=None, now=START) == "debited"
    assert account.debit(cause=uuid7(), amount=1, metric=None, now=START) == "insufficient"
    assert account.account().balance_mc == -BALANCE_MAX


def overages(account: KernelAccount) -> list[tuple[int, int]]:
    rows = account.connection.execute(
        "SELECT payload FROM customers_outbox_event WHERE customer_id = %s AND event = 'credit.overage' ORDER BY id",
        (account.customer,),
    ).fetchall()
    return [(row.payload["amount"], row.payload["overdraft"]) for row in rows]


def test_an_overage_is_told_once_until_it_is_repaid(account: KernelAccount) -> None:
    account.policy_set("notify", None)
    account.grant(block=uuid7(), credits=100, now=START)
    for amount in (90, 30, 40):
        account.debit(cause=uuid7(), amount=amount, metric=None, now=START)
    assert overages(account) == [(20, 20)]
    # when it was repaid in part, it is still the same overdraft
    account.adjust(cause=uuid7(), delta=50, now=START)
    account.debit(cause=uuid7(), amount=5, metric=None, now=START)
    assert overages(account) == [(20, 20)]
    # when it was repaid whole, the next is another
    account.adjust(cause=uuid7(), delta=25, now=START)
    account.debit(cause=uuid7(), amount=21, metric=None, now=START)
    assert overages(account) == [(20, 20), (11, 11)]


def test_a_conversion_that_overdraws_tells_of_it_too(account: KernelAccount) -> None:
    account.policy_set("notify", None)
    images = frozenset({"images"})
    account.convert(price=30, block=uuid7(), credits=50, priority=0, ends=None, metrics=images, now=START)
    assert overages(account) == [(30, 30)]
    # and what it repays itself is none
    account.adjust(cause=uuid7(), delta=30, now=START)
    account.convert(price=30, block=uuid7(), credits=50, priority=0, ends=None, metrics=None, now=START)
    assert overages(account) == [(30, 30)]
