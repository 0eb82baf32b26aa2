"""Random work on several accounts at once never deadlocks, and everything still adds up."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from billing.services.verification import ledger_verify
from tests.concurrency.clients import at_once, in_processes, setting
from tests.concurrency.random_work import work, work_in_a_process
from tests.oracle.kernel import (
    app_connection,
    customer_make,
    environment_make,
    environment_see,
    superuser_connection,
)

OPERATIONS = setting("PURSER_DEADLOCK_OPERATIONS", 3_000)
WORKERS = 24
ACCOUNTS = 6


@pytest.fixture
def crowd() -> tuple[UUID, list[UUID]]:
    with superuser_connection() as superuser:
        environment = environment_make(superuser)
    with app_connection() as connection:
        environment_see(connection, environment)
        return environment, [
            customer_make(connection, environment, policy=policy)
            for policy in ["block", "allow", "notify"] * (ACCOUNTS // 3)
        ]


def assert_in_order(environment: UUID, outcomes: list[Counter[str]], operations: int) -> None:
    assert sum(outcomes, Counter()) == {"done": operations}
    assert ledger_verify(environment_id=environment).findings == []


@pytest.mark.slow
def test_threads_never_deadlock(crowd: tuple[UUID, list[UUID]]) -> None:
    environment, customers = crowd
    steps = OPERATIONS // 2 // WORKERS

    def worker(index: int, with_connection: Any) -> Counter[str]:
        return with_connection(lambda connection: work(connection, environment, customers, index, steps))

    assert_in_order(environment, at_once(environment, WORKERS, worker), WORKERS * steps)


@pytest.mark.slow
def test_processes_never_deadlock(crowd: tuple[UUID, list[UUID]]) -> None:
    environment, customers = crowd
    steps = OPERATIONS // 2 // 4
    assert_in_order(environment, in_processes(4, work_in_a_process, environment, customers, steps), 4 * steps)
