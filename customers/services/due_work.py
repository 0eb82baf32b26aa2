"""What time alone will do in an environment, as far as it must be asked for: the sources that a test clock goes by.

Each app registers its own; nothing is imported upward. The order of registration is the order at one instant: a higher
app goes first (settings.INSTALLED_APPS), because what is due to it decides what is left for a lower one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant, and whose it is in words, such as `the credits of user_1`."""

    at: datetime
    what: str


class FindMoment(Protocol):
    def __call__(self, *, environment_id: UUID) -> Moment | None: ...


class DoWork(Protocol):
    def __call__(self, *, environment_id: UUID, at: datetime) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSource:
    """`next_due`: the earliest thing that will be due. `run`: do all that is due by `at`, and say how much that was."""

    name: str
    next_due: FindMoment
    run: DoWork


_sources: Final[list[DueSource]] = []
_facts: Final[list[FindMoment]] = []


def due_work_register(*, name: str, next_due: FindMoment, run: DoWork) -> None:
    """Have a test clock stop wherever `next_due` says, and do there what `run` does."""
    _sources.append(DueSource(name=name, next_due=next_due, run=run))


def latest_fact_register(latest: FindMoment) -> None:
    """Have no clock be set to before the latest thing that happened, or was written down, in an environment."""
    _facts.append(latest)


def due_sources() -> tuple[DueSource, ...]:
    return tuple(_sources)


def due_moments(*, environment_id: UUID) -> Iterator[tuple[DueSource, Moment]]:
    """What is due next, source by source, in their order."""
    for source in _sources:
        moment = source.next_due(environment_id=environment_id)
        if moment is not None:
            yield source, moment


def latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last thing that happened in the environment, by its own clock."""
    found = [fact for latest in _facts if (fact := latest(environment_id=environment_id)) is not None]
    return max(found, key=lambda fact: fact.at, default=None)
