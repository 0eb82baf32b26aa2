"""Periods rated: their usage measured in one snapshot, then priced by the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from metering.models import BillableMetric
from metering.selectors.windows import Measure, Window, windows_measure
from subscriptions.engine.rating import Key, Rate, Stretch, stretch_rate
from subscriptions.selectors.billables import Billable


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """What a stretch comes to, line by line; measures and metrics by the key of the line."""

    rates: Sequence[Rate]
    measures: Mapping[Key, Measure]
    metrics: Mapping[str, BillableMetric]
    snapshot: str

    def metric_of(self, rate: Rate) -> BillableMetric | None:
        charge = rate.due.charge
        return None if charge is None or charge.metric_key is None else self.metrics[charge.metric_key]

    def details(self, rate: Rate) -> dict[str, Any]:
        """What an explanation shows."""
        details: dict[str, Any] = {"charge": rate.due.charge.to_json() if rate.due.charge else None}
        details |= {"breakdown": list(rate.breakdown), **rate.details}
        measure, metric = self.measures.get(rate.due.key), self.metric_of(rate)
        if measure is None or metric is None:
            return details
        counted = {"events": measure.events, "late_events": measure.late_events}
        return {**details, "aggregation": _aggregation(metric), **counted}


def billables_rate(
    *, environment_id: UUID, customer_id: UUID, found: Sequence[Billable]
) -> list[tuple[Billable, Rated]]:
    """Each with what it comes to, all in one snapshot. Raises AmountTooLarge."""
    rated = stretches_rate(
        environment_id=environment_id, customer_id=customer_id, stretches=[each.stretch for each in found]
    )
    return list(zip(found, rated, strict=True))


def stretches_rate(*, environment_id: UUID, customer_id: UUID, stretches: Sequence[Stretch]) -> list[Rated]:
    """The same for periods that need not be anybody's."""
    metrics = _metrics(environment_id, stretches)
    wanted = [
        (
            index,
            due.key,
            Window(metric_id=metrics[due.charge.metric_key].id, begins_at=due.starts_at, ends_at=due.ends_at),
        )
        for index, stretch in enumerate(stretches)
        for due in stretch.dues()
        if due.charge is not None and due.charge.metric_key is not None
    ]
    measures, snapshot = windows_measure(
        environment_id=environment_id, customer_id=customer_id, windows=[window for _, _, window in wanted]
    )
    by_stretch: list[dict[Key, Measure]] = [{} for _ in stretches]
    for (index, key, _), measure in zip(wanted, measures, strict=True):
        by_stretch[index][key] = measure
    return [
        Rated(
            rates=stretch_rate(stretch, {key: each.quantity for key, each in found.items()}),
            measures=found,
            metrics=metrics,
            snapshot=snapshot,
        )
        for stretch, found in zip(stretches, by_stretch, strict=True)
    ]


def _metrics(environment_id: UUID, stretches: Iterable[Stretch]) -> dict[str, BillableMetric]:
    keys = {
        charge.metric_key
        for stretch in stretches
        for part in stretch.parts
        for charge in part.charges
        if charge.metric_key is not None
    }
    rows = BillableMetric.objects.filter(environment_id=environment_id, key__in=keys)
    return {metric.key: metric for metric in rows}


def _aggregation(metric: BillableMetric) -> str:
    if metric.aggregation == "unique_count":
        return f"unique_count({metric.aggregation_property})"
    if metric.percentile is not None:
        return f"percentile({metric.percentile.normalize():f})"
    return str(metric.aggregation)
