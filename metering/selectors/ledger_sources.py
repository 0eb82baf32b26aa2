"""What metering tells billing of the movements it caused. Registered in metering/apps.py."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from billing.models import LedgerEntry
from customers.kernel.amounts import units_shown
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text
from metering.engine.pricing import Line
from metering.models import Reservation, ReservationStep, StepKind, UsageEvent
from metering.selectors.event_archives import event_is_archived
from metering.selectors.explanations import event_explain


def event_explained(entry: LedgerEntry) -> dict[str, Any]:
    """A debit by a usage event."""
    return _event_members(entry.source_id)


def reservation_explained(entry: LedgerEntry) -> dict[str, Any]:
    """What a reservation's commit debited, or what a dead block lost when the hold let it go."""
    reservation = Reservation.objects.select_related("hold").filter(pk=entry.source_id).first()
    if reservation is None:
        return {}
    commit = ReservationStep.objects.filter(reservation=reservation, kind=StepKind.COMMIT).first()
    told = {
        "id": reservation.public_id,
        "estimated_units": units_shown(reservation.estimated_units),
        "reserved_amount": reservation.hold.amount_mc,
        "status": reservation.hold.state,
        "idempotency_key": reservation.idempotency_key,
        "created_at": instant_text(reservation.created_at),
    }
    if commit is None or commit.event_id is None or entry.kind != "debit":
        return {"reservation": told}
    return {"reservation": told, **_event_members(commit.event_id)}


def debit_of_usage(customer_id: UUID, event_id: UUID) -> UUID | None:
    """The ledger entry that debited a usage event of this customer."""
    events = UsageEvent.objects.filter(id=event_id, customer_id=customer_id)
    return events.values_list("ledger_entry_id", flat=True).first()


def _event_members(event_id: UUID) -> dict[str, Any]:
    event = UsageEvent.objects.select_related("metric").filter(id=event_id).first()
    if event is None:
        return {"event": {"id": typeid("evt", event_id), "archived": event_is_archived(event_id)}}
    told = {
        "id": event.public_id,
        "billable_metric_key": event.metric.key,
        "units": units_shown(event.units),
        "occurred_at": instant_text(event.occurred_at),
        "received_at": instant_text(event.received_at),
        "idempotency_key": event.idempotency_key,
        "properties": event.properties or {},
        "metadata": event.metadata or {},
    }
    return {"event": told, "pricing": _pricing(event)}


def _pricing(event: UsageEvent) -> dict[str, Any] | None:
    found = event_explain(event)
    if found is None:
        return None
    return {
        "metering_rule_id": typeid("rul", found.rule.id),
        "version": found.rule.version,
        "rule": found.rule.pricing.to_json(),
        **({"dimension_value": found.value} if found.dimension else {}),
        "units": units_shown(event.units),
        "cycle_units_before": None if event.cycle_units is None else units_shown(event.cycle_units),
        "cycle_charged_before": event.cycle_charged_mc,
        "lines": [_line(line) for line in found.breakdown.lines],
        "cost": found.breakdown.cost_mc,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "tier": line.tier,
        "units": None if line.units is None else units_shown(line.units),
        "unit_cost": None if line.unit_cost is None else units_shown(line.unit_cost),
        "amount": units_shown(line.amount),
    }
