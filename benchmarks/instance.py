"""An instance of its own for a run: PostgreSQL as durable as in production, Valkey, and the web servers to compare."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from config.local.binaries import postgres_programs
from config.local.databases import database_make
from config.local.errors import LocalError
from config.local.paths import REPOSITORY, Home
from config.local.processes import plain_environment, servant, start, stop
from config.local.programs import web_arguments
from config.local.throwaway import Throwaway, clean_environment

_DATABASE: Final = "purser_bench"
_NAIVE: Final = "naive_bench"
#: Limits are on, and so high that they refuse nothing.
_LIMITS: Final = {f"RATE_LIMIT_{name}": "20000" for name in ("USAGE", "ENTITLEMENTS", "OTHER")}
_START_SECONDS: Final = 30
#: PostgreSQL's own default is for the smallest of machines; a quarter of the memory is usual.
_SHARED_BUFFERS: Final = os.environ.get("BENCH_SHARED_BUFFERS")
#: As `make run` starts it on the two-core machine the targets are for.
_WORKERS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Server:
    """A web server: its port, and the root of its processes."""

    port: int
    process: subprocess.Popen[bytes]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What a case needs to know: where things run, and what is in the database."""

    postgres_pid: int
    database_url: str
    superuser_url: str
    programs: Path
    home: Home
    #: Environment variables of the application.
    environment: Mapping[str, str]
    naive_environment: Mapping[str, str]
    servers: Mapping[str, Server]
    facts: Mapping[str, Any]
    naive_secret: str


@contextmanager
def instance(*, durable: bool = True) -> Iterator[Instance]:
    """Everything started, migrated and filled; gone without a trace afterwards."""
    below = Throwaway(durable=durable)
    servers: dict[str, Server] = {}
    try:
        below.start()
        if _SHARED_BUFFERS:
            _give_memory(below, _SHARED_BUFFERS)
        yield _made(below, servers)
    finally:
        for server in servers.values():
            stop(process=server.process)
        below.stop()


def _give_memory(below: Throwaway, shared_buffers: str) -> None:
    """It is taken at the start, so PostgreSQL starts once more."""
    postgres = below.postgres
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER SYSTEM SET shared_buffers = {}").format(sql.Literal(shared_buffers))
        )
    if postgres.process is not None:
        stop(process=postgres.process, with_signal=postgres.stop_signal, patience=30)
    postgres.start()
    postgres.wait()


def _made(below: Throwaway, servers: dict[str, Server]) -> Instance:
    postgres = below.postgres
    database_make(postgres=postgres, name=_DATABASE)
    below.migrate(database=_DATABASE)
    environment = clean_environment() | below.environment(database=_DATABASE) | _LIMITS
    facts = json.loads(_python(environment, "benchmarks.catalogue"))
    naive_secret = secrets.token_hex(20)
    naive = clean_environment() | {"NAIVE_DATABASE_URL": postgres.superuser_url(_NAIVE)}
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_NAIVE}")
    _python(naive, "benchmarks.naive.fill", naive_secret)
    for name in (_DATABASE, _NAIVE):
        settle(postgres.superuser_url(name))
    for name, application, variables in (
        ("purser", "config.wsgi", environment),
        ("empty", "benchmarks.empty.wsgi", clean_environment()),
        ("naive", "benchmarks.naive.wsgi", naive),
    ):
        servers[name] = serve(application, variables, log=below.home.log(name))
    if postgres.process is None:
        raise LocalError("PostgreSQL is not running.")
    return Instance(
        postgres_pid=postgres.process.pid,
        database_url=environment["DATABASE_URL"],
        superuser_url=postgres.superuser_url(_DATABASE),
        home=below.home,
        programs=postgres_programs(account=servant()),
        environment=environment,
        naive_environment=naive,
        servers=servers,
        facts={**facts, "database": _DATABASE},
        naive_secret=naive_secret,
    )


def settle(superuser_url: str) -> None:
    """Statistics for the planner, and no write-back left over from filling the tables."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _python(environment: Mapping[str, str], name: str, *arguments: str) -> str:
    done = subprocess.run(
        module(name, *arguments), cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LocalError(f"{name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def serve(application: str, environment: Mapping[str, str], *, log: Path) -> Server:
    port = _free_port()
    arguments = web_arguments(port=port, application=f"{application}:application", workers=_WORKERS)
    process = start(
        command=module(*arguments),
        log=log,
        environment={**plain_environment(), **environment},
        folder=REPOSITORY,
    )
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LocalError(f"{application} did not start:\n{log.read_text()}")
        time.sleep(0.05)
    return Server(port=port, process=process)


@contextmanager
def with_single(instance: Instance) -> Iterator[Instance]:
    """Beside the others, a server `single` in which each request is a call of its own."""
    apart = {"USAGE_GROUP_COMMIT": "off", "ENTITLEMENTS_GROUPS": "off"}
    single = serve("config.wsgi", {**instance.environment, **apart}, log=instance.home.log("single"))
    try:
        yield replace(instance, servers={**instance.servers, "single": single})
    finally:
        stop(process=single.process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def cores() -> int:
    return os.cpu_count() or 1
