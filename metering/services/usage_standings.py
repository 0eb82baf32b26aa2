"""Where customers are taken to stand while many events are priced in one go.

What this process saw last is taken for true, and of whom it saw nothing, that they used nothing. The call that records
the events confirms it under their locks, or tells where they stand and records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from customers.kernel.arrays import array_of_words
from metering.engine.pricing import Rate, steady
from metering.services.quotes import GuessKey, Number, Standing, standing_known, standing_remember
from metering.services.usage import UsageInput
from metering.services.usage_decisions import Counter


class Tally(msgspec.Struct, kw_only=True):
    """A customer's counter of a metric, and what events of this call add to it."""

    #: As the array spells it.
    place: str
    #: Its place among the customers, spelled alike; known when those are.
    whose: str = ""
    metric: str
    rule: str
    start: Standing
    counter: Counter
    lowest: Decimal | None = None
    highest: Decimal | None = None
    #: Whether prices hold from `lowest` to `highest`, or only where the customer was taken to stand.
    is_steady: bool = True

    @property
    def added(self) -> Number:
        return self.counter.units - self.start.cycle_units

    @property
    def added_mc(self) -> int:
        return self.counter.charged_mc - self.start.cycle_charged_mc

    def narrow(self, rate: Rate, units: Number) -> None:
        """The start from which the event's price, and that of those before it, would be the same."""
        bounds = steady(rate, units=units, cycle_units=self.counter.units) if self.is_steady else None
        if bounds is None:
            self.is_steady, self.lowest, self.highest = False, None, None
            return
        lowest, highest = (bound - self.added for bound in bounds)
        self.lowest = lowest if self.lowest is None else max(self.lowest, lowest)
        self.highest = highest if self.highest is None else min(self.highest, highest)


class Standings:
    """Those that the events of one call rest on."""

    def __init__(self, environment_id: UUID) -> None:
        self._environment_id = environment_id
        #: By what was guessed.
        self.tallies: dict[GuessKey, Tally] = {}

    def key(self, usage: UsageInput) -> GuessKey:
        return (self._environment_id, usage.by, usage.reference, usage.metric_key)

    def of(self, usage: UsageInput) -> Standing | None:
        """Where who uses it was seen last; None when they were not."""
        return standing_known(self.key(usage))

    def tally(self, usage: UsageInput, standing: Standing, *, metric: UUID, rule: UUID) -> Tally:
        """The counter that prices the event, as the events before it leave it."""
        key = self.key(usage)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally(
                place=str(len(self.tallies) + 1),
                metric=metric.hex,
                rule=rule.hex,
                start=standing,
                counter=Counter(rule, standing.cycle_units, standing.cycle_charged_mc),
            )
        return tally

    def arguments(self) -> dict[str, str]:
        """The counters, as metering_usage_many_v1 asks for them."""
        tallies = self.tallies.values()
        return {
            "counter_whose": array_of_words([tally.whose for tally in tallies]),
            "counter_metrics": array_of_words([tally.metric for tally in tallies]),
            "counter_rules": array_of_words([tally.rule for tally in tallies]),
            "counter_units": array_of_words([str(tally.start.cycle_units) for tally in tallies]),
            "counter_charged": array_of_words([str(tally.start.cycle_charged_mc) for tally in tallies]),
            "counter_from": array_of_words([_bound(tally.lowest) for tally in tallies]),
            "counter_to": array_of_words([_bound(tally.highest) for tally in tallies]),
            "counter_adds": array_of_words([str(tally.added) for tally in tallies]),
            "counter_costs": array_of_words([str(tally.added_mc) for tally in tallies]),
        }

    def remember(self, units: Sequence[Any], charged: Sequence[int], *, moved: bool) -> None:
        """Where the counters stand, told where they stood before these events, and whether those moved them."""
        for (key, tally), stood, charged_mc in zip(self.tallies.items(), units, charged, strict=True):
            start = tally.start
            standing_remember(
                key,
                Standing(
                    customer_id=start.customer_id,
                    plan_variant_id=start.plan_variant_id,
                    cycle_units=stood + tally.added if moved else stood,
                    cycle_charged_mc=charged_mc + tally.added_mc if moved else charged_mc,
                ),
            )


def _bound(value: Decimal | None) -> str:
    return "NULL" if value is None else str(value)
