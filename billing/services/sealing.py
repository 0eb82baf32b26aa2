"""Seals what the ledger has written since the last time (docs/decisions/sealing-the-ledger.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from customers.kernel.database import call_function
from customers.models import Environment

#: One transaction seals at most this many entries, and takes about a second.
_ENTRIES_OF_A_SEAL: Final = 50_000


def ledger_seal(*, environment_id: UUID, now: datetime) -> int:
    """Seal all finished entries of an environment that are not sealed yet; returns how many that were."""
    sealed = 0
    while count := _seal(environment_id, now):
        sealed += count
    return sealed


def ledgers_seal(*, now: datetime) -> int:
    """Seal every environment's ledger."""
    environments = Environment.objects.order_by("id").values_list("id", flat=True)
    return sum(ledger_seal(environment_id=environment_id, now=now) for environment_id in list(environments))


def _seal(environment_id: UUID, now: datetime) -> int:
    answer = call_function(
        "billing_ledger_seal_v1", environment=environment_id, most=_ENTRIES_OF_A_SEAL, now=now
    )
    return int(answer.billing_ledger_seal_v1)
