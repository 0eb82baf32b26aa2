"""`make run`: servers, database, demo tenant, web, worker and beat; until somebody stops it."""

from __future__ import annotations

import errno
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import redis

from config.local.commands import StaticFiles, collect_static_start, manage
from config.local.console import Dots, bold, say, step
from config.local.databases import database_make, database_urls
from config.local.errors import LocalError
from config.local.instance import env_read, env_write
from config.local.keeper import Keeper
from config.local.paths import REPOSITORY, Home, home_folder, lock_take
from config.local.postgres import Postgres
from config.local.processes import MARK, orphans_end
from config.local.programs import programs
from config.local.valkey import Valkey

_DATABASE = "purser"
_READY_SECONDS = 90
_PROGRAMS = {"web", "worker", "webhooks", "beat"}


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM, or the terminal went away."""


def run() -> int:
    os.umask(0o077)  # what is written from here on, also by the children, is the operator's alone
    home = Home(root=home_folder())
    port = _port()
    home.make()
    lock = lock_take(home)
    if lock is None:
        raise LocalError(_already_running(home))
    with lock:
        os.environ[MARK] = home.mark
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return _run(home, port)


def _run(home: Home, port: int) -> int:
    keeper = Keeper()
    try:
        orphans_end(mark=home.mark)
        _refuse_taken(port)
        _start(home, port, keeper)
        while True:
            keeper.tend()
            time.sleep(0.25)
    except Interrupted:
        say("\nStopping…")
    finally:
        _stop(keeper, home)
    say("Stopped. Your data is in " + _shown(home))
    return 0


def _start(home: Home, port: int, keeper: Keeper) -> None:
    began = time.monotonic()
    say(f"Starting Purser in {_shown(home)}")
    instance = {"PURSER_URL": os.environ.get("PURSER_URL") or f"http://127.0.0.1:{port}"}
    instance["SECRET_KEY"] = os.environ.get("SECRET_KEY") or home.secret("secret-key")
    # The demo's receivers are on this machine.
    instance["WEBHOOKS_ALLOW_PRIVATE"] = os.environ.get("WEBHOOKS_ALLOW_PRIVATE") or "true"
    given = {**os.environ, "PURSER_HOME": str(home.root), "PYTHONUNBUFFERED": "1"}
    static = collect_static_start(home=home, environment={**given, **instance})
    instance |= _database(home, keeper) | _redis(home, keeper)
    env_write(home.root / "instance.env", instance)
    everything = {**given, **instance}
    # The web and the workers have no use for the password that may change the schema.
    application = {name: value for name, value in everything.items() if name != "DATABASE_OWNER_URL"}
    _schema(home, everything, static)
    for program in programs(home=home, port=port, environment=application):
        keeper.start(program)
    with step("Demo tenant"):  # while the programs load
        demo = _demo(home, application)
    with step("Web, workers, beat"):
        _wait_until_ready(port, keeper)
    shown = _demo_environment(instance["PURSER_URL"], demo)
    env_write(home.root / "demo.env", shown)
    _greet(home, shown, time.monotonic() - began)


def _database(home: Home, keeper: Keeper) -> dict[str, str]:
    if "DATABASE_URL" in os.environ:
        given = os.environ["DATABASE_URL"]
        return {"DATABASE_URL": given, "DATABASE_OWNER_URL": os.environ.get("DATABASE_OWNER_URL", given)}
    server = Postgres(home=home)
    with step("PostgreSQL"):
        server.prepare()
        keeper.start(server)
        server.wait()
        database_make(postgres=server, name=_DATABASE)
    return dict(database_urls(postgres=server, name=_DATABASE))


def _redis(home: Home, keeper: Keeper) -> dict[str, str]:
    if "REDIS_URL" in os.environ:
        return _redis_given(os.environ["REDIS_URL"])
    server = Valkey(home=home)
    with step("Valkey"):
        server.prepare()
        keeper.start(server)
        server.wait()
    return {"REDIS_URL": server.url(), "CELERY_BROKER_URL": server.celery_url()}


def _redis_given(url: str) -> dict[str, str]:
    try:
        redis.Redis.from_url(url, socket_connect_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise LocalError(f"REDIS_URL leads to no server: {error}") from error
    broker = url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    return {"REDIS_URL": url, "CELERY_BROKER_URL": os.environ.get("CELERY_BROKER_URL", broker)}


def _schema(home: Home, environment: Mapping[str, str], static: StaticFiles) -> None:
    if "DATABASE_URL" in os.environ:
        with step("Database roles"):
            manage(home=home, environment=environment, command=["database_prepare"])
    with step("Migrations"):
        manage(home=home, environment=environment, command=["migrate", "--no-input", "--skip-checks"])
    with step("Static files"):
        static.wait()


def _demo(home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    """The demo tenant's keys: printed when it is made, kept in a private file for every later start."""
    kept = home.root / "demo.json"
    said = manage(
        home=home, environment=environment, command=["demo", "--if-empty", "--credentials", str(kept)]
    ).strip()
    if not said and not kept.exists():
        return {}
    found = json.loads(said.splitlines()[-1] if said else kept.read_text())
    return {name: str(value) for name, value in found.items()}


