"""Processes that stand ready: they are told a line and answer with one of JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.instance import module
from config.local.paths import REPOSITORY


class Standby:
    """`python -m name arguments`, gone when the block is left."""

    def __init__(self, name: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            module(name, *arguments),
            cwd=REPOSITORY,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ask(self, line: object) -> Any:
        if self._process.stdin is None:
            raise RuntimeError("the process has no input")
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self.heard()

    def heard(self) -> Any:
        """What it says next."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the process ended")
        return json.loads(line)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
