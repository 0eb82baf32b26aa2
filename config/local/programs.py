"""Our own long-running programs: web, workers, beat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.local.paths import REPOSITORY, Home
from config.local.processes import start


@dataclass(kw_only=True)
class Program:
    """Runs `python -m …` in the repository."""

    name: str
    arguments: list[str]
    environment: Mapping[str, str]
    home: Home
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    stop_signal = signal.SIGTERM

    @property
    def log(self) -> Path:
        return self.home.log(self.name)

    def start(self) -> None:
        self.process = start(
            command=[sys.executable, "-m", *self.arguments],
            log=self.log,
            environment=self.environment,
            folder=REPOSITORY,
        )


def programs(*, home: Home, port: int, environment: Mapping[str, str]) -> list[Program]:
    return [
        Program(name=name, arguments=arguments, environment=environment, home=home)
        for name, arguments in (
            ("web", web_arguments(port=port)),
            ("worker", _worker()),
            ("webhooks", webhooks_arguments()),
            ("beat", _beat(home)),
        )
    ]


def web_arguments(
    *, port: int, application: str = "config.wsgi:application", workers: int | None = None, threads: int = 16
) -> list[str]:
    # WSGI, a worker for each core: measured several times cheaper than ASGI for this application.
    return [
        *["granian", application, "--interface", "wsgi", "--host", "127.0.0.1"],
        *["--port", str(port), "--workers", str(workers or _cores(at_most=16))],
        *["--blocking-threads", str(threads)],
        *["--backlog", "1024", "--backpressure", "256", "--no-ws", "--respawn-failed-workers"],
        *["--workers-kill-timeout", "3", "--log-level", "warning"],
    ]


def _worker() -> list[str]:
    return [
        *["celery", "-A", "config.celery", "worker", "--loglevel", "INFO", "--hostname", "purser@%h"],
        *["--concurrency", str(_cores(at_most=8)), "--without-mingle", "--without-gossip"],
    ]


def webhooks_arguments() -> list[str]:
    # Apart from the worker, and in threads: they mostly wait for other people's servers, which must hold up nothing.
    return [
        *["celery", "-A", "config.celery", "worker", "--loglevel", "WARNING", "--hostname", "webhooks@%h"],
        *["--queues", "webhooks", "--pool", "threads", "--concurrency", "16"],
        *["--without-mingle", "--without-gossip"],
    ]


def _beat(home: Home) -> list[str]:
    schedule = str(home.root / "beat-schedule")
    return ["celery", "-A", "config.celery", "beat", "--loglevel", "INFO", "--schedule", schedule]


def _cores(*, at_most: int) -> int:
    return min(at_most, os.cpu_count() or 1)
