"""Many debits of one account at once take exactly what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from billing.services.verification import ledger_verify
from customers.kernel.ids import uuid7
from tests.concurrency.clients import at_once, debit_many, in_processes, setting
from tests.conftest import Api, run_together
from tests.making import balance, give, make_metric, use
from tests.oracle.kernel import START, Connection, KernelAccount, app_connection, kernel_account

WORKERS = setting("PURSER_DEBIT_WORKERS", 200)
DEBITS = setting("PURSER_DEBITS_OF_A_WORKER", 50)
PROCESSES = 6
AMOUNT = 7


@pytest.fixture
def account() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def assert_exactly_half_passed(account: KernelAccount, outcomes: Counter[str], half: int) -> None:
    assert outcomes == {"debited": half, "insufficient": half}
    assert (account.account().balance_mc, account.account().sequence) == (0, half + 2)
    assert ledger_verify(environment_id=account.environment).findings == []


def fill(account: KernelAccount, credits_mc: int) -> None:
    """In two blocks, so that a debit crosses from one to the other."""
    first = credits_mc // 2 + 3
    account.grant(block=uuid7(), credits=first, priority=10, now=START)
    account.grant(block=uuid7(), credits=credits_mc - first, now=START)


@pytest.mark.slow
def test_of_two_hundred_workers_debits_exactly_half_pass(account: KernelAccount) -> None:
    # given credit for half of them
    half = WORKERS * DEBITS // 2
    fill(account, half * AMOUNT)

    # when all come at once
    def debit(connection: Connection) -> str:
        side = KernelAccount(connection, account.environment, account.customer)
        return side.debit(cause=uuid7(), amount=AMOUNT, metric="tokens", now=START)

    def worker(_index: int, with_connection: Any) -> Counter[str]:
        return Counter(with_connection(debit) for _ in range(DEBITS))

    outcomes: Counter[str] = sum(at_once(account.environment, WORKERS, worker), Counter())
    # then
    assert_exactly_half_passed(account, outcomes, half)


@pytest.mark.slow
def test_of_several_processes_debits_exactly_half_pass(account: KernelAccount) -> None:
    times = 200
    half = PROCESSES * times // 2
    fill(account, half * AMOUNT)
    outcomes = in_processes(PROCESSES, debit_many, account.environment, account.customer, times, AMOUNT)
    assert_exactly_half_passed(account, sum(outcomes, Counter()), half)


def test_one_cause_from_fifty_clients_at_once_has_one_effect(account: KernelAccount) -> None:
    account.grant(block=uuid7(), credits=1000, now=START)
    cause = uuid7()

    def debit(connection: Connection) -> str:
        side = KernelAccount(connection, account.environment, account.customer)
        try:
            return side.debit(cause=cause, amount=10, metric="tokens", now=START)
        except psycopg.errors.UniqueViolation:
            return "refused"

    outcomes = Counter(
        at_once(account.environment, 50, lambda _index, with_connection: with_connection(debit))
    )
    assert outcomes == {"debited": 1, "refused": 49}
    assert account.account().balance_mc == 990


def test_one_usage_key_from_fifty_clients_at_once_is_one_event(api: Api) -> None:
    make_metric(api)
    give(api, 100_000)
    answers = run_together(50, lambda _index: use(Api(api.secret), 2, idempotency_key="the-one"))
    assert {answer.status for answer in answers} == {202}
    assert len({answer["event_id"] for answer in answers}) == 1
    assert Counter(answer["duplicate"] for answer in answers) == {False: 1, True: 49}
    assert balance(api)["balance"] == 98_000


def test_one_grant_key_from_fifty_clients_at_once_is_one_block(api: Api) -> None:
    give(api, 1)
    answers = run_together(
        50,
        lambda _index: Api(api.secret).post(
            "/v1/customer-by-external-id/user_1/credits/grant", {"credits": 500}, idempotency_key="the-one"
        ),
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer["block"]["id"] for answer in answers}) == 1
    assert balance(api)["balance"] == 501
