"""Adding events up by the hour, some seconds behind: each event once, whoever else does the same at the time."""

from __future__ import annotations

from typing import Final

from customers.kernel.database import call_function, call_one

#: How many transactions are looked at in one go, and between how many events that may be.
_TRANSACTIONS: Final = 20_000
_TRANSACTIONS_MAX: Final = 10**9
_EVENTS_FEW: Final = 10_000
_EVENTS_MANY: Final = 200_000


def usage_roll() -> int:
    """Add up what was stored since the last time; how many events. Each step is a transaction of its own."""
    added, transactions = 0, _TRANSACTIONS
    while True:
        step = call_function("metering_usage_roll_v1", transactions=transactions)
        added += step.events or 0
        # Nothing is left, or somebody else is at it.
        if not step.behind:
            return added
        transactions = _next_step(transactions, step.events)


def usage_rebuild() -> int:
    """Add up all events anew: after a backup was restored, while nothing writes. Returns how many there are."""
    # The database notes by its own clock when an event was stored: by ours, those of the difference would be missed.
    row = call_one("SELECT metering_usage_rebuild_v1(p_now => statement_timestamp())", [])
    return int(row[0]) if row else 0


def _next_step(transactions: int, events: int) -> int:
    """Most transactions store no event, others a thousand: keep a step's work within bounds."""
    if events > _EVENTS_MANY:
        return max(transactions // 4, 1)
    return min(transactions * 4, _TRANSACTIONS_MAX) if events < _EVENTS_FEW else transactions
