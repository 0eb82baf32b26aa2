"""`manage.py` commands that a start needs, run to their end."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from config.local.console import Dots
from config.local.errors import LocalError
from config.local.paths import REPOSITORY, Home

_SECONDS = 900


def manage(*, home: Home, environment: Mapping[str, str], command: list[str]) -> str:
    """Its output; what it says goes to `setup.log` too. Fails with the last lines."""
    output = home.root / f".{command[0]}.out"
    with output.open("wb") as stdout, home.log("setup").open("ab") as stderr:
        before = stderr.tell()
        process = subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=REPOSITORY,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            _wait(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
    said = output.read_text(errors="replace")
    output.unlink()
    if process.returncode != 0:
        errors = home.log("setup").read_bytes()[before:].decode(errors="replace")
        raise LocalError(f"`manage.py {command[0]}` failed:\n\n{_tail(said + errors)}")
    return said


def collect_static(*, home: Home, environment: Mapping[str, str]) -> None:
    """Only when something that goes in has changed."""
    stamp = home.root / "static.made-from"
    now = _static_fingerprint()
    if stamp.exists() and stamp.read_text() == now and (home.root / "static").exists():
        return
    manage(home=home, environment=environment, command=["collectstatic", "--no-input", "--verbosity", "0"])
    stamp.write_text(now)


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
