"""A web that answers for a long time grows no larger, nor does a worker that works."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
import redis

from config.beat import SCHEDULE
from tests.conftest import Character
from tests.faults.house import Backend, House, setting, wait_until
from tests.faults.test_worker_killed import Worker

_REQUESTS: Final = setting("PURSER_FAULTS_REQUESTS", 6_000)
_TASKS: Final = setting("PURSER_FAULTS_TASKS", 1_000)
_CLIENTS: Final = 2
#: What allocators and caches with a limit may still take; a leak of one page a request would be 24 MB here.
_GROWTH_MAX_KB: Final = 8_000


def _resident_kb(house: House) -> int:
    return sum(
        int(line.split()[1])
        for pid in house.web_pids()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )


def _serve(house: House, secret: str, requests: int) -> None:
    """Usage, balances, refusals and an ordinary view, of ever other customers."""

    def client(_number: int) -> None:
        backend = Backend(house.port, secret)
        for number in range(requests // _CLIENTS):
            who = f"memory-{uuid4().hex}"
            match number % 4:
                case 0:
                    backend.get(f"/v1/customer-by-external-id/{who}/credits")
                case 1:
                    body = {"external_customer_id": who, "billable_metric_key": "tiered_call", "units": 1}
                    backend.post("/v1/usage", body, key=uuid4().hex)
                case 2:
                    backend.post("/v1/usage", {"nonsense": who})
                case _:
                    backend.get(f"/v1/customer-by-external-id/{who}/credits/history?limit=1")

    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(client, range(_CLIENTS)))


@pytest.mark.slow
@pytest.mark.usefixtures("_catalogue")
def test_thousands_of_requests_leave_the_web_as_large_as_it_was(house: House, tenant: Character) -> None:
    # given a web that has warmed up
    house.web_start(threads=4)
    _serve(house, tenant.test.secret, _REQUESTS // 4)
    before = _resident_kb(house)
    # when
    _serve(house, tenant.test.secret, _REQUESTS)
    # then
    assert _resident_kb(house) - before < _GROWTH_MAX_KB


@pytest.mark.slow
@pytest.mark.usefixtures("backend")
def test_thousands_of_tasks_leave_a_worker_as_large_as_it_was(house: House) -> None:
    # given a worker that has warmed up, and nothing that one of another test was killed over
    _broker(house).delete("celery", "unacked", "unacked_index")
    worker = Worker(house)
    worker.start()
    try:
        _work(house, worker, _TASKS // 4)
        before = worker.resident_kb()
        # when
        _work(house, worker, _TASKS)
        # then
        assert worker.resident_kb() - before < _GROWTH_MAX_KB
    finally:
        worker.kill()


def _broker(house: House) -> redis.Redis:
    return redis.Redis.from_url(house.environment()["REDIS_URL"])


def _work(house: House, worker: Worker, tasks: int) -> None:
    """The scheduled ones that are not rare, over and over, until none waits."""
    names = [
        entry["task"]
        for entry in SCHEDULE.values()
        if entry["schedule"] < 3600 and entry["options"]["queue"] == "celery"
    ]
    worker.ring(*(names[number % len(names)] for number in range(tasks)))
    broker = _broker(house)
    wait_until(
        lambda: broker.llen("celery") + broker.hlen("unacked") == 0, what="the tasks are done", seconds=180
    )
