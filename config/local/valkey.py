"""One Valkey as our direct child, reached by a socket only."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import redis

from config.local.binaries import valkey_program
from config.local.errors import LocalError
from config.local.paths import Home
from config.local.processes import plain_environment, start

_START_SECONDS = 30


@dataclass(kw_only=True)
class Valkey:
    home: Home
    durable: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    name = "valkey"
    stop_signal = signal.SIGTERM

    @property
    def log(self) -> Path:
        return self.home.log("valkey")

    def prepare(self) -> None:
        self._program = valkey_program()
        self._socket = self.home.sockets("valkey") / "valkey.sock"

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        self.process = start(
            command=[self._program, *self._settings()], log=self.log, environment=plain_environment()
        )

    def wait(self) -> None:
        """Until it answers: it loads its log of commands first."""
        deadline = time.monotonic() + _START_SECONDS
        client = redis.Redis.from_url(self.url())
        while True:
            try:
                client.ping()
            except redis.RedisError as error:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise LocalError(f"Valkey did not start; see {self.log}\n{error}") from error
                time.sleep(0.02)
            else:
                client.close()
                return

    def url(self, *, database: int = 0) -> str:
        """For redis-py."""
        return f"unix://{quote(str(self._socket))}?db={database}"

    def celery_url(self, *, database: int = 0) -> str:
        """For Celery, which has its own word for a socket."""
        return f"redis+socket://{quote(str(self._socket))}?virtual_host={database}"

    def _settings(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.home.valkey),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "databases": "64",
            # A broker that forgets messages when full is worse than one that says so.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]
