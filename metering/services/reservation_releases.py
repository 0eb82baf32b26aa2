"""Give back what a reservation holds, by hand: the work behind it is dead, and nobody will say so."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.errors import ReservationNotFound
from billing.models import Hold
from customers.kernel.caller import Caller
from customers.models import Environment
from customers.services.audit import audit_record
from metering.services.reservations import Reserved, reservation_release


@transaction.atomic
def reservation_release_by_hand(
    *, caller: Caller, reservation_id: UUID, reason: str, key: str, now: datetime
) -> Reserved:
    """Release it, with the reason on the record. Raises ReservationNotFound, ReservationEnded, ReservationExpired."""
    hold = Hold.objects.filter(id=reservation_id, environment_id=caller.environment_id).first()
    if hold is None:
        raise ReservationNotFound
    version = Environment.objects.values_list("config_version", flat=True).get(id=caller.environment_id)
    released = reservation_release(
        caller=caller, config_version=version, reservation_id=reservation_id, key=key, now=now
    )
    audit_record(
        caller=caller,
        action="reservation.released",
        object_type="reservation",
        object_id=hold.public_id,
        customer_id=hold.account_id,
        reason=reason,
        now=now,
    )
    return released
