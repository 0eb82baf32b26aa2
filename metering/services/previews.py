"""What usage would cost by prices that are not in force. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from metering.engine.pricing import Breakdown, breakdown, definition_parse
from metering.errors import NoRateForProperty


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedEvent:
    """A hypothetical event, with its units and where the cycle stood before it."""

    units: Decimal
    cycle_units: Decimal
    breakdown: Breakdown


def price_preview(
    *,
    definition: Mapping[str, Any],
    units: Sequence[Decimal],
    cycle_units: Decimal = Decimal(0),
    charged_mc: int = 0,
    properties: Mapping[str, object] | None = None,
) -> list[PricedEvent]:
    """Successive events of one cycle, priced by a draft rule."""
    found = definition_parse(definition).rate_of(properties)
    if found is None:
        raise NoRateForProperty
    rate, _value = found
    events: list[PricedEvent] = []
    for one in units:
        priced = breakdown(rate, units=one, cycle_units=cycle_units, charged_mc=charged_mc)
        events.append(PricedEvent(units=one, cycle_units=cycle_units, breakdown=priced))
        cycle_units, charged_mc = cycle_units + one, charged_mc + priced.cost_mc
    return events