def _demo_environment(url: str, demo: Mapping[str, str]) -> dict[str, str]:
    return {
        "PURSER_URL": url,
        "PURSER_TEST_KEY": demo.get("test_key", ""),
        "PURSER_LIVE_KEY": demo.get("live_key", ""),
        "PURSER_ADMIN_URL": f"{url}/admin/",
        "PURSER_ADMIN_USER": demo.get("admin_user", ""),
        "PURSER_ADMIN_PASSWORD": demo.get("admin_password", ""),
    }


def _wait_until_ready(port: int, keeper: Keeper) -> None:
    dots = Dots()
    deadline = time.monotonic() + _READY_SECONDS
    while (answer := _readiness(port)) != "":
        keeper.raise_if_one_stopped()
        if time.monotonic() > deadline:
            raise LocalError(f"Purser is not ready after {_READY_SECONDS} s. /readyz says: {answer}")
        dots.tick()
        time.sleep(0.1)


def _readiness(port: int) -> str:
    """Empty when ready, otherwise what is missing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        return "" if response.status == 200 else f"{response.status} {body[:500]}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _greet(home: Home, shown: Mapping[str, str], seconds: float) -> None:
    demo_env = f"{_shown(home)}/demo.env"
    say(f"""
{bold("Purser is ready")} after {seconds:.1f} s.

  Admin      {bold(shown["PURSER_ADMIN_URL"])}
             user {shown["PURSER_ADMIN_USER"]}, password {shown["PURSER_ADMIN_PASSWORD"]}
  API        {bold(shown["PURSER_URL"] + "/v1")}
  Test key   {shown["PURSER_TEST_KEY"]}
  Live key   {shown["PURSER_LIVE_KEY"]}

  Say hello  source {demo_env}
             curl "$PURSER_URL/v1/customers" -H "Authorization: Bearer $PURSER_TEST_KEY"
  Logs       {_shown(home)}/logs
  Stop       Ctrl-C. The data stays; the next `make run` goes on with it.
""")


def _stop(keeper: Keeper, home: Home) -> None:
    """The servers last. A second Ctrl-C kills what is left."""
    try:
        names = keeper.names()
        keeper.stop(_PROGRAMS)
        for name in names:
            keeper.stop({name} - _PROGRAMS)
    except Interrupted:
        keeper.kill()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        orphans_end(mark=home.mark, patience=2)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - as `signal` calls it
    raise Interrupted


def _port() -> int:
    given = os.environ.get("PORT") or "8000"
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 65536:
        raise LocalError(f"PORT is no port number: {given!r}")
    return int(given)


def _refuse_taken(port: int) -> None:
    # Without SO_REUSEPORT, so that another Granian on this port counts as taken too.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise LocalError(f"Port {port} {why}. Choose another: make run PORT={_another(port)}") from error


def _another(port: int) -> int:
    return port + 1 if 1024 <= port < 65535 else 8000


def _already_running(home: Home) -> str:
    where = "Purser already runs"
    path = home.root / "instance.env"
    if path.exists():
        where += f" at {env_read(path).get('PURSER_URL', '')}"
    return (
        f"{where}, with its data in {_shown(home)}.\n"
        "For a second instance: make run PURSER_HOME=.purser-two PORT=8001"
    )


def _shown(home: Home) -> str:
    """Short where it lies in the repository we stand in."""
    with suppress(ValueError):
        return str(home.root.relative_to(REPOSITORY))
    return str(home.root)
