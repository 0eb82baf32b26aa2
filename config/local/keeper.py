"""Keeps children running: one that stops is started again, later and later if it keeps stopping."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Protocol

from config.local.console import say
from config.local.errors import LocalError
from config.local.processes import kill_group, stop

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
# Having run this long, a child counts as healthy, and its next stop as its first.
_HEALTHY_SECONDS = 60.0
_PATIENCE = 8.0


class Child(Protocol):
    process: subprocess.Popen[bytes] | None

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def stop_signal(self) -> Signals: ...
    def start(self) -> None: ...


@dataclass(kw_only=True)
class _Kept:
    child: Child
    delay: float = _FIRST_DELAY
    started_at: float = field(default_factory=time.monotonic)
    due_at: float | None = None


class Keeper:
    """In order of start; stopped in the opposite order."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def start(self, child: Child) -> None:
        # Noted first: an interruption in the middle must find it when stopping.
        self._kept.append(_Kept(child=child))
        child.start()

    def raise_if_one_stopped(self) -> None:
        """While starting there is no second try: what fails now is a mistake to look at."""
        for kept in self._kept:
            process = kept.child.process
            if process is not None and process.poll() is not None:
                tail = "\n".join(kept.child.log.read_text(errors="replace").splitlines()[-15:])
                raise LocalError(f"{kept.child.name} stopped while starting ({kept.child.log}):\n\n{tail}")

    def tend(self) -> None:
        now = time.monotonic()
        for kept in self._kept:
            if kept.due_at is not None:
                self._restart_when_due(kept, now)
            elif kept.child.process is not None and kept.child.process.poll() is not None:
                self._plan_restart(kept, now)

    def _plan_restart(self, kept: _Kept, now: float) -> None:
        process = kept.child.process
        if process is None:
            return
        kill_group(process)  # a killed parent's workers would hold its port
        if now - kept.started_at > _HEALTHY_SECONDS:
            kept.delay = _FIRST_DELAY
        kept.due_at = now + kept.delay
        say(
            f"  {kept.child.name} stopped ({_ending(process.returncode)}); "
            f"starting it again in {kept.delay:g} s. See {kept.child.log}"
        )

    def _restart_when_due(self, kept: _Kept, now: float) -> None:
        if kept.due_at is None or now < kept.due_at:
            return
        kept.due_at = None
        kept.delay = min(kept.delay * 2, _LONGEST_DELAY)
        kept.started_at = now
        try:
            kept.child.start()
        except LocalError as error:
            say(f"  {kept.child.name} cannot start: {error}")
            kept.due_at = now + kept.delay

    def stop(self, names: set[str]) -> None:
        """All of these at once, then each waited for."""
        children = [kept.child for kept in reversed(self._kept) if kept.child.name in names]
        for child in children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + _PATIENCE
        for child in children:
            if child.process is not None:
                _wait_then_kill(child.process, deadline)

    def names(self) -> list[str]:
        return [kept.child.name for kept in reversed(self._kept)]

    def kill(self) -> None:
        """Without asking."""
        for kept in self._kept:
            if kept.child.process is not None:
                stop(process=kept.child.process, with_signal=Signals.SIGKILL, patience=1)


def _wait_then_kill(process: subprocess.Popen[bytes], deadline: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=max(0.1, deadline - time.monotonic()))
    kill_group(process)


def _ending(code: int) -> str:
    return f"signal {Signals(-code).name}" if code < 0 else f"exit {code}"
