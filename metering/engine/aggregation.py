"""How a period's events become one quantity: the seven aggregations, written plainly.

What is asked of the database is computed there (metering/rollups/20_read.sql); this says what it must come to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from metering.engine.exact import scaled, total
from metering.engine.rates import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An event as aggregations see it; of two at one instant the one with the larger id was received last."""

    id: UUID
    units: Decimal
    occurred_at: datetime
    #: What the metric's `aggregation_property` holds, if it has one.
    property: object = None


def aggregate(aggregation: str, events: Sequence[Measured], *, percentile: Decimal | None = None) -> Decimal:
    """The quantity of a period; 0 when it has no events."""
    if not events:
        return Decimal(0)
    if aggregation == "percentile":
        return nearest_rank([event.units for event in events], percentile=percentile or Decimal(0))
    return _AGGREGATIONS[aggregation](events)


def nearest_rank(values: Sequence[Decimal], *, percentile: Decimal) -> Decimal:
    """The smallest value that at least `percentile` of a hundred of all are no larger than."""
    ordered = sorted(values)
    rank = -(-scaled(percentile) * len(ordered) // scaled(100))
    return ordered[max(rank, 1) - 1]


def _last(events: Sequence[Measured]) -> Decimal:
    return max(events, key=lambda event: (event.occurred_at, event.id.int)).units


def _unique(events: Sequence[Measured]) -> Decimal:
    values = {text_of(event.property) for event in events}
    return Decimal(len(values - {None}))


_AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[Measured]], Decimal]]] = {
    "sum": lambda events: total(event.units for event in events),
    "count": lambda events: Decimal(len(events)),
    "max": lambda events: max(event.units for event in events),
    "min": lambda events: min(event.units for event in events),
    "last": _last,
    "unique_count": _unique,
}
