"""Why an entry is there: each kind of cause explains itself, in sections that its app registers here.

explainer_register("event", explain_event)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from django.http import HttpRequest

from billing.models import LedgerEntry
from customers.admin.records import Section

Explainer = Callable[[HttpRequest, LedgerEntry], list[Section]]
#: Names many causes at once, by their ids.
Describer = Callable[[Iterable[UUID]], Mapping[UUID, str]]

_explainers: Final[dict[str, Explainer]] = {}
_describers: Final[dict[str, Describer]] = {}


def explainer_register(source_type: str, explainer: Explainer) -> None:
    _explainers[source_type] = explainer


def explained(request: HttpRequest, entry: LedgerEntry) -> list[Section]:
    """The sections about what caused the entry; none for a cause that needs no words."""
    explainer = _explainers.get(entry.source_type)
    return explainer(request, entry) if explainer else []


def describer_register(source_type: str, describer: Describer) -> None:
    _describers[source_type] = describer


def causes_described(entries: Iterable[LedgerEntry]) -> Mapping[UUID, str]:
    """What caused each of these entries, in a few words, as far as its app has any: `5 x chat_message`."""
    by_type: dict[str, list[UUID]] = {}
    for entry in entries:
        by_type.setdefault(entry.source_type, []).append(entry.source_id)
    found: dict[UUID, str] = {}
    for source_type, ids in by_type.items():
        if source_type in _describers:
            found.update(_describers[source_type](ids))
    return found
