"""Children that end with their parent, write to files, and belong to the instance that started them."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# In the environment of every child: whoever finds it on a process knows whose it is.
MARK = "PURSER_SUPERVISOR"
_PR_SET_PDEATHSIG = 1
_LOG_MAX_BYTES = 10 * 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Another user to run a program as."""

    uid: int
    gid: int


def servant() -> Account | None:
    """Who PostgreSQL runs as: ourselves, or `nobody` when we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def start(
    *,
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str],
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    folder: Path = Path("/"),
) -> subprocess.Popen[bytes]:
    """Starts a child in a session of its own, so that Ctrl-C reaches only us, who stop things in order."""
    _rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509 - started from the main thread only
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )


def run_as(*, account: Account | None, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=plain_environment(),
        cwd="/",
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def plain_environment() -> dict[str, str]:
    """For programs that are none of ours: no secrets, no PG* variables."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", MARK)
    return {"LC_ALL": "C", "TZ": "UTC"} | {name: os.environ[name] for name in kept if name in os.environ}


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    parent = os.getpid()

    def in_child() -> None:
        # After the change of user, which would forget it. The parent may have died before it was set.
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def stop(
    *, process: subprocess.Popen[bytes], with_signal: signal.Signals = signal.SIGTERM, patience: float = 10
) -> None:
    """Asks, waits, then kills the child together with whatever it started."""
    if process.poll() is None:
        process.send_signal(with_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """The child leads its own session: its grandchildren are in its group even when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def orphans_end(*, mark: str, patience: float = 10) -> int:
    """Ends what an earlier supervisor of this instance left behind when it was killed."""
    pids = list(_marked(mark))
    for pid in pids:
        _signal(pid, signal.SIGINT if "postgres" in command_of(pid) else signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in pids:
        if is_alive(pid):
            _signal(pid, signal.SIGKILL)
    return len(pids)


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # not ours to read, or just gone
        if wanted in variables and pid != os.getpid() and is_alive(pid):
            yield pid


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "" if Path("/proc/self").exists() else _command_by_ps(pid)


def _command_by_ps(pid: int) -> str:
    return subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout.strip()


def is_alive(pid: int) -> bool:
    """A zombie is not: its parent merely has not looked."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (OSError, IndexError):
        return not Path("/proc/self").exists()
