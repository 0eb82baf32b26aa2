"""Many clients of the kernel at once, with a bounded number of connections, in threads or in processes."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from queue import SimpleQueue
from typing import Any
from uuid import UUID

from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, Connection, KernelAccount, app_connection, environment_see

#: The server allows a hundred connections, and others need some.
CONNECTIONS_MAX = 50


def setting(name: str, default: int) -> int:
    """How much is done: little by default, all of it where time does not matter."""
    return int(os.environ.get(name, default))


@contextmanager
def pool(environment: UUID, size: int) -> Iterator[SimpleQueue[Connection]]:
    """Connections as the application, to be taken and put back."""
    free: SimpleQueue[Connection] = SimpleQueue()
    with ExitStack() as opened:
        for _ in range(min(size, CONNECTIONS_MAX)):
            connection = opened.enter_context(app_connection())
            environment_see(connection, environment)
            free.put(connection)
        yield free


def at_once(
    environment: UUID, workers: int, deed: Callable[[int, Callable[[Callable[[Connection], Any]], Any]], Any]
) -> list[Any]:
    """Runs `deed(index, with_connection)` in as many threads; each deed borrows a connection for each thing it does."""
    with pool(environment, workers) as free, ThreadPoolExecutor(workers) as threads:

        def with_connection(work: Callable[[Connection], Any]) -> Any:
            connection = free.get()
            try:
                return work(connection)
            finally:
                free.put(connection)

        return list(threads.map(lambda index: deed(index, with_connection), range(workers)))


def in_processes(count: int, target: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Runs `target(*arguments)` in as many fresh processes at once."""
    # Fresh processes have no Django: `target` must live in a module that needs none.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as processes:
        return [future.result() for future in [processes.submit(target, *arguments) for _ in range(count)]]


def debit_many(
    environment: UUID, customer: UUID, times: int, amount: int, now: datetime = START
) -> Counter[str]:
    """One process's worth of debits; also run by `in_processes`."""
    with app_connection() as connection:
        account = KernelAccount(connection, environment, customer)
        return Counter(
            account.debit(cause=uuid7(), amount=amount, metric="tokens", now=now) for _ in range(times)
        )
