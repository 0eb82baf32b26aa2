"""What time-ordered UUIDs cost as keys, beside numbers: the same rows, the same indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

import psycopg

from benchmarks.instance import Instance, settle
from benchmarks.pgbench import pgbench
from benchmarks.rounds import Alternative

_BEFORE: Final = 500_000
_KINDS: Final = {
    "uuid": "uuid PRIMARY KEY DEFAULT purser_uuid7()",
    "bigint": "bigint PRIMARY KEY DEFAULT nextval('bench.number')",
}
_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE SEQUENCE bench.number CACHE 1;
{tables}
GRANT USAGE ON SCHEMA bench TO purser_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA bench TO purser_app;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA bench TO purser_app;
"""
#: A ledger entry's shape: who, which in a row, how much, why, when; found by account, newest first.
_TABLE: Final = """
CREATE TABLE bench.by_{kind} (id {key}, account integer NOT NULL, amount bigint NOT NULL, balance bigint NOT NULL,
  actor text NOT NULL, occurred_at timestamptz NOT NULL);
CREATE INDEX ON bench.by_{kind} (account, id DESC);
"""
_INSERT: Final = """
\\set account random(0, 9999)
INSERT INTO bench.by_{kind} (account, amount, balance, actor, occurred_at)
  VALUES (:account, 1, 1000000, 'key_01k7x3s9c5ef6v8b2n4m6q8r0t', now());
"""
_FILL: Final = """
INSERT INTO bench.by_{kind} (account, amount, balance, actor, occurred_at)
SELECT n % 10000, 1, 1000000, 'key_01k7x3s9c5ef6v8b2n4m6q8r0t', now() FROM generate_series(1, {count}) AS n
"""


@contextmanager
def keys(instance: Instance, *, clients: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    tables = "".join(_TABLE.format(kind=kind, key=key) for kind, key in _KINDS.items())
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        connection.execute(_TABLES.format(tables=tables))
        for kind in _KINDS:
            connection.execute(_FILL.format(kind=kind, count=_BEFORE))
    settle(instance.superuser_url)
    run = partial(pgbench, instance=instance, clients=clients, seconds=seconds)
    yield {kind: partial(run, script=_INSERT.format(kind=kind)) for kind in _KINDS}
