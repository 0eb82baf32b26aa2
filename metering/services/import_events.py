"""Rows that are usage events, of any age: recorded, and debited where their metric has a rule, as `/v1/events` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from customers.errors import DomainError, Unavailable
from customers.kernel.amounts import credits_spelled
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid
from customers.kernel.memory import ConfigMoved, forget_environment
from customers.models import RowOutcome
from customers.services.import_cells import (
    read_decimal,
    read_instant,
    read_key,
    read_object,
    read_text,
)
from customers.services.import_kinds import (
    CUSTOMER_FIELDS,
    Effect,
    ImportField,
    ImportKind,
    Reversed,
    RowWish,
    customer_reference,
    key_of_row,
    not_storable,
)
from metering.models import ArchivedHour, UsageEvent
from metering.services.event_voids import event_void
from metering.services.usage import Outcome, UsageInput, UsageRecorded, UsageWish
from metering.services.usage_batch import usages_record

_TURNS: Final = 3


def _bring(caller: Caller, wishes: Sequence[RowWish], now: datetime) -> list[Effect | DomainError]:
    """A page is one batch: its accounts are locked once, in order, and its events decided in the order of the file."""
    inputs = [_input(wish) for wish in wishes]
    asked = [UsageWish(caller=caller, usage=each) for each in inputs if isinstance(each, UsageInput)]
    outcomes = iter(_recorded(caller.environment_id, asked, now))
    return [_effect(next(outcomes)) if isinstance(each, UsageInput) else each for each in inputs]


def _recorded(environment_id: UUID, wishes: Sequence[UsageWish], now: datetime) -> list[Outcome]:
    for _ in range(_TURNS):
        try:
            outcomes = usages_record(environment_id=environment_id, wishes=wishes, now=now)
        except ConfigMoved:
            forget_environment(environment_id)
            continue
        _require_decided(outcomes)
        return outcomes
    raise Unavailable("The configuration keeps changing.", retry_after_seconds=1)


def _require_decided(outcomes: Sequence[Outcome]) -> None:
    """What something passing stood in the way of is no refusal of the row: the page is not kept."""
    for outcome in outcomes:
        if isinstance(outcome, Unavailable):
            raise outcome


def _input(wish: RowWish) -> UsageInput | DomainError:
    values = wish.values
    try:
        by, reference = customer_reference(values)
    except DomainError as refusal:
        return refusal
    return UsageInput(
        by=by,
        reference=reference,
        metric_key=values["metric_key"],
        units=values["value"],
        key=values.get("idempotency_key", wish.key),
        timestamp=values.get("timestamp"),
        properties=values.get("properties"),
        metadata=values.get("metadata"),
        needs_rule=False,
        may_create=False,
    )


def _effect(outcome: Outcome) -> Effect | DomainError:
    if isinstance(outcome, UsageRecorded):
        return Effect(
            outcome=RowOutcome.UNCHANGED if outcome.duplicate else RowOutcome.MADE,
            object_type="event",
            object_id=outcome.event_id,
            label=typeid("evt", outcome.event_id),
            details={"cost": 0 if outcome.duplicate else outcome.cost_mc},
        )
    return outcome if isinstance(outcome, DomainError) else not_storable()


def _take_back(caller: Caller, effect: Effect, reason: str, now: datetime) -> Reversed:
    void = event_void(caller=caller, event_id=effect.object_id, reason=reason, now=now)
    if void.refunded_mc == effect.details["cost"]:
        return Reversed()
    return Reversed(
        note=f"{credits_spelled(void.refunded_mc)} credits came back; the rest was refunded before."
    )


def customer_has_usage(customer_id: UUID) -> str | None:
    """Why a customer cannot be taken back, as far as usage goes."""
    counted = UsageEvent.objects.filter(customer_id=customer_id, void__isnull=True)
    archived = ArchivedHour.objects.filter(customer_id=customer_id)
    return "The customer has usage." if counted.exists() or archived.exists() else None


EVENTS: Final = ImportKind(
    name="events",
    title="Usage events",
    intro="A row is one event of a customer who is there, with the time at which it happened.",
    resource="usage",
    fields=(
        *CUSTOMER_FIELDS,
        ImportField(
            name="metric_key",
            label="Metric",
            read=read_text,
            aliases=("billable_metric_key", "metric", "event_type", "event_name", "code"),
        ),
        ImportField(
            name="value", label="Value", read=read_decimal, aliases=("units", "quantity", "amount", "count")
        ),
        ImportField(
            name="timestamp",
            label="Happened",
            read=read_instant,
            aliases=("occurred_at", "time", "date", "created_at", "event_time"),
            hint="2026-04-03T09:01:00Z; empty: now.",
        ),
        ImportField(
            name="idempotency_key",
            label="Idempotency key",
            read=read_key,
            aliases=("key", "event_id", "transaction_id"),
            hint="Once for ever: an event under a known key is not recorded again.",
        ),
        ImportField(
            name="properties",
            label="Properties",
            read=read_object,
            aliases=("dimensions",),
            hint="A JSON object.",
        ),
        ImportField(name="metadata", label="Metadata", read=read_object, hint="A JSON object."),
    ),
    needs=(("external_customer_id", "customer_id"), ("metric_key",), ("value",)),
    bring=_bring,
    take_back=_take_back,
    identity=key_of_row,
    page=500,
    amount=("cost", "credits debited"),
    reversal="Each event is voided: it stays and says so, what it cost comes back, and nothing counts it any more.",
)
