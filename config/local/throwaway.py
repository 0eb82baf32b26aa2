"""Servers for one run of the tests or one command: nothing kept, nothing shared with a running instance."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.local.databases import database_urls
from config.local.errors import LocalError
from config.local.paths import REPOSITORY, Home
from config.local.postgres import Postgres
from config.local.processes import is_alive, stop
from config.local.valkey import Valkey

_PREFIX = "purser-throwaway-"
# What would lead a command to another instance, or change what the tests mean.
_FOREIGN = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "PURSER_DATABASE_ROLE",
    "PURSER_URL",
    "STATIC_ROOT",
)


@dataclass(kw_only=True)
class Throwaway:
    """`durable=True` is for benchmarks: as much is flushed to disk as in production."""

    durable: bool = False
    home: Home = field(init=False)
    postgres: Postgres = field(init=False)
    valkey: Valkey = field(init=False)

    def start(self) -> None:
        _sweep()
        self.home = Home(root=Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve())
        if os.geteuid() == 0:
            self.home.root.chmod(0o711)
        self.home.make()
        (self.home.root / "static").mkdir()
        self.postgres = Postgres(home=self.home, durable=self.durable)
        self.valkey = Valkey(home=self.home, durable=self.durable)
        for server in (self.postgres, self.valkey):
            server.prepare()
            server.start()
        for server in (self.postgres, self.valkey):
            server.wait()

    def stop(self) -> None:
        for server in (self.postgres, self.valkey):
            if server.process is not None:
                stop(process=server.process, with_signal=server.stop_signal, patience=5)
        _remove(self.home.root)

    def environment(self, *, database: str, redis_database: int = 0) -> dict[str, str]:
        return {
            **database_urls(postgres=self.postgres, name=database),
            "REDIS_URL": self.valkey.url(database=redis_database),
            "CELERY_BROKER_URL": self.valkey.celery_url(database=redis_database),
            "PURSER_HOME": str(self.home.root),
            "SECRET_KEY": self.home.secret("secret-key"),
        }

    def migrate(self, *, database: str) -> None:
        """In a process of its own: whoever calls has not loaded the settings yet."""
        done = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--no-input", "--skip-checks", "--verbosity", "0"],
            check=False,
            cwd=REPOSITORY,
            env=clean_environment() | self.environment(database=database),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise LocalError(f"The migrations failed:\n{done.stdout}{done.stderr}")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}


def _sweep() -> None:
    """What runs that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if pid.isdigit() and not is_alive(int(pid)) and folder.stat().st_uid == os.geteuid():
                _remove(folder)


def _remove(folder: Path) -> None:
    record = folder / "postgres.path"
    if record.exists():
        shutil.rmtree(record.read_text().strip(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
