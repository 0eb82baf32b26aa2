"""PostgreSQL dies under load, or throws everybody out: what was acknowledged is there, what was not is a 503."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from uuid import uuid4

import pytest

from tests.conftest import Character
from tests.faults.deeds import done
from tests.faults.house import Answer, Backend, House, Lost, setting, wait_until

_CLIENTS = setting("PURSER_FAULTS_CLIENTS", 6)


class Load:
    """Clients that grant, use and read without a pause, and keep a book of what they were told."""

    def __init__(self, house: House, tenant: Character) -> None:
        self.kept: list[tuple[str, str]] = []
        self.refused: list[Answer] = []
        self.statuses: Counter[int] = Counter()
        self._stop = Event()
        self._house, self._secret = house, tenant.test.secret
        self.customers = [f"load-{uuid4().hex}" for _ in range(_CLIENTS)]
        self._threads = [Thread(target=self._run, args=(who,)) for who in self.customers]

    def start(self) -> None:
        for who in self.customers:
            grant = f"/v1/customer-by-external-id/{who}/credits/grant"
            done(Backend(self._house.port, self._secret).post(grant, {"credits": 10**9}, key=uuid4().hex))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, who: str) -> None:
        backend = Backend(self._house.port, self._secret)
        calls = (self._use, self._grant, self._read)
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                self._note(who, *calls[number % 3](backend, who))
            except Lost:
                continue

    def _note(self, who: str, key: str, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if answer.status >= 300:
            self.refused.append(answer)
        elif key:
            self.kept.append((who, key))

    def _use(self, backend: Backend, who: str) -> tuple[str, Answer]:
        key = uuid4().hex
        body = {
            "external_customer_id": who,
            "billable_metric_key": "api_call",
            "units": 1,
            "idempotency_key": key,
        }
        return key, backend.post("/v1/usage", body)

    def _grant(self, backend: Backend, who: str) -> tuple[str, Answer]:
        key = uuid4().hex
        path = f"/v1/customer-by-external-id/{who}/credits/grant"
        return key, backend.post(path, {"credits": 1_000}, key=key)

    def _read(self, backend: Backend, who: str) -> tuple[str, Answer]:
        return "", backend.get(f"/v1/customer-by-external-id/{who}/credits/history?limit=1")


@pytest.fixture
def load(web: House, tenant: Character, _catalogue: None) -> Iterator[Load]:
    load = Load(web, tenant)
    load.start()
    yield load
    load.stop()


@contextmanager
def _progress(load: Load, *, of: Callable[[], int], by: int) -> Iterator[None]:
    yield
    before = of()
    wait_until(lambda: of() >= before + by, what=f"{by} more calls are answered")


def _is_all_kept(house: House, load: Load) -> bool:
    """Whether each acknowledged call has its one ledger entry."""
    with house.superuser() as superuser:
        entries = superuser.execute(
            "SELECT c.external_id, e.idempotency_key FROM billing_ledger_entry e "
            "JOIN customers_customer c ON c.id = e.account_id WHERE c.external_id = ANY(%s)",
            [load.customers],
        ).fetchall()
    found = Counter(entries)
    return all(found[call] == 1 for call in load.kept)


def _refusals_are_problems(load: Load) -> None:
    wrong = [
        answer for answer in load.refused if (answer.status, answer.headers.get("retry-after")) != (503, "1")
    ]
    assert wrong == []
    assert {answer["code"] for answer in load.refused} <= {"unavailable"}


@pytest.mark.usefixtures("in_order")
def test_a_killed_postgres_loses_nothing_it_acknowledged_and_the_web_goes_on_by_itself(
    load: Load, web: House
) -> None:
    pids = web.web_pids()
    for _ in range(setting("PURSER_FAULTS_ROUNDS", 1)):
        # given
        with _progress(load, of=lambda: len(load.kept), by=60):
            pass
        # when
        web.postgres_kill()
        with _progress(load, of=lambda: len(load.refused), by=20):
            pass
        web.postgres_start()
        # then
        with _progress(load, of=lambda: len(load.kept), by=60):
            pass
    load.stop()
    assert web.web_pids() == pids
    assert load.statuses[503] >= 20
    _refusals_are_problems(load)
    assert _is_all_kept(web, load)


@pytest.mark.usefixtures("in_order")
def test_connections_ended_in_the_middle_of_anything_answer_503_and_never_wrongly(
    load: Load, web: House
) -> None:
    # when
    with web.superuser() as superuser:
        for _ in range(setting("PURSER_FAULTS_TERMINATIONS", 30)):
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            time.sleep(0.05)
    with _progress(load, of=lambda: len(load.kept), by=60):
        pass
    load.stop()
    # then
    _refusals_are_problems(load)
    assert _is_all_kept(web, load)


def test_while_postgres_is_away_readiness_says_so_and_liveness_does_not(web: House) -> None:
    nobody = Backend(web.port, "")
    assert nobody.get("/readyz").status == 200
    # when
    web.postgres_kill()
    # then
    try:
        assert nobody.get("/readyz").status == 503
        assert nobody.get("/healthz").status == 200
    finally:
        web.postgres_start()
    assert nobody.get("/readyz").status == 200
