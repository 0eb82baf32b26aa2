"""One PostgreSQL as our direct child."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg

from config.local.binaries import postgres_major, postgres_programs
from config.local.errors import LocalError
from config.local.paths import Home, write_private
from config.local.processes import Account, command_of, is_alive, plain_environment, run_as, servant, start

SUPERUSER = "postgres"
_PORT = 5432  # names the socket; nothing listens on TCP
_START_SECONDS = 60


@dataclass(kw_only=True)
class Postgres:
    """`durable=False` is for tests: nothing is flushed to disk."""

    home: Home
    durable: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _account: Account | None = field(default_factory=servant, init=False)

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": rolls back what is open, without waiting for clients to leave

    @property
    def log(self) -> Path:
        return self.home.log("postgres")

    def prepare(self) -> None:
        """Finds programs and folders, and makes the cluster the first time."""
        self._programs = postgres_programs(account=self._account)
        self._folder = self.home.postgres()
        self._sockets = self.home.sockets("postgres", account=self._account)
        self._data = self._folder / "data"
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._refuse_other_version()

    def start(self) -> None:
        self._clear_stale_pid()
        self.process = start(
            command=[self._programs / "postgres", "-D", self._data, *self._settings()],
            log=self.log,
            environment=plain_environment(),
            account=self._account,
            death_signal=signal.SIGINT,
        )

    def wait(self) -> None:
        """Until it answers: after a crash it replays its log first."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.superuser_url(), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise LocalError(f"PostgreSQL did not start; see {self.log}\n{error}") from error
                time.sleep(0.05)
            else:
                return

    def superuser_url(self, database: str = "postgres") -> str:
        return self.url(login=SUPERUSER, password=self._superuser_password(), database=database)

    def url(self, *, login: str, password: str, database: str) -> str:
        """A form that libpq and django-environ both read: the socket's folder as a parameter."""
        host = urlencode({"host": str(self._sockets)}, safe="/", quote_via=quote)  # a + would stay one
        return f"postgres://{login}:{quote(password, safe='')}@:{_PORT}/{database}?{host}"

    def _superuser_password(self) -> str:
        return (self.home.root / "postgres.password").read_text().strip()

    def _settings(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._sockets),
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "autovacuum": "on",
            }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _initialise(self) -> None:
        if self._data.exists() and any(self._data.iterdir()):
            raise LocalError(f"{self._data} holds something that is no PostgreSQL cluster; move it away.")
        password = secrets.token_urlsafe(24)
        # Beside its final place until it is whole: a kill in the middle leaves nothing half made.
        draft = self._folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self._folder / "password.new"
        write_private(password_file, password + "\n")
        if self._account is not None:
            os.chown(password_file, self._account.uid, self._account.gid)
        self._initdb(draft, password_file)
        password_file.unlink()
        write_private(self.home.root / "postgres.password", password + "\n")
        draft.rename(self._data)

    def _initdb(self, draft: Path, password_file: Path) -> None:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if postgres_major(self._programs) < 17:
            locale = ["--locale=C.UTF-8"]
        durability = [] if self.durable else ["--no-sync"]
        folders = ["-D", str(draft), f"--pwfile={password_file}"]
        access = ["-U", SUPERUSER, "-A", "scram-sha-256", "--encoding=UTF8"]
        command = [str(self._programs / "initdb"), *folders, *access, *locale, *durability]
        made = run_as(account=self._account, command=command)
        if made.returncode != 0:
            raise LocalError(f"PostgreSQL could not make its data folder:\n{made.stderr.strip()}")

    def _refuse_other_version(self) -> None:
        have = (self._data / "PG_VERSION").read_text().strip()
        run = postgres_major(self._programs)
        if have != str(run):
            raise LocalError(
                f"The data in {self._data} is of PostgreSQL {have}, the programs are of {run}.\n"
                f"Set PG_BIN to a PostgreSQL {have}, dump, and load into a new PURSER_HOME."
            )

    def _clear_stale_pid(self) -> None:
        """After kill -9 the file stays, and its pid may by now be anybody's."""
        path = self._data / "postmaster.pid"
        if not path.exists():
            return
        first = path.read_text().split("\n", 1)[0].strip()
        pid = int(first) if first.isdigit() else 0
        if pid and is_alive(pid) and str(self._data) in command_of(pid):
            # The instance's lock is ours, so this one's supervisor is gone.
            _end_orphan(pid)
        path.unlink(missing_ok=True)


def _end_orphan(pid: int, *, patience: float = 15) -> None:
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + patience
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise LocalError(f"An earlier PostgreSQL (pid {pid}) still runs on this data and does not stop.")
        time.sleep(0.05)
