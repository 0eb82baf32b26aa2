"""WSGI applications that stand ready to be called inside their own process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.instance import module
from benchmarks.requests import Request
from benchmarks.rounds import Sample
from config.local.paths import REPOSITORY


class Worker:
    """One process with one application and one kind of request."""

    def __init__(self, *, application: str, request: Request, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            module("benchmarks.in_process", application, request.to_json()),
            cwd=REPOSITORY,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sample(self, *, calls: int) -> Sample:
        found = self._ask(calls)
        times = sorted(found["milliseconds"])
        return Sample(
            server_us=found["cpu_us"],
            p50_ms=times[len(times) // 2],
            p99_ms=times[len(times) * 99 // 100],
            errors=found["errors"],
            examples=found["examples"],
        )

    def _ask(self, calls: int) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or "null")
        if not answer:
            raise RuntimeError("the worker ended")
        return answer

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


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
