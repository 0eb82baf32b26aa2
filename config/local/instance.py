"""How programs outside the supervisor find the running instance: `$PURSER_HOME/instance.env`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from config.local.paths import Home, home_folder, is_running, write_private


def instance_load() -> bool:
    """Puts what the instance says into the environment, where that does not say it already."""
    path = home_folder() / "instance.env"
    if "DATABASE_URL" in os.environ or not os.access(path, os.R_OK):
        return False
    for name, value in env_read(path).items():
        os.environ.setdefault(name, value)
    return True


def instance_is_running() -> bool:
    return is_running(Home(root=home_folder()))


def env_read(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name] = "".join(shlex.split(value))
    return found


def env_write(path: Path, values: Mapping[str, str]) -> None:
    """A file that a shell can `source` too."""
    write_private(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))
