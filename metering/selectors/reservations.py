"""Reservations as they stand, whether or not a sweep has ended those whose time ran out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When

from billing.models import HoldState
from metering.models import Reservation, ReservationStep, StepKind, UsageEvent

#: A hold counts, and can be committed, this long after its end: billing_hold_grace() in the kernel.
GRACE: Final = timedelta(seconds=5)


def reservations_of(*, customer_id: UUID, now: datetime) -> QuerySet[Reservation]:
    """A customer's reservations, each with its state at `now` and the event that its commit wrote."""
    commits = ReservationStep.objects.filter(reservation=OuterRef("pk"), kind=StepKind.COMMIT)
    events = UsageEvent.objects.filter(id=OuterRef("event_id"))
    return (
        Reservation.objects.filter(customer_id=customer_id)
        .select_related("hold", "metric")
        .annotate(state=Case(When(_lapsed(now), then=Value(HoldState.EXPIRED)), default=F("hold__state")))
        .annotate(event_id=Subquery(commits.values("event_id")[:1]))
        .annotate(
            actual_units=Subquery(events.values("units")[:1]),
            entry_id=Subquery(events.values("ledger_entry_id")[:1]),
        )
    )


def reservations_standing(
    reservations: QuerySet[Reservation], *, state: str, now: datetime
) -> QuerySet[Reservation]:
    """Those that are in this state at `now`."""
    if state == HoldState.EXPIRED:
        return reservations.filter(Q(hold__state=state) | _lapsed(now))
    return reservations.filter(Q(hold__state=state) & ~_lapsed(now))


def _lapsed(now: datetime) -> Q:
    return Q(hold__state=HoldState.ACTIVE, hold__expires_at__lte=now - GRACE)
