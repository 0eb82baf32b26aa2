"""What metering tells the world. Its events are emitted by the database, in the call that causes them."""

from __future__ import annotations

from typing import Any, Final

from customers.events import event_type

_ID: Final = "01k7x3s9c5ef6v8b2n4m6q8r0t"


def _example(*, balance: int, reserved: int, **facts: Any) -> dict[str, Any]:
    return {
        "reservation_id": f"res_{_ID}",
        "billable_metric_key": "gpu_second",
        **facts,
        "balance": balance,
        "reserved_balance": reserved,
        "effective_balance": balance - reserved,
    }


event_type(
    "reservation.created",
    "Credits were set aside for usage that is under way.",
    _example(
        estimated_units=100,
        reserved_amount=5000,
        expires_at="2026-04-03T09:06:00Z",
        balance=99000,
        reserved=5000,
    ),
)
event_type(
    "reservation.committed",
    "A reservation's usage was debited, at the price pinned when it was made; what was left over went back.",
    _example(
        event_id=f"evt_{_ID}",
        actual_units=80,
        amount=4000,
        reserved_amount=5000,
        released_amount=1000,
        balance=95000,
        reserved=0,
    ),
)
event_type(
    "reservation.released",
    "A reservation was given up; its credits went back.",
    _example(reserved_amount=5000, balance=99000, reserved=0),
)
