"""What the terminal shows: one line for each step, dots while it takes long."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WIDTH = 24


def say(text: str = "") -> None:
    print(text, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"  {name.ljust(_WIDTH)}", end="", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", flush=True)


class Dots:
    """A dot for each second that passes between calls."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 1

    def tick(self) -> None:
        if time.monotonic() >= self._next:
            self._next += 1
            print(".", end="", flush=True)


def bold(text: str) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else f"\033[1m{text}\033[0m"
