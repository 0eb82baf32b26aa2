"""What the ledger costs as it grows: copies of one database, with more and more entries behind each account."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import psycopg

from benchmarks.instance import Instance, settle
from benchmarks.pgbench import pgbench, usage_script
from benchmarks.requests import ACCOUNTS
from benchmarks.rounds import Alternative

#: `BENCH_ENTRIES=10000000` measures the largest too; it takes some minutes to fill.
_MOST: Final = int(os.environ.get("BENCH_ENTRIES", "1000000"))
SIZES: Final = tuple(size for size in (100_000, 1_000_000, 10_000_000) if size <= _MOST)
#: Each account's last entry once more, in turns as they would come in, so that an account's entries lie far apart.
#: Without indexes, which are made afterwards: kept up to date they would take most of the time.
_FILL: Final = """
DO $$
BEGIN
  SET LOCAL session_replication_role = replica;
  CREATE TEMPORARY TABLE newest ON COMMIT DROP AS
    SELECT e.* FROM billing_ledger_entry e
    JOIN billing_credit_account a ON a.customer_id = e.account_id AND a.sequence = e.sequence;
  FOR n IN 1 .. {each} LOOP
    INSERT INTO billing_ledger_entry (id, environment_id, account_id, sequence, kind, amount_mc, block_ids,
      block_amounts, balance_after_mc, effective_after_mc, source_type, source_id, actor, reason, request_id, metadata,
      occurred_at)
    SELECT purser_uuid7(), e.environment_id, e.account_id, e.sequence + n, e.kind, e.amount_mc, e.block_ids,
      e.block_amounts, e.balance_after_mc, e.effective_after_mc, e.source_type, purser_uuid7(), e.actor, e.reason,
      e.request_id, e.metadata, e.occurred_at + n * interval '1 microsecond'
    FROM newest e;
  END LOOP;
  UPDATE billing_credit_account SET sequence = sequence + {each},
    last_entry_at = last_entry_at + {each} * interval '1 microsecond';
END $$
"""
#: What makes the indexes of the entries, and what removes them.
_INDEXES: Final = """
SELECT
  CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
    ELSE format('ALTER TABLE billing_ledger_entry ADD CONSTRAINT %s %s', k.conname, pg_get_constraintdef(k.oid)) END,
  CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
    ELSE format('ALTER TABLE billing_ledger_entry DROP CONSTRAINT %s', k.conname) END
FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
WHERE i.indrelid = 'billing_ledger_entry'::regclass
"""
_ACCOUNT: Final = f"""
\\set account random(0, {ACCOUNTS - 1})
"""
_DEBIT: Final = """
SELECT * FROM billing_credits_debit_v1(
  p_environment => '{environment}', p_account => customers_customer_find_v1('{environment}', 'external',
  'bench_' || lpad(:account, 5, '0')), p_kind => 'debit', p_amount => 1, p_metric => 'bench_call',
  p_source_type => 'event', p_source_id => purser_uuid7(), p_actor => 'system', p_reason => '', p_key => NULL,
  p_request => '', p_metadata => NULL, p_now => now());
"""
_BALANCE: Final = """
SELECT * FROM billing_credits_read_v1('{environment}', 'external', 'bench_' || lpad(:account, 5, '0'), 'none', NULL,
  now());
"""
_AS_OF: Final = """
SELECT * FROM billing_credits_as_of_v1('{environment}', 'external', 'bench_' || lpad(:account, 5, '0'), 'none',
  '{then}');
"""
_HISTORY: Final = """
SELECT * FROM billing_ledger_entry WHERE account_id = customers_customer_find_v1('{environment}', 'external',
  'bench_' || lpad(:account, 5, '0')) ORDER BY sequence DESC LIMIT 10;
"""
CALLS: Final[Mapping[str, str]] = {
    "debit": _ACCOUNT + _DEBIT,
    "balance": _ACCOUNT + _BALANCE,
    "as of": _ACCOUNT + _AS_OF,
    "history": _ACCOUNT + _HISTORY,
}


@contextmanager
def growth(instance: Instance, *, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """One client, so that a call's processor time is the call's."""
    alternatives: dict[str, Alternative] = {}
    for size in SIZES:
        copy = grown(instance, size)
        measured = {"usage": usage_script(instance=copy), **scripts(copy)}
        for name, script in measured.items():
            alternatives[f"{name}, {size:.0e}".replace("e+0", "e")] = partial(
                pgbench, instance=copy, script=script, clients=1, seconds=seconds
            )
    yield alternatives


def scripts(instance: Instance) -> dict[str, str]:
    """The calls of one that has grown."""
    with psycopg.connect(instance.superuser_url) as connection:
        row = connection.execute("SELECT min(last_entry_at) FROM billing_credit_account").fetchone()
    facts = {"environment": instance.facts["environment"], "then": row[0] if row else ""}
    # A colon would begin a variable of pgbench's.
    facts["then"] = f"{facts['then']:%Y%m%d %H%M%S.%f}"
    return {name: script.format(**facts) for name, script in CALLS.items()}


def grown(instance: Instance, size: int) -> Instance:
    """The benchmark's database again, under another name, with so many entries."""
    name = f"grown_{size}"
    old = instance.facts["database"]
    superuser_url = instance.superuser_url.replace(f"/{old}", f"/{name}")
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(
            f"ALTER DATABASE {name} SET purser.environment_id = '{instance.facts['environment']}'"
        )
    _copied(instance, superuser_url)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        indexes = connection.execute(_INDEXES).fetchall()
        for _, drop in indexes:
            connection.execute(drop)
        connection.execute(_FILL.format(each=size // ACCOUNTS))
        connection.execute("SET maintenance_work_mem = '512MB'")
        for make, _ in indexes:
            connection.execute(make)
    settle(superuser_url)
    return replace(
        instance,
        superuser_url=superuser_url,
        database_url=instance.database_url.replace(f"/{old}", f"/{name}"),
    )


def _copied(instance: Instance, superuser_url: str) -> None:
    dump = subprocess.Popen(
        [str(instance.programs / "pg_dump"), instance.superuser_url], stdout=subprocess.PIPE
    )
    subprocess.run(
        [str(instance.programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", superuser_url],
        stdin=dump.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    if dump.wait() != 0:
        raise RuntimeError("the database could not be copied")
