"""SIGKILL of the worker in the middle of a sweep: the next one finishes what it began, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from config.celery import app
from config.local.processes import kill_group
from tests.faults.deeds import done
from tests.faults.failpoints import Failpoints
from tests.faults.house import Backend, House, wait_until

_CUSTOMERS = 6


class Worker:
    """A Celery worker that may be killed. One process, so that the death meets the task."""

    def __init__(self, house: House, *arguments: str, **settings: str) -> None:
        self._house = house
        self._arguments = arguments or ("--pool", "solo")
        self._settings = settings
        self._process: Any = None

    def start(self) -> None:
        arguments = ["celery", "-A", "config.celery", "worker", "--without-mingle", "--without-gossip"]
        self._process = self._house.run(
            [*arguments, *self._arguments, "--loglevel", "INFO"],
            log="worker",
            environment=self._house.environment(**self._settings),
        )

    def kill(self) -> None:
        if self._process is not None:
            kill_group(self._process)
            self._process = None

    def ring(self, *tasks: str) -> None:
        broker = self._house.environment()["CELERY_BROKER_URL"]
        with app.connection_for_write(broker) as connection:
            for task in tasks:
                app.send_task(task, connection=connection)

    def resident_kb(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.fixture
def worker(house: House) -> Iterator[Worker]:
    worker = Worker(house)
    yield worker
    worker.kill()


@pytest.fixture
def due(web: House, backend: Backend) -> list[str]:
    """Customers of whom a block has expired, at which nobody has looked since."""
    customers = [f"due-{uuid4().hex}" for _ in range(_CUSTOMERS)]
    soon = datetime.now(UTC)
    for who in customers:
        soon = datetime.now(UTC) + timedelta(seconds=5)
        path = f"/v1/customer-by-external-id/{who}/credits/grant"
        done(backend.post(path, {"credits": 10_000, "expires_at": soon.isoformat()}, key=uuid4().hex))
    wait_until(lambda: datetime.now(UTC) > soon + timedelta(seconds=0.5), what="the blocks have expired")
    return customers


def _expired(house: House, customers: list[str]) -> bool:
    """Each block is booked as expired, and only once."""
    with house.superuser() as superuser:
        rows = superuser.execute(
            "SELECT count(*) FROM billing_ledger_entry e JOIN customers_customer c ON c.id = e.account_id "
            "WHERE c.external_id = ANY(%s) AND e.kind = 'expire' GROUP BY c.id",
            [customers],
        ).fetchall()
    return rows == [(1,)] * len(customers)


def _sealed(house: House, customers: list[str]) -> bool:
    """Each entry is sealed; that none is sealed twice is for the ledger's verification to say."""
    with house.superuser() as superuser:
        row = superuser.execute(
            "SELECT (SELECT count(*) FROM billing_ledger_entry) - "
            "(SELECT coalesce(sum(last_sequence - first_sequence + 1), 0) FROM billing_ledger_seal_part)"
        ).fetchone()
    return row == (0,)


@pytest.mark.usefixtures("in_order")
@pytest.mark.parametrize(
    ("task", "point", "is_finished"),
    [
        ("billing.tasks.accounts_settle", "billing_ledger_entry", _expired),
        ("billing.tasks.ledger_seal", "billing_ledger_seal_part", _sealed),
        ("billing.tasks.ledger_seal", "billing_ledger_seal", _sealed),
    ],
)
def test_a_worker_killed_in_the_middle_has_done_nothing_that_the_next_run_does_not_finish(
    web: House,
    due: list[str],
    worker: Worker,
    failpoints: Failpoints,
    task: str,
    point: str,
    is_finished: Callable[[House, list[str]], bool],
) -> None:
    # given a worker in the middle
    with failpoints.gate_closed(), failpoints.armed("wait", point):
        worker.start()
        worker.ring(task)
        failpoints.wait_for(1)
        # when
        worker.kill()
        failpoints.roll_back_waiting()
    # then nothing of it is there, and all of it after the next run; also when that one comes twice
    assert not is_finished(web, due)
    worker.start()
    worker.ring(task)
    worker.ring(task)
    wait_until(lambda: is_finished(web, due), what=f"{task} has finished")
