"""The seam to who needs past events: higher apps say why a partition cannot be archived yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Told the partition's table; answers in a sentence, or with None. Called as the owner, who sees all environments.
EventNeed = Callable[[str], str | None]

_who_knows: Final[list[EventNeed]] = []


def event_need_register(need: EventNeed) -> None:
    _who_knows.append(need)


def event_needs(table: str) -> list[str]:
    """Why the events of this table are still needed."""
    return [why for need in _who_knows if (why := need(table)) is not None]
