"""Who is told that a customer, or an environment's configuration, changes: before the change is committed, and after.

Usually nobody is, and then all this costs a look at an empty list. The writing functions of the database are watched
where they are called (`call_table`); what Python writes by itself says so here, in its transaction:

    customer_changed(environment_id, customer_id)
    config_changed(environment_id)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import transaction

Rows = list[Any]


class Watcher(Protocol):
    def changing(self, environment_id: UUID, customer_ids: Collection[UUID] | None) -> None:
        """These customers (None: the configuration) are about to change. Must not raise."""

    def changed(self, environment_id: UUID, customer_ids: Collection[UUID] | None) -> None:
        """They have changed, and nobody has been told so yet. Must not raise."""

    def around(self, name: str, arguments: Mapping[str, Any], call: Callable[[], Rows]) -> Rows:
        """Call a function of the database; what it changes is the watcher's to find out."""


_watchers: Final[list[Watcher]] = []


def watch(watcher: Watcher) -> None:
    _watchers.append(watcher)


def unwatch(watcher: Watcher) -> None:
    _watchers.remove(watcher)


def customer_changed(environment_id: UUID, *customer_ids: UUID) -> None:
    """In the transaction that changes them: their policy, ids, suspension, cycle, credits."""
    if customer_ids:
        _changed(environment_id, customer_ids)


def config_changed(environment_id: UUID) -> None:
    """In the transaction that changes metrics, rules, the clock."""
    _changed(environment_id, None)


def _changed(environment_id: UUID, customer_ids: Collection[UUID] | None) -> None:
    for watcher in _watchers:
        watcher.changing(environment_id, customer_ids)
        transaction.on_commit(partial(watcher.changed, environment_id, customer_ids))


def called(name: str, arguments: Mapping[str, Any], call: Callable[[], Rows]) -> Rows:
    """A function's rows, with whoever watches around the call."""
    for watcher in _watchers:
        call = partial(watcher.around, name, arguments, call)
    return call()


def is_watched() -> bool:
    return bool(_watchers)
