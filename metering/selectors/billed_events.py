"""Which events a line of an invoice counts, and which lines count an event.

An event belongs to the first live line of a series whose snapshot sees the event's transaction. Nothing is stored per
event: the snapshots of the lines say it (docs/decisions/price-plans.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import BooleanField, CharField, QuerySet
from django.db.models.expressions import RawSQL

from billing.models import InvoiceLine
from metering.models import UsageEvent

#: An event's timestamp is at most so far ahead of its receipt.
_AHEAD: Final = timedelta(minutes=5)
_SEEN: Final = "pg_visible_in_snapshot(metering_usage_event.recorded_xid::text::xid8, %s::pg_snapshot)"
_VOID_SEEN: Final = (
    "EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = metering_usage_event.id "
    "AND pg_visible_in_snapshot(v.recorded_xid::text::xid8, %s::pg_snapshot))"
)
_COUNTED_BEFORE: Final = f"({_SEEN} AND metering_usage_event.occurred_at < %s AND NOT {_VOID_SEEN})"
#: What a line did with an event that it, or the line before it, counted.
_EFFECT: Final = f"""CASE
  WHEN NOT {_SEEN} THEN 'not_seen'
  WHEN {_VOID_SEEN} THEN CASE WHEN {_COUNTED_BEFORE} THEN 'taken_back' ELSE 'not_counted' END
  WHEN {_COUNTED_BEFORE} THEN 'counted_before' ELSE 'counted' END"""
_FIRST_EFFECT: Final = f"CASE WHEN {_SEEN} AND NOT {_VOID_SEEN} THEN 'counted' ELSE 'not_counted' END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """The lines that count an event, one of each series; `is_late`: it came when its period had been billed."""

    lines: list[InvoiceLine]
    is_late: bool


def line_events(line: InvoiceLine, *, among: QuerySet[UsageEvent] | None = None) -> QuerySet[UsageEvent]:
    """The events by which the line differs from the one before it: `effect` is `counted` or `taken_back` (voided)."""
    events = (UsageEvent.objects.all() if among is None else among).filter(
        customer_id=line.invoice.customer_id,
        metric__key=line.metric_key,
        received_at__gte=line.period_start - _AHEAD,
        occurred_at__gte=line.period_start,
        occurred_at__lt=line.period_end,
    )
    events = events.select_related("metric", "customer", "void")
    return events.annotate(effect=_effect(line)).filter(effect__in=("counted", "taken_back"))


def lines_of_event(event: UsageEvent) -> Billing:
    """Where an event is billed."""
    covering = InvoiceLine.objects.filter(
        invoice__customer_id=event.customer_id,
        metric_key=event.metric.key,
        kind="usage",
        is_live=True,
        period_start__lte=event.occurred_at,
        period_end__gt=event.occurred_at,
    )
    counts = _visible(event.recorded_xid)
    void = getattr(event, "void", None)
    lines = covering.select_related("invoice").annotate(counts=counts).order_by("id")
    if void is not None:
        lines = lines.annotate(knows_void=_visible(void.recorded_xid))
    first: dict[UUID, InvoiceLine] = {}
    for line in lines:
        if vars(line)["counts"] and not vars(line).get("knows_void"):
            first.setdefault(line.series, line)
    return Billing(lines=list(first.values()), is_late=any(not vars(line)["counts"] for line in lines))


def _visible(transaction: int) -> RawSQL:
    return RawSQL(
        "pg_visible_in_snapshot(%s::text::xid8, billing_invoice_line.snapshot::pg_snapshot)",
        [str(transaction)],
        output_field=BooleanField(),
    )


def _effect(line: InvoiceLine) -> RawSQL:
    before, now = line.previous, line.snapshot
    if before is None:
        return RawSQL(_FIRST_EFFECT, [now, now], output_field=CharField())  # noqa: S611 - as above
    was = [before.snapshot, before.period_end, before.snapshot]
    return RawSQL(_EFFECT, [now, now, *was, *was], output_field=CharField())  # noqa: S611 - as above
