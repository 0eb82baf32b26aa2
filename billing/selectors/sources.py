"""What caused a movement is known to the app that caused it. Higher apps register what they can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    # Apps register while there are no models yet.
    from billing.models import LedgerEntry

#: Members of an explanation, such as `event` and `pricing`.
Explainer = Callable[["LedgerEntry"], dict[str, Any]]
#: The ledger entry that debited a customer for an event, or None.
DebitFinder = Callable[[UUID, UUID], UUID | None]

_explainers: Final[dict[str, Explainer]] = {}
_debit_finders: Final[list[DebitFinder]] = []


def explainer_register(source_type: str, explainer: Explainer) -> None:
    """Have entries of this source explained by `explainer`."""
    _explainers[source_type] = explainer


def debit_finder_register(finder: DebitFinder) -> None:
    """Have `finder(customer_id, event_id)` asked what debited an event."""
    _debit_finders.append(finder)


def source_explained(entry: LedgerEntry) -> dict[str, Any]:
    """What the owner of the entry's cause tells of it; nothing when nobody does."""
    explainer = _explainers.get(entry.source_type)
    return explainer(entry) if explainer else {}


def debit_of_event(*, customer_id: UUID, event_id: UUID) -> UUID | None:
    """The ledger entry that debited this event of the customer."""
    found = (finder(customer_id, event_id) for finder in _debit_finders)
    return next((entry_id for entry_id in found if entry_id), None)
