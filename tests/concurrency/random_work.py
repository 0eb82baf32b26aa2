"""Random work on several accounts, for threads and for processes that know no Django."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, Connection, KernelAccount, app_connection, call, environment_see

SECOND = timedelta(seconds=1)


def _sides(connection: Connection, environment: UUID, customers: list[UUID]) -> list[KernelAccount]:
    return [KernelAccount(connection, environment, customer) for customer in customers]


def _one_thing(random: Random, side: KernelAccount, step: int) -> None:
    now = START + step * SECOND
    amount = random.randint(1, 40)
    match random.randrange(6):
        case 0:
            side.grant(block=uuid7(), credits=amount, ends=now + random.randint(1, 90) * SECOND, now=now)
        case 1:
            side.grant(block=uuid7(), credits=amount, starts=now + random.randint(1, 60) * SECOND, now=now)
        case 2:
            side.hold(
                hold=uuid7(), amount=amount, metric=None, ends=now + random.randint(1, 30) * SECOND, now=now
            )
        case 3:
            for hold in side.rows("billing_hold")[-2:]:
                side.commit(hold=hold.id, amount=amount, now=now)
        case _:
            side.debit(cause=uuid7(), amount=amount, metric=None, now=now)


def _several_accounts(random: Random, sides: list[KernelAccount], step: int) -> None:
    """A batch locks its accounts in the order of their ids."""
    chosen = sorted(random.sample(sides, 3), key=lambda side: side.customer)
    with sides[0].connection.transaction():
        for side in chosen:
            _one_thing(random, side, step)


def _sweep(_random: Random, sides: list[KernelAccount], step: int) -> None:
    now = START + step * SECOND
    connection = sides[0].connection
    with connection.transaction():
        for due in connection.execute("SELECT * FROM billing_accounts_due_v1(%s, 20)", (now,)).fetchall():
            call(
                connection,
                "billing_account_settle_v1",
                environment=due.environment_id,
                account=due.account_id,
                now=now,
            )


def _policy(random: Random, sides: list[KernelAccount], _step: int) -> None:
    random.choice(sides).policy_set(random.choice(["block", "allow", "notify"]), random.choice([None, 100]))


def _seal(_random: Random, sides: list[KernelAccount], step: int) -> None:
    call(
        sides[0].connection,
        "billing_ledger_seal_v1",
        environment=sides[0].environment,
        most=500,
        now=START + step * SECOND,
    )


def _read(random: Random, sides: list[KernelAccount], step: int) -> None:
    random.choice(sides).read(START + (step + random.randint(0, 60)) * SECOND)


def work(
    connection: Connection, environment: UUID, customers: list[UUID], seed: int, steps: int
) -> Counter[str]:
    """Does random things; counts them, and what went wrong."""
    random = Random(seed)
    sides = _sides(connection, environment, customers)
    done: Counter[str] = Counter()
    deeds: list[Any] = [_several_accounts] * 8 + [_sweep] * 2 + [_policy, _read, _seal]
    for step in range(steps):
        try:
            random.choice(deeds)(random, sides, step)
            done["done"] += 1
        except psycopg.errors.DeadlockDetected:
            done["deadlock"] += 1
    return done


def work_in_a_process(environment: UUID, customers: list[UUID], steps: int) -> Counter[str]:
    with app_connection() as connection:
        environment_see(connection, environment)
        return work(connection, environment, customers, uuid7().int, steps)
