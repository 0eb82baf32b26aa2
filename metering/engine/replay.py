"""A customer's past usage of one metric, priced again: what was charged, and what a draft would have charged.

Both walk through the events in the order in which they were received, each with counters of its own that begin anew
with each cycle, exactly as usage itself is priced.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from metering.engine.pricing import Pricing, cost
from metering.engine.rates import dimension_value

#: Two starts of cycles further apart have another between them that nobody told us of.
_CYCLE_MAX: Final = timedelta(days=367)
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event as it was charged. `rule` None: it was only metered, and cost nothing.

    `cycle_units` and `cycle_charged_mc` are where it was priced from, when its price depended on that. `is_replayed`:
    the draft would have priced it; otherwise it counts as it was charged.
    """

    units: Decimal
    cost_mc: int
    received_at: datetime
    rule: Pricing | None
    properties: Mapping[str, Any] | None
    cycle_units: Decimal | None = None
    cycle_charged_mc: int | None = None
    is_replayed: bool = True


@dataclass(slots=True)
class Tally:
    """What the events of a time came to. `unpriced`: the draft has no rate for them."""

    events: int = 0
    before_mc: int = 0
    after_mc: int = 0
    kept: int = 0
    unpriced: int = 0
    #: Events whose own rule does not come to what they were charged.
    mismatched: int = 0

    def add(self, other: Tally) -> None:
        self.events += other.events
        self.before_mc += other.before_mc
        self.after_mc += other.after_mc
        self.kept += other.kept
        self.unpriced += other.unpriced
        self.mismatched += other.mismatched


class Cycles:
    """When a customer's cycles began: the known ones, and calendar months (UTC) where none is known."""

    def __init__(self, starts: Iterable[datetime], current: tuple[datetime, datetime] | None) -> None:
        self._current = current
        self._starts = sorted(set(starts) | ({current[0]} if current else set()))

    def start_of(self, instant: datetime) -> datetime:
        if self._current and self._current[0] <= instant < self._current[1]:
            return self._current[0]
        month = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        index = bisect_right(self._starts, instant)
        if index == 0:
            return month
        start = self._starts[index - 1]
        if start >= month:
            return start
        follows = index < len(self._starts) and self._starts[index] - start <= _CYCLE_MAX
        return start if follows and not _begins_a_month(start) else month


def _begins_a_month(instant: datetime) -> bool:
    return instant.astimezone(UTC) == instant.astimezone(UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )


@dataclass(slots=True)
class _Meter:
    """Where the customer stands in the cycle, in all and by each property that a rule goes by."""

    dimensions: frozenset[str]
    standing: dict[_Key, tuple[Decimal, int]] = field(default_factory=dict)

    def of(self, dimension: str, value: str) -> tuple[Decimal, int]:
        return self.standing.get((dimension, value), (Decimal(0), 0))

    def add(self, event: PastEvent, charged_mc: int) -> None:
        self._raise(("", ""), event.units, charged_mc)
        for dimension in self.dimensions:
            value = dimension_value((event.properties or {}).get(dimension))
            self._raise((dimension, value), event.units, charged_mc)

    def _raise(self, key: _Key, units: Decimal, charged_mc: int) -> None:
        before, charged = self.standing.get(key, (Decimal(0), 0))
        self.standing[key] = (before + units, charged + charged_mc)


class Replay:
    """One customer's events of one metric, in the order received; `add` each, then read `tally`."""

    def __init__(
        self, *, draft: Pricing, dimensions: frozenset[str], cycles: Cycles, begin: datetime
    ) -> None:
        self.tally = Tally()
        self._draft = draft
        self._cycles = cycles
        self._begin = begin
        self._cycle: datetime | None = None
        self._dimensions = dimensions
        self._was = _Meter(dimensions)
        self._would = _Meter(dimensions)

    def add(self, event: PastEvent) -> None:
        """Events before the beginning only say where the customer stood at it, as they do for a new rule."""
        self._turn(event)
        if event.received_at < self._begin:
            self._was.add(event, event.cost_mc)
            self._would.add(event, event.cost_mc)
            return
        after_mc = self._after(event)
        self.tally.events += 1
        self.tally.before_mc += event.cost_mc
        self.tally.after_mc += after_mc
        self.tally.mismatched += self._expected(event) != event.cost_mc
        self._was.add(event, event.cost_mc)
        self._would.add(event, after_mc)

    def _turn(self, event: PastEvent) -> None:
        """Counters begin anew with the cycle; and when an event was priced from nothing, its cycle had just begun."""
        start = self._cycles.start_of(event.received_at)
        if start != self._cycle or self._began_unnoticed(event):
            self._cycle = start
            self._was, self._would = _Meter(self._dimensions), _Meter(self._dimensions)

    def _began_unnoticed(self, event: PastEvent) -> bool:
        if event.cycle_units is None or event.rule is None:
            return False
        return event.cycle_units == 0 and self._was.of(*_counted_under(event.rule, event))[0] > 0

    def _expected(self, event: PastEvent) -> int:
        found = event.rule.rate_of(event.properties) if event.rule else None
        if event.rule is None or found is None:
            return 0
        units, charged_mc = self._was.of(*_counted_under(event.rule, event))
        if event.cycle_units is not None and event.cycle_charged_mc is not None:
            units, charged_mc = event.cycle_units, event.cycle_charged_mc
        return cost(found[0], units=event.units, cycle_units=units, charged_mc=charged_mc)

    def _after(self, event: PastEvent) -> int:
        if not event.is_replayed:
            self.tally.kept += 1
            return event.cost_mc
        found = self._draft.rate_of(event.properties)
        if found is None:
            self.tally.unpriced += 1
            return 0
        units, charged_mc = self._would.of(*_counted_under(self._draft, event))
        return cost(found[0], units=event.units, cycle_units=units, charged_mc=charged_mc)


def _counted_under(pricing: Pricing, event: PastEvent) -> _Key:
    dimension = dimension_of(pricing)
    return dimension, dimension_value((event.properties or {}).get(dimension)) if dimension else ""


def dimension_of(pricing: Pricing) -> str:
    """The property a rule's rates go by; empty for a rule with one rate."""
    return getattr(pricing, "dimension", "")
