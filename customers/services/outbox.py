"""Webhook events, written in the transaction of their cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.events import CATALOGUE
from customers.gateways.doorbell import events_ring
from customers.kernel.caller import Caller
from customers.kernel.database import call_one

_EMIT: Final = "SELECT customers_event_emit_v1($1, $2, $3, $4::jsonb, $5)"


def event_emit(
    *,
    caller: Caller,
    event: str,
    customer: UUID | None = None,
    data: Mapping[str, Any],
    now: datetime,
) -> UUID:
    """Record an event of the catalogue and return its id.

    `customer` is the inside id; `data` is JSON-able and stands flat in the payload.
    """
    if event not in CATALOGUE:
        raise ValueError(f"{event!r} is not in the webhook catalogue")
    row = call_one(_EMIT, [caller.environment_id, customer, event, json.dumps(data), now])
    assert row is not None  # noqa: S101 - a function returns one row
    # What the database emits by itself is found by the sweep.
    transaction.on_commit(partial(events_ring, caller.environment_id))
    return UUID(str(row[0]))
