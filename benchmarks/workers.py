"""WSGI applications that stand ready to be called inside their own process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.requests import Request
from benchmarks.rounds import Sample
from benchmarks.standby import Standby


class Worker:
    """One process with one application and one kind of request."""

    def __init__(self, *, application: str, request: Request, environment: Mapping[str, str]) -> None:
        self._process = Standby(
            "benchmarks.in_process", application, request.to_json(), environment=environment
        )

    def sample(self, *, calls: int) -> Sample:
        found = self._process.ask(calls)
        times = sorted(found["milliseconds"])
        return Sample(
            server_us=found["cpu_us"],
            p50_ms=times[len(times) // 2],
            p99_ms=times[len(times) * 99 // 100],
            errors=found["errors"],
            examples=found["examples"],
        )

    def stop(self) -> None:
        self._process.stop()


@contextmanager
def workers(wanted: Mapping[str, tuple[str, Request, Mapping[str, str]]]) -> Iterator[dict[str, Worker]]:
    """A worker for each name, gone afterwards."""
    made: dict[str, Worker] = {}
    try:
        for name, (application, request, environment) in wanted.items():
            made[name] = Worker(application=application, request=request, environment=environment)
        yield made
    finally:
        for worker in made.values():
            worker.stop()
