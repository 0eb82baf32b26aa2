"""Why an entry is there: each kind of cause explains itself, in sections that its app registers here.

explainer_register("event", explain_event)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest

from billing.models import LedgerEntry
from customers.admin.records import Section

Explainer = Callable[[HttpRequest, LedgerEntry], list[Section]]

_explainers: Final[dict[str, Explainer]] = {}


def explainer_register(source_type: str, explainer: Explainer) -> None:
    _explainers[source_type] = explainer


def explained(request: HttpRequest, entry: LedgerEntry) -> list[Section]:
    """The sections about what caused the entry; none for a cause that needs no words."""
    explainer = _explainers.get(entry.source_type)
    return explainer(request, entry) if explainer else []
