"""What an invoice counts, a million events of one customer and period, beside the same question in bare SQL."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any, Final

import psycopg

from benchmarks.instance import Instance, settle
from benchmarks.rounds import Alternative, Sample

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "1000000"))
_QUESTIONS_OF_A_TURN: Final = 3
_FILL: Final = """
SET session_replication_role = replica;
INSERT INTO metering_usage_event (id, environment_id, customer_id, metric_id, units, cost_mc, idempotency_key,
  occurred_at, received_at, properties, actor, request_id)
SELECT purser_uuid7(), '{environment}', c.id, '{metric}', (n * 7919 % 1000) / 8.0, 0, 'bench-aggregations-' || n,
  timestamptz '2026-04-01Z' + n * interval '2.5 seconds',
  timestamptz '2026-04-01Z' + n * interval '2.5 seconds' + interval '1 second',
  jsonb_build_object('user_id', 'user_' || n * 104729 % 50000), 'bench', ''
FROM customers_customer c, generate_series(0::bigint, {events} - 1) AS n
WHERE c.environment_id = '{environment}' AND c.external_id = 'bench_00000';
SET session_replication_role = origin;
"""
_METRIC: Final = """
UPDATE metering_metric SET aggregation = %s, aggregation_property = %s, percentile = %s WHERE id = %s
"""
_OURS: Final = """
SELECT (metering_usage_compute_v1(%(environment)s::uuid, %(customer)s::uuid, %(metric)s::uuid, '2026-04-01Z',
  '2026-05-01Z')).quantity
"""
_FROM: Final = """
FROM metering_usage_event WHERE customer_id = %(customer)s AND metric_id = %(metric)s
  AND occurred_at >= '2026-04-01Z' AND occurred_at < '2026-05-01Z'
"""
#: By name: the metric's terms, and what one would ask without Purser.
_ASKED: Final[Mapping[str, tuple[tuple[str, str | None, int | None], str]]] = {
    "sum": (("sum", None, None), "SELECT sum(units)"),
    "count": (("count", None, None), "SELECT count(*)"),
    "unique_count": (
        ("unique_count", "user_id", None),
        "SELECT count(DISTINCT properties ->> 'user_id')",
    ),
    "percentile": (
        ("percentile", None, 95),
        "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY units)",
    ),
}
NAMES: Final = tuple(_ASKED)


@contextmanager
def aggregations(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    facts = _filled(instance)
    alternatives: dict[str, Alternative] = {}
    for name, (terms, bare) in _ASKED.items():
        alternatives[name] = partial(_asked, instance, facts, _OURS, terms)
        alternatives[f"{name}, bare"] = partial(_asked, instance, facts, bare + _FROM, terms)
    yield alternatives


def _filled(instance: Instance) -> dict[str, Any]:
    facts = {"environment": instance.facts["environment"], "metric": instance.facts["metric"]}
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        connection.execute(_FILL.format(events=EVENTS, **facts))
        row = connection.execute(
            "SELECT id FROM customers_customer WHERE environment_id = %(environment)s "
            "AND external_id = 'bench_00000'",
            facts,
        ).fetchone()
    settle(instance.superuser_url)
    return {**facts, "customer": row[0] if row else None}


def _asked(instance: Instance, facts: dict[str, Any], question: str, terms: tuple[Any, ...]) -> Sample:
    seconds = []
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        # A statement inside a function has one process, whatever the other one might be given.
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute(_METRIC, (*terms, facts["metric"]))
        for _ in range(_QUESTIONS_OF_A_TURN):
            began = time.perf_counter()
            connection.execute(question, facts)
            seconds.append(time.perf_counter() - began)
    return Sample(per_second=len(seconds) / sum(seconds), p50_ms=median(seconds) * 1000)
