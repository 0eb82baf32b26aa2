"""What processes remember of an environment's configuration (keys, metrics, rules, the clock), and when it is old.

Every change of configuration raises the environment's `config_version`. Hot calls carry the version they know into the
database; when it moved, the function answers "stale", the caller raises `ConfigMoved`, and the edge forgets what this
process knew and tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

_callbacks: list[Callable[[UUID], None]] = []


class ConfigMoved(Exception):
    """The database knows a newer configuration of this environment than the caller."""


def on_config_change(callback: Callable[[UUID], None]) -> Callable[[UUID], None]:
    """Register who forgets what it knows of an environment; also usable as a decorator."""
    _callbacks.append(callback)
    return callback


def forget_environment(environment_id: UUID) -> None:
    """This process's memory of the environment is old: drop it everywhere."""
    for callback in _callbacks:
        callback(environment_id)
