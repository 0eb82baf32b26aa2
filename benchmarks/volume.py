"""Usage in batches, by tiers, in groups and told of; reservations; entitlements by the hundred."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import psycopg

from benchmarks import requests
from benchmarks.http import http
from benchmarks.instance import Instance, serve, settle
from benchmarks.pgbench import pgbench, usage_script
from benchmarks.requests import ACCOUNTS, EVENTS, Request
from benchmarks.rounds import Alternative, Sample
from config.local.processes import stop

#: Connections with which group commit is to show what it is for.
_CROWD: Final = 64
_PAIRS: Final = 10_000
_ROWS: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE bench.bare_event (id uuid PRIMARY KEY, account integer NOT NULL, key text NOT NULL, cost bigint NOT NULL,
  occurred_at timestamptz NOT NULL);
GRANT USAGE ON SCHEMA bench TO purser_app;
GRANT INSERT ON bench.bare_event TO purser_app;
"""
_BARE: Final = f"""
\\set account random(0, {ACCOUNTS - 1})
INSERT INTO bench.bare_event SELECT purser_uuid7(), :account, n::text, 1, now() FROM generate_series(1, {EVENTS}) AS n;
"""
_RESERVATION: Final = """
\\set account random(0, {last})
\\set key random(1, 4000000000000000000)
SELECT r.shown::jsonb->>'id' AS reservation FROM metering_reserve_v1(
  p_environment => '{environment}', p_config_version => {version}, p_by => 'external',
  p_reference => 'bench_' || lpad(:account, 5, '0'), p_new_customer => purser_uuid7(), p_reservation => purser_uuid7(),
  p_metric => '{metric}', p_metric_key => 'bench_call', p_rule => '{rule}', p_scoped => false,
  p_priced_customer => NULL, p_priced_variant => NULL, p_dimension => '', p_value => '', p_cycle_units => NULL,
  p_cycle_charged => NULL, p_units => 2, p_cost => 2, p_ttl_seconds => 3600, p_key => :key,
  p_fingerprint => '\\x00112233445566778899aabbccddeeff',
  p_properties => NULL, p_metadata => NULL, p_actor => 'bench', p_request => 'req', p_now => now()) AS r \\gset
SELECT 1 / (c.status = 'committed')::integer FROM metering_reservation_commit_v1(
  p_environment => '{environment}', p_config_version => {version}, p_reservation => :reservation, p_units => 1,
  p_rule => '{rule}', p_cost => 1, p_cycle_units => NULL, p_cycle_charged => NULL, p_event => purser_uuid7(),
  p_step => purser_uuid7(), p_key => :key, p_fingerprint => '\\x00112233445566778899aabbccddeeff', p_actor => 'bench',
  p_request => 'req', p_now => now()) AS c;
"""


@contextmanager
def batches(instance: Instance, *, connections: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """Everything for each event."""
    secret = instance.facts["secret"]
    with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
        connection.execute(_ROWS)
    run = partial(http, instance=instance, connections=connections, seconds=seconds)
    few = partial(run, connections=min(connections, 8))
    yield {
        "batch of 100": partial(
            each, partial(few, server="purser", request=requests.batch(secret=secret)), EVENTS
        ),
        "single": partial(run, server="purser", request=requests.usage(secret=secret)),
        "bare rows": partial(
            each, partial(pgbench, instance=instance, script=_BARE, clients=8, seconds=seconds), EVENTS
        ),
        "empty view": partial(run, server="empty", request=requests.empty()),
        "naive": partial(run, server="naive", request=requests.usage(secret=instance.naive_secret)),
    }


def each(alternative: Alternative, many: int) -> Sample:
    """An operation that does many things, as one of them. What a request waits for stays what it is."""
    sample = alternative()
    return replace(
        sample,
        per_second=None if sample.per_second is None else sample.per_second * many,
        server_us=None if sample.server_us is None else sample.server_us / many,
        postgres_us=None if sample.postgres_us is None else sample.postgres_us / many,
    )


@contextmanager
def tiers(instance: Instance, *, connections: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    secret = instance.facts["secret"]
    run = partial(http, instance=instance, server="purser", connections=connections, seconds=seconds)
    tiered = requests.usage(secret=secret, metric="bench_tiered")
    yield {
        "tiered": partial(run, request=tiered),
        "per unit": partial(run, request=requests.usage(secret=secret)),
        "tiered, hot": partial(run, request=replace(tiered, customers=1)),
    }


@contextmanager
def groups(instance: Instance, *, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """One hot account, with single calls and with those that wait recorded together, and many accounts."""
    secret = instance.facts["secret"]
    hot, spread = (requests.usage(secret=secret, customers=count) for count in (1, ACCOUNTS))
    environment = {**instance.environment, "USAGE_GROUP_COMMIT": "on"}
    server = serve("config.wsgi", environment, log=instance.home.log("grouped"))
    with_group = replace(instance, servers={**instance.servers, "grouped": server})

    def run(name: str, request: Request, connections: int) -> Alternative:
        return partial(
            http, instance=with_group, server=name, request=request, connections=connections, seconds=seconds
        )

    try:
        yield {
            "hot, grouped": run("grouped", hot, _CROWD),
            "hot, single": run("purser", hot, _CROWD),
            "spread": run("purser", spread, _CROWD),
            "one, grouped": run("grouped", spread, 1),
            "one, single": run("purser", spread, 1),
        }
    finally:
        stop(process=server.process)


@contextmanager
def told(instance: Instance, *, connections: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """`credit.consumed` for each debit, as while an endpoint names it, and none."""
    secret = instance.facts["secret"]
    run = partial(
        http,
        instance=instance,
        server="purser",
        request=requests.usage(secret=secret),
        connections=connections,
        seconds=seconds,
    )

    def telling(tells: bool) -> Sample:
        with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
            connection.execute("UPDATE customers_environment SET tells_consumption = %s", [tells])
        try:
            return run()
        finally:
            with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
                connection.execute("UPDATE customers_environment SET tells_consumption = false")

    yield {"told": partial(telling, True), "untold": partial(telling, False)}


@contextmanager
def reservations(
    instance: Instance, *, connections: int, seconds: float
) -> Iterator[Mapping[str, Alternative]]:
    facts = instance.facts
    script = _RESERVATION.format(
        last=ACCOUNTS - 1,
        environment=facts["environment"],
        version=facts["config_version"],
        metric=facts["metric"],
        rule=facts["rule"],
    )
    # Plans made while nobody has reserved anything would be kept while the tables fill.
    pgbench(instance=instance, script=script, clients=connections, seconds=1)
    settle(instance.superuser_url)
    yield {
        "hold + commit": partial(
            http,
            instance=instance,
            server="purser",
            request=requests.reservation(secret=facts["secret"]),
            connections=connections,
            seconds=seconds,
        ),
        "pgbench": partial(pgbench, instance=instance, script=script, clients=connections, seconds=seconds),
        "usage, pgbench": partial(
            pgbench,
            instance=instance,
            script=usage_script(instance=instance),
            clients=connections,
            seconds=seconds,
        ),
    }


@contextmanager
def pairs(instance: Instance, *, connections: int, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    secret = instance.facts["secret"]
    run = partial(http, instance=instance, seconds=seconds)
    many = partial(run, server="purser", request=requests.entitlements(secret=secret), connections=1)
    yield {
        "100 by 100": partial(each, many, _PAIRS),
        "single": partial(
            run, server="purser", request=requests.entitlement(secret=secret), connections=connections
        ),
        "empty view": partial(run, server="empty", request=requests.empty(), connections=connections),
    }
