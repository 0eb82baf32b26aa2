"""A whole Purser of the test's own, whose processes may be killed: PostgreSQL, Valkey, web, and now and then a worker.

Nothing here is the run's: `tests/servers.py` is for everybody else. Tests look into the house's database through Django
(`looking_inside`) and speak to it over HTTP.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psycopg
from django.db import connection

from config.local.databases import database_make
from config.local.errors import LocalError
from config.local.paths import REPOSITORY
from config.local.processes import kill_group, start
from config.local.programs import web_arguments
from config.local.throwaway import Throwaway, clean_environment
from customers.kernel.database import environment_clear

_DATABASE = "purser"
_STARTED_WITHIN = 120.0
#: Enough that one death meets every kind of call in the middle.
_THREADS = 24


class House:
    """`database_socket` of `web_start` leads the web somewhere else than to PostgreSQL itself: to a test's proxy."""

    def __init__(self) -> None:
        # Durable: what a killed server said it had kept must be there afterwards.
        self.servers = Throwaway(durable=True)
        self.port = _free_port()
        self.web: subprocess.Popen[bytes] | None = None
        self._is_ordinary = True

    def open(self) -> None:
        self.servers.start()
        database_make(postgres=self.servers.postgres, name=_DATABASE)
        self.servers.migrate(database=_DATABASE)

    def close(self) -> None:
        self.web_kill()
        self.servers.stop()

    # --- PostgreSQL

    @property
    def superuser_url(self) -> str:
        return self.servers.postgres.superuser_url(_DATABASE)

    @property
    def database_socket(self) -> Path:
        """The folder of PostgreSQL's socket."""
        return Path(unquote(self.environment()["DATABASE_URL"].partition("?host=")[2]))

    def superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.superuser_url, autocommit=True)

    def postgres_kill(self) -> None:
        assert self.servers.postgres.process is not None
        self.servers.postgres.process.kill()
        self.servers.postgres.process.wait()

    def postgres_start(self) -> None:
        """The dead one's children hold its shared memory until they have noticed."""
        deadline = time.monotonic() + _STARTED_WITHIN
        while True:
            self.servers.postgres.start()
            try:
                self.servers.postgres.wait()
            except LocalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    # --- Valkey

    @property
    def valkey_pid(self) -> int:
        assert self.servers.valkey.process is not None
        return self.servers.valkey.process.pid

    def valkey_kill(self) -> None:
        assert self.servers.valkey.process is not None
        self.servers.valkey.process.kill()
        self.servers.valkey.process.wait()

    def valkey_start(self) -> None:
        self.servers.valkey.start()
        self.servers.valkey.wait()

    # --- the web, and commands

    def environment(self, **settings: str) -> dict[str, str]:
        """`API_KEY_CACHE_SECONDS`: longer than any test, so that a hot call is the kernel's call and nothing else."""
        return (
            clean_environment()
            | self.servers.environment(database=_DATABASE)
            | {
                "API_KEY_CACHE_SECONDS": "3600",
                "LOG_LEVEL": "WARNING",
                "PYTHONUNBUFFERED": "1",
                "RATE_LIMIT_OTHER": "100000",
                "RATE_LIMIT_USAGE": "100000",
            }
            | settings
        )

    def web_start(
        self,
        *,
        workers: int = 1,
        threads: int = _THREADS,
        database_socket: Path | None = None,
        **settings: str,
    ) -> None:
        self.web_kill()
        environment = self.environment(**settings)
        if database_socket is not None:
            address = environment["DATABASE_URL"].partition("?")[0]
            environment["DATABASE_URL"] = f"{address}?host={quote(str(database_socket))}"
        arguments = web_arguments(port=self.port, workers=workers)
        arguments[arguments.index("--blocking-threads") + 1] = str(threads)
        self.web = self.run(arguments, log="web", environment=environment)
        self._is_ordinary = (workers, threads, database_socket, settings) == (1, _THREADS, None, {})
        self._wait_for_web()

    def web_up(self) -> None:
        """An ordinary one: what a test before started with few threads, or led elsewhere, is replaced."""
        if self.web is None or not self._is_ordinary:
            self.web_start()

    def web_kill(self) -> None:
        """SIGKILL, all of it: the server and its workers lead no group but their own."""
        if self.web is not None:
            kill_group(self.web)
            self.web = None

    def web_pids(self) -> list[int]:
        """The server's workers."""
        assert self.web is not None
        children = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def run(
        self, arguments: list[str], *, log: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        return start(
            command=[sys.executable, "-m", *arguments],
            log=self.servers.home.log(log),
            environment=environment or self.environment(),
            folder=REPOSITORY,
        )

    def log(self, name: str) -> str:
        return self.servers.home.log(name).read_text(errors="replace")

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        while True:
            with suppress(Lost):
                if Backend(self.port, "").get("/readyz").status == 200:
                    return
            assert self.web is not None
            assert self.web.poll() is None, self.log("web")
            assert time.monotonic() < deadline, self.log("web")
            time.sleep(0.03)

    # --- inside

    @contextmanager
    def looking_inside(self) -> Iterator[None]:
        """Django's connections of this process lead into the house's database meanwhile."""
        url = psycopg.conninfo.conninfo_to_dict(self.environment()["DATABASE_URL"])
        before = dict(connection.settings_dict)
        connection.close()
        connection.settings_dict.update(
            NAME=url["dbname"], USER=url["user"], PASSWORD=url["password"], HOST=url["host"], PORT=url["port"]
        )
        try:
            yield
        finally:
            environment_clear()
            connection.close()
            connection.settings_dict.update(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    def __getitem__(self, member: str) -> Any:
        return self.body[member]


class Lost(Exception):
    """The call was sent and nothing came back: it happened, or it did not."""


@dataclass(slots=True)
class Backend:
    """A tenant's backend: one connection, opened again when it broke. Not for several threads."""

    port: int
    secret: str
    timeout: float = 30.0
    _http: http.client.HTTPConnection | None = field(default=None, init=False)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self.send("POST", path, body, key=key)

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        headers = {"X-API-Key": self.secret} if self.secret else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            if self._http is None:
                self._http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self._http.request(method, path, data, headers)
            response = self._http.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            raise Lost(str(error)) from error
        named = {name.lower(): value for name, value in response.getheaders()}
        content = json.loads(text) if "json" in named.get("content-type", "") else text
        return Answer(status=response.status, headers=named, body=content)

    def __del__(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


def wait_until(true: Callable[[], bool], *, what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def setting(name: str, default: int) -> int:
    """How much is done: little by default, more where time does not matter."""
    return int(os.environ.get(name, default))
