"""Where customers are taken to stand while many events are priced in one go.

What this process saw last is taken for true, and of whom it saw nothing, that they used nothing. The call that records
the events confirms it under their locks, or tells where they stand and records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from customers.kernel.arrays import array_of_words
from metering.engine.pricing import Rate, steady
from metering.services.quotes import GuessKey, Number, Standing, guess_key, standing_guess, standing_remember
from metering.services.usage import UsageInput
from metering.services.usage_decisions import Counter

_EVERYWHERE: Final = (Decimal("-Infinity"), Decimal("Infinity"))


class Tally(msgspec.Struct, kw_only=True):
    """A customer's counter of a metric, and what events of this call add to it."""

    #: As the array spells it.
    place: str
    #: Its place among the customers, spelled alike; known when those are.
    whose: str = ""
    metric: str
    rule: str
    start: Standing
    #: Where it stands after the events so far, and what those added.
    counter: Counter
    units: Number = 0
    charged_mc: int = 0
    #: From where to where it may have started for the prices so far to be the same; None: only where it was taken to.
    bounds: tuple[Decimal, Decimal] | None = _EVERYWHERE

    def add(self, rate: Rate, units: Number, cost_mc: int) -> None:
        """An event of `units`, priced for where the counter stands."""
        self.bounds = self._bounds_with(rate, units)
        self.counter.move(units, cost_mc)
        self.units += units
        self.charged_mc += cost_mc

    def _bounds_with(self, rate: Rate, units: Number) -> tuple[Decimal, Decimal] | None:
        if self.bounds is None:
            return None
        found = steady(rate, units=units, cycle_units=self.counter.units)
        if found is None:
            return None
        return max(self.bounds[0], found[0] - self.units), min(self.bounds[1], found[1] - self.units)


class Standings:
    """Those that the events of one call rest on."""

    def __init__(self, environment_id: UUID) -> None:
        self._environment_id = environment_id
        #: By what was guessed.
        self.tallies: dict[GuessKey, Tally] = {}

    def tally(self, usage: UsageInput, standing: Standing | None, *, metric: UUID, rule: UUID) -> Tally:
        """The counter that prices the event, as the events before it leave it; at first where `standing` says, or else
        where the customer was seen last."""
        key = guess_key(self._environment_id, usage)
        tally = self.tallies.get(key)
        if tally is None:
            start = standing or standing_guess(key)
            tally = self.tallies[key] = Tally(
                place=str(len(self.tallies) + 1),
                metric=metric.hex,
                rule=rule.hex,
                start=start,
                counter=Counter(rule, start.cycle_units, start.cycle_charged_mc),
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
            "counter_from": array_of_words([_bound(tally, 0) for tally in tallies]),
            "counter_to": array_of_words([_bound(tally, 1) for tally in tallies]),
            "counter_adds": array_of_words([str(tally.units) for tally in tallies]),
            "counter_costs": array_of_words([str(tally.charged_mc) for tally in tallies]),
        }

    def remember(
        self, units: Sequence[Decimal | None], charged: Sequence[int | None], *, moved: bool
    ) -> None:
        """Where the counters stand, told where they stood before these events, and whether those moved them."""
        for (key, tally), stood, charged_mc in zip(self.tallies.items(), units, charged, strict=True):
            if stood is None or charged_mc is None:
                continue
            start = tally.start
            standing_remember(
                key,
                Standing(
                    customer_id=start.customer_id,
                    plan_variant_id=start.plan_variant_id,
                    cycle_units=_plain(stood) + (tally.units if moved else 0),
                    cycle_charged_mc=charged_mc + (tally.charged_mc if moved else 0),
                ),
            )


def _bound(tally: Tally, end: int) -> str:
    return "NULL" if tally.bounds is None else str(tally.bounds[end])


def _plain(units: Decimal) -> Number:
    """Prices are found faster for whole numbers."""
    whole = int(units)
    return whole if whole == units else units
