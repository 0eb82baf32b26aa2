"""Pytest plugin (`-p tests.servers`): servers of this run's own, before Django reads its settings.

The first process of the run starts a PostgreSQL and a Valkey and migrates a template once; each xdist worker
copies the template into a database of its own and has a Redis database of its own. The tests connect as the
application does: as a login whose role is `purser_app`. `TEST_SUPERUSER_URL` is for those who need to tamper.
"""

from __future__ import annotations

import atexit
import os
import shutil

import pytest

from config.local.databases import at_database, database_copy, database_make
from config.local.errors import LocalError
from config.local.throwaway import Throwaway, clean_environment

_TEMPLATE = "purser_template"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The earliest hook: called when the plugin is registered, before pytest-django looks at anything."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    try:
        if worker is None:
            _servers_start()
        else:
            _database_take(worker)
    except LocalError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header() -> list[str]:
    if chromium() is None:
        return ["NO CHROMIUM FOUND: the browser tests are skipped (Debian: apt-get install chromium)"]
    return []


def chromium() -> str | None:
    """The browser of the tests in `tests/browser`."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _servers_start() -> None:
    servers = Throwaway()
    atexit.register(servers.stop)
    servers.start()
    database_make(postgres=servers.postgres, name=_TEMPLATE)
    servers.migrate(database=_TEMPLATE)
    environment = clean_environment() | servers.environment(database=_TEMPLATE)
    environment["TEST_SUPERUSER_URL"] = servers.postgres.superuser_url(_TEMPLATE)
    environment["PURSER_DATABASE_ROLE"] = "app"
    os.environ.clear()
    os.environ.update(environment)
    _database_take("main")


def _database_take(worker: str) -> None:
    """A copy of the template for this process, and the environment that leads to it."""
    database = f"purser_{worker}"
    database_copy(superuser_url=os.environ["TEST_SUPERUSER_URL"], name=database, template=_TEMPLATE)
    for variable in ("DATABASE_URL", "DATABASE_OWNER_URL", "TEST_SUPERUSER_URL"):
        os.environ[variable] = at_database(os.environ[variable], database)
    number = 0 if worker == "main" else int(worker.removeprefix("gw")) + 1
    for variable, parameter in (("REDIS_URL", "db"), ("CELERY_BROKER_URL", "virtual_host")):
        address = os.environ[variable].partition("?")[0]
        os.environ[variable] = f"{address}?{parameter}={number}"
