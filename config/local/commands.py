"""`manage.py` commands that a start needs, run to their end."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.local.console import Dots
from config.local.errors import LocalError
from config.local.paths import REPOSITORY, Home

_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command under way; `wait` is what it said. What it complains of goes to a log."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    log: Path
    log_before: int

    def wait(self) -> str:
        """Fails with the last lines."""
        try:
            _wait(self.process)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        said = self.output.read_text(errors="replace")
        self.output.unlink()
        if self.process.returncode != 0:
            errors = self.log.read_bytes()[self.log_before :].decode(errors="replace")
            raise LocalError(f"`manage.py {self.name}` failed:\n\n{_tail(said + errors)}")
        return said


def manage(*, home: Home, environment: Mapping[str, str], command: list[str]) -> str:
    """Its output; what it says goes to `setup.log` too. Fails with the last lines."""
    return manage_start(home=home, environment=environment, command=command, log="setup").wait()


def manage_start(*, home: Home, environment: Mapping[str, str], command: list[str], log: str) -> Command:
    output = home.root / f".{command[0]}.out"
    with output.open("wb") as stdout, home.log(log).open("ab") as stderr:
        return Command(
            name=command[0],
            process=subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=REPOSITORY,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            ),
            output=output,
            log=home.log(log),
            log_before=stderr.tell(),
        )


@dataclass(frozen=True, kw_only=True)
class StaticFiles:
    """Being collected, while others start: needs nothing of them. `command` is None when nothing has changed."""

    command: Command | None
    stamp: Path
    fingerprint: str

    def wait(self) -> None:
        if self.command is not None:
            self.command.wait()
            self.stamp.write_text(self.fingerprint)


def collect_static_start(*, home: Home, environment: Mapping[str, str]) -> StaticFiles:
    stamp, now, command = home.root / "static.made-from", _static_fingerprint(), None
    if not stamp.exists() or stamp.read_text() != now or not (home.root / "static").exists():
        command = manage_start(
            home=home,
            environment=environment,
            command=["collectstatic", "--no-input", "--verbosity", "0"],
            log="static",
        )
    return StaticFiles(command=command, stamp=stamp, fingerprint=now)


def _static_fingerprint() -> str:
    """Our own files and, for those of the dependencies, the lock file and the Python it was read with."""
    digest = hashlib.sha256(sys.version.encode() + (REPOSITORY / "uv.lock").read_bytes())
    for path in sorted(_static_files()):
        found = path.stat()
        digest.update(f"{path.relative_to(REPOSITORY)} {found.st_mtime_ns} {found.st_size}\n".encode())
    return digest.hexdigest()


def _static_files() -> list[Path]:
    # Not those of hidden folders: what was collected lies in one.
    return [path for path in REPOSITORY.glob("[!.]*/static/**/*") if path.is_file()]


def _wait(process: subprocess.Popen[bytes]) -> None:
    dots = Dots()
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise LocalError(f"`manage.py` took longer than {_SECONDS} s.")
        dots.tick()
        time.sleep(0.05)


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-20:])
