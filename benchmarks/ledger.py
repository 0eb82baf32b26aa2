"""What a debit costs inside PostgreSQL: beside the least that could be called one, and as an account grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import psycopg

from benchmarks.instance import Instance, settle
from benchmarks.pgbench import pgbench
from benchmarks.requests import ACCOUNTS
from benchmarks.rounds import Alternative
from benchmarks.volume import batch_script

#: Account, event and ledger, each written once, by one statement: no blocks, no policy, no tenants. What it has in
#: common with the debit: keys are UUIDs, found by the number that pgbench draws. It makes four index entries, two for
#: the event (itself, its key) and two for the entry (itself, its account's); the debit three for its entry.
_LEAST_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE bench.customer (n integer PRIMARY KEY, id uuid NOT NULL);
CREATE TABLE bench.account (id uuid PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
CREATE TABLE bench.event (id uuid PRIMARY KEY, account uuid NOT NULL, key text NOT NULL UNIQUE, cost bigint NOT NULL,
  occurred_at timestamptz NOT NULL);
CREATE TABLE bench.entry (id uuid PRIMARY KEY, account uuid NOT NULL, event_id uuid NOT NULL, amount bigint NOT NULL,
  balance_after bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX ON bench.entry (account, id);
GRANT USAGE ON SCHEMA bench TO purser_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bench TO purser_app;
"""
_LEAST_CUSTOMERS: Final = """
INSERT INTO bench.customer SELECT right(external_key, 5)::integer, id FROM customers_customer
  WHERE environment_id = %s AND external_key LIKE 'bench\\_%%'
"""
_LEAST: Final = f"""
\\set account random(0, {ACCOUNTS - 1})
\\set key random(1, 4000000000000000000)
WITH debited AS (
  UPDATE bench.account SET balance = balance - 1
  WHERE id = (SELECT id FROM bench.customer WHERE n = :account) AND balance >= 1 RETURNING id, balance),
recorded AS (
  INSERT INTO bench.event SELECT purser_uuid7(), debited.id, :key, 1, now() FROM debited RETURNING id)
INSERT INTO bench.entry
  SELECT purser_uuid7(), debited.id, recorded.id, -1, debited.balance, now() FROM debited, recorded;
"""
_DEBIT: Final = """
{set_account}
SELECT * FROM billing_credits_debit_v1(
  p_environment => '{environment}', p_account => {account}, p_kind => 'debit', p_amount => 1, p_metric => 'bench_call',
  p_source_type => 'event', p_source_id => purser_uuid7(), p_actor => 'system', p_reason => '', p_key => NULL,
  p_request => '', p_metadata => NULL, p_now => now());
"""
_GRANT: Final = """
SELECT count(g.status) FROM generate_series(1, %(count)s) AS n, LATERAL billing_credits_grant_v1(
  p_environment => %(environment)s, p_account => %(account)s, p_block => purser_uuid7(), p_kind => 'grant',
  p_credits => %(credits)s, p_priority => %(priority)s, p_effective_at => now(), p_expires_at => NULL,
  p_metric_keys => NULL, p_source => 'manual', p_price_paid => NULL, p_currency => NULL, p_metadata => '{}',
  p_source_type => 'manual', p_source_id => purser_uuid7(), p_actor => 'system', p_reason => '', p_key => NULL,
  p_request => '', p_now => now()) AS g
"""
_SPEND: Final = """
SELECT d.status FROM billing_credits_debit_v1(
  p_environment => %(environment)s, p_account => %(account)s, p_kind => 'debit', p_amount => %(count)s,
  p_metric => NULL, p_source_type => 'manual', p_source_id => purser_uuid7(), p_actor => 'system', p_reason => '',
  p_key => NULL, p_request => '', p_metadata => NULL, p_now => now()) AS d
"""
#: Blocks of an account: live ones, and ones that are spent.
SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "1 live": (0, 0),
    "10 live": (9, 0),
    "1,000 live": (999, 0),
    "10,000 live": (9_999, 0),
    "1,000 spent": (0, 1_000),
    "10,000 spent": (0, 10_000),
}


@contextmanager
def debit(instance: Instance, *, clients: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """The kernel's debit and the least statement that could be called one, over all accounts."""
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        connection.execute(_LEAST_TABLES)
        connection.execute(_LEAST_CUSTOMERS, [instance.facts["environment"]])
        connection.execute("INSERT INTO bench.account SELECT id, 1000000000000 FROM bench.customer")
    settle(instance.superuser_url)
    ours = _DEBIT.format(
        set_account=f"\\set account random(0, {ACCOUNTS - 1})",
        account="(SELECT id FROM bench.customer WHERE n = :account)",
        environment=instance.facts["environment"],
    )
    run = partial(pgbench, instance=instance, clients=clients, seconds=seconds)
    yield {"debit": partial(run, script=ours), "three writes": partial(run, script=_LEAST)}


@contextmanager
def blocks(instance: Instance, *, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """One client and one account at a time: what a debit, or a batch of a hundred events, costs does not depend on how
    many blocks there are."""
    environment = instance.facts["environment"]
    scripts = {}
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        for place, (name, (live, spent)) in enumerate(SIZES.items()):
            account = _account(connection, environment, place)
            facts = {"environment": environment, "account": account}
            if live:
                connection.execute(_GRANT, {**facts, "count": live, "credits": 10**6, "priority": 0})
            if spent:
                # Before all others in burn order, and spent at once.
                connection.execute(_GRANT, {**facts, "count": spent, "credits": 1, "priority": 100})
                connection.execute(_SPEND, {**facts, "count": spent})
            scripts[name] = _DEBIT.format(set_account="", account=f"'{account}'", environment=environment)
            scripts[f"batch, {name}"] = batch_script(instance, place=place)
    settle(instance.superuser_url)
    run = partial(pgbench, instance=instance, clients=1, seconds=seconds)
    yield {name: partial(run, script=script) for name, script in scripts.items()}


def _account(connection: psycopg.Connection[Any], environment: str, place: int) -> str:
    found = connection.execute(
        "SELECT id::text FROM customers_customer WHERE environment_id = %s AND external_key = %s",
        [environment, f"bench_{place:05}"],
    ).fetchone()
    if found is None:
        raise LookupError(f"there is no account {place}")
    return str(found[0])
