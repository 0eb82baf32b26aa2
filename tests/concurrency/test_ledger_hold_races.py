"""Commit, release, expiry and sweeps of one hold at once: one of them ends it, the others are told so."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.ids import uuid7
from tests.concurrency.clients import setting
from tests.oracle.kernel import START, KernelAccount, app_connection, call, kernel_account

ROUNDS = setting("PURSER_RACE_ROUNDS", 2_000)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.mark.slow
def test_a_hold_ends_once_whoever_is_first() -> None:
    with ExitStack() as opened:
        connections = [opened.enter_context(app_connection()) for _ in range(5)]
        account = kernel_account(connections[0])
        racers = [KernelAccount(c, account.environment, account.customer) for c in connections[1:]]
        threads = opened.enter_context(ThreadPoolExecutor(len(racers)))
        account.grant(block=uuid7(), credits=1000 * ROUNDS, now=START)
        endings: Counter[str] = Counter()
        for number in range(ROUNDS):
            endings[_round(threads, account, racers, number)] += 1
        # Nobody was always first, or nothing was raced.
        assert endings.keys() == {"committed", "released", "expired"}
        assert account.account().reserved_mc == 0
        assert ledger_verify(environment_id=account.environment).findings == []


def _round(
    threads: ThreadPoolExecutor, account: KernelAccount, racers: list[KernelAccount], number: int
) -> str:
    """One hold, partly on a block that dies with it, and four who end it at once; how it ended."""
    now = START + number * MINUTE
    hold = uuid7()
    account.grant(block=uuid7(), credits=30, priority=10, ends=now + 20 * SECOND, now=now)
    assert account.hold(hold=hold, amount=50, metric="tokens", ends=now + 16 * SECOND, now=now) == "held"
    deeds = [
        partial(racers[0].commit, hold=hold, amount=40, now=now + 20 * SECOND),
        partial(racers[1].release, hold=hold, now=now + 20 * SECOND),
        partial(racers[2].commit, hold=hold, amount=70, now=now + 20 * SECOND),
        partial(_sweep, racers[3], now + 21 * SECOND),
    ]
    # Whoever starts first has a head start; they take turns.
    turned = deeds[number % 4 :] + deeds[: number % 4]
    told = [future.result() for future in [threads.submit(deed) for deed in turned]]
    state = account.one("SELECT state FROM billing_hold WHERE account_id = %s AND id = %s", hold)
    done = [answer for answer in told if answer in {"committed", "released"}]
    assert done == ([state] if state != "expired" else []), (told, state)
    assert all(answer in {*done, "swept", f"{state}-already"} for answer in told), (told, state)
    return state


def _sweep(racer: KernelAccount, now: Any) -> str:
    """What the sweeper does, and what any other call on the account does first."""
    call(
        racer.connection,
        "billing_account_settle_v1",
        environment=racer.environment,
        account=racer.customer,
        now=now,
    )
    return "swept"
