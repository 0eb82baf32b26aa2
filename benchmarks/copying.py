"""COPY of rows shaped like events, a hundred a transaction: `python -m benchmarks.copying URL SECONDS`.

Prints how many rows a second and its processor time for each: the least that getting events into PostgreSQL costs. Each
row is of a customer drawn at random from as many as events are, since that is where its index entries go.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from benchmarks.requests import ACCOUNTS, EVENTS

_COPY: Final = """
COPY bench.bare_event (id, environment_id, customer_id, metric_id, units, cost_mc, idempotency_key, occurred_at,
  received_at, actor, request_id) FROM STDIN
"""
_ACTOR: Final = "key:key_01k7x3s9c5ef6v8b2n4m6q8r0t"
_REQUEST: Final = "req_01k7x3s9c5ef6v8b2n4m6q8r0t"


def main() -> None:
    url, seconds = sys.argv[1], float(sys.argv[2])
    run = uuid7().hex
    environment, metric = uuid7(), uuid7()
    customers = [uuid7() for _ in range(ACCOUNTS)]
    rows, until, busy = 0, time.monotonic() + seconds, time.process_time()
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        while time.monotonic() < until:
            with cursor.copy(_COPY) as copy:
                for row in _rows(run, rows, environment, metric, customers):
                    copy.write_row(row)
            rows += EVENTS
    print(json.dumps({"rows": rows, "cpu_us": (time.process_time() - busy) / rows * 1e6}))


def _rows(
    run: str, first: int, environment: UUID, metric: UUID, customers: Sequence[UUID]
) -> list[tuple[Any, ...]]:
    now = datetime.now(UTC)
    whose = random.choices(customers, k=EVENTS)
    return [
        (uuid7(), environment, customer, metric, 1, 1, f"{run}{number}", now, now, _ACTOR, _REQUEST)
        for number, customer in enumerate(whose, start=first)
    ]


if __name__ == "__main__":
    main()
