"""Usage in batches, by tiers and in groups; reservations; entitlements by the hundred."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import psycopg

from benchmarks import requests
from benchmarks.cpu import tree_seconds
from benchmarks.http import http
from benchmarks.instance import Instance, module, settle, with_single
from benchmarks.pgbench import pgbench, usage_script
from benchmarks.requests import ACCOUNTS, EVENTS, Request
from benchmarks.rounds import Alternative, Sample
from config.local.paths import REPOSITORY
from config.local.processes import plain_environment

#: Connections with which group commit is to show what it is for.
CROWD: Final = 64
_PAIRS: Final = 10_000
#: Like the events' own, with its indexes, and nothing else that an event needs.
_BARE: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE bench.bare_event (LIKE metering_usage_event INCLUDING ALL);
GRANT USAGE ON SCHEMA bench TO purser_app;
GRANT INSERT ON bench.bare_event TO purser_app;
"""
_KEY: Final = "\\set key random(1, 4000000000000000000)\n"
_BATCH: Final = """\
SELECT 1 / (m.status = 'recorded')::integer AS sound, coalesce(cardinality(m.busy), 0) AS busy,
  ARRAY(SELECT d.customers[place] FROM unnest(m.busy) AS place) AS busy_customers FROM (
{draw}) AS d,
LATERAL metering_usage_many_v1(
  p_environment => '{environment}', p_config_version => {version},
  p_bys => array_fill('external'::text, ARRAY[cardinality(customers)]),
  p_references => customers, p_totals => totals, p_leasts => array_fill(1::bigint, ARRAY[cardinality(customers)]),
  p_whose => whose,
  p_events => ARRAY(SELECT purser_uuid7() FROM generate_series(1, many)),
  p_metrics => array_fill('{metric}'::uuid, ARRAY[many]), p_metric_keys => array_fill('bench_call'::text, ARRAY[many]),
  p_rules => array_fill('{rule}'::uuid, ARRAY[many]), p_units => array_fill(1::numeric, ARRAY[many]),
  p_costs => array_fill(1::bigint, ARRAY[many]),
  p_keys => ARRAY(SELECT :key || '-{waits}-' || n FROM generate_series(1, many) AS n),
  p_fingerprints => array_fill('00112233445566778899aabbccddeeff'::text, ARRAY[many]), p_timestamps => NULL,
  p_properties => NULL, p_metadata => NULL, p_actors => array_fill('bench'::text, ARRAY[many]),
  p_requests => array_fill('req_01k7x3s9c5ef6v8b2n4m6q8r0t'::text, ARRAY[many]), p_now => now(),
  p_waits => {waits}) AS m
"""
#: A hundred customers drawn at random; drawn twice they count once, as `p_references` wants it. Each has one event.
_SPREAD: Final = f"""\
  SELECT customers, many, array_fill(1::bigint, ARRAY[many]) AS totals, ARRAY(SELECT generate_series(1, many)) AS whose
  FROM (
    SELECT array_agg('bench_' || lpad(account::text, 5, '0')) AS customers, count(*)::integer AS many FROM (
      SELECT DISTINCT floor(random() * {ACCOUNTS})::integer AS account FROM generate_series(1, {EVENTS})
    ) AS drawn) AS counted"""
#: Those whose accounts other clients held.
_BUSY: Final = """\
  SELECT CAST(:busy_customers AS text[]) AS customers, CAST(:busy AS integer) AS many,
    array_fill(1::bigint, ARRAY[CAST(:busy AS integer)]) AS totals,
    ARRAY(SELECT generate_series(1, CAST(:busy AS integer))) AS whose"""
#: All events are one customer's.
_ALONE: Final = f"""\
  SELECT ARRAY['bench_{{place:05}}'] AS customers, {EVENTS} AS many, ARRAY[{EVENTS}::bigint] AS totals,
    array_fill(1, ARRAY[{EVENTS}]) AS whose"""
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
        connection.execute(_BARE)
    run = partial(http, instance=instance, connections=connections, seconds=seconds)
    few = min(connections, 8)
    batch = partial(run, server="purser", request=requests.batch(secret=secret), connections=few)
    script = batch_script(instance)
    # Plans made for few rows would be kept while the tables fill.
    batch(seconds=1)
    settle(instance.superuser_url)
    yield {
        "batch of 100": partial(each, batch, EVENTS),
        "one in each": partial(
            each, partial(batch, request=requests.batch(secret=secret, with_everybodys=True)), EVENTS
        ),
        "pgbench": partial(
            each, partial(pgbench, instance=instance, script=script, clients=few, seconds=seconds), EVENTS
        ),
        "COPY": partial(_copied, instance, seconds),
        "single": partial(run, server="purser", request=requests.usage(secret=secret)),
        "empty view": partial(run, server="empty", request=requests.empty()),
        "naive": partial(run, server="naive", request=requests.usage(secret=instance.naive_secret)),
    }


def batch_script(instance: Instance, *, place: int | None = None) -> str:
    """One `POST /v1/usage/batch`, as the application hands it to the database: of all customers, or of one."""
    if place is None:
        first, rest = _batch(instance, _SPREAD, waits=False), _batch(instance, _BUSY, waits=True)
        return f"{_KEY}{first}\\gset\n\\if :busy\n{rest};\n\\endif\n"
    return _KEY + _batch(instance, _ALONE.format(place=place), waits=True) + ";\n"


def _batch(instance: Instance, draw: str, *, waits: bool) -> str:
    facts = instance.facts
    return _BATCH.format(
        draw=draw,
        environment=facts["environment"],
        version=facts["config_version"],
        metric=facts["metric"],
        rule=facts["rule"],
        waits=str(waits).lower(),
    )


def _copied(instance: Instance, seconds: float) -> Sample:
    """Two clients, as many as the web server has workers."""
    before = tree_seconds(root=instance.postgres_pid)
    command = module("benchmarks.copying", instance.database_url, str(seconds))
    clients = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=_as_application())
        for _ in range(2)
    ]
    found = [json.loads(client.communicate()[0]) for client in clients]
    busy = tree_seconds(root=instance.postgres_pid) - before
    rows = sum(each["rows"] for each in found)
    return Sample(
        per_second=rows / seconds,
        server_us=sum(each["cpu_us"] * each["rows"] for each in found) / rows,
        postgres_us=busy / rows * 1e6,
    )


def _as_application() -> dict[str, str]:
    return plain_environment() | {"PGOPTIONS": "-c role=purser_app -c timezone=UTC"}


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
    # As above: nobody has a counter yet.
    run(request=tiered, seconds=2)
    settle(instance.superuser_url)
    yield {
        "tiered": partial(run, request=tiered),
        "per unit": partial(run, request=requests.usage(secret=secret)),
        "tiered, hot": partial(run, request=replace(tiered, customers=1)),
        "per unit, hot": partial(run, request=requests.usage(secret=secret, customers=1)),
    }


@contextmanager
def groups(instance: Instance, *, seconds: float) -> Iterator[Mapping[str, Alternative]]:
    """One hot account, many, and checks: singly, and with those that wait made together, by as many threads."""
    secret = instance.facts["secret"]
    check = requests.entitlement(secret=secret)
    hot, spread = (requests.usage(secret=secret, customers=count) for count in (1, ACCOUNTS))
    with with_single(instance) as both:

        def run(name: str, request: Request, connections: int) -> Alternative:
            return partial(
                http, instance=both, server=name, request=request, connections=connections, seconds=seconds
            )

        yield {
            "hot, grouped": run("purser", hot, CROWD),
            "hot, single": run("single", hot, CROWD),
            "spread, grouped": run("purser", spread, CROWD),
            "spread, single": run("single", spread, CROWD),
            "one, grouped": run("purser", spread, 1),
            "one, single": run("single", spread, 1),
            "checks, grouped": run("purser", check, CROWD),
            "checks, single": run("single", check, CROWD),
            "one check, grouped": run("purser", check, 1),
            "one check, single": run("single", check, 1),
        }


def reservation_script(instance: Instance) -> str:
    """A hold and its commit, as the application hands them to the database."""
    facts = instance.facts
    return _RESERVATION.format(
        last=ACCOUNTS - 1,
        environment=facts["environment"],
        version=facts["config_version"],
        metric=facts["metric"],
        rule=facts["rule"],
    )


@contextmanager
def reservations(
    instance: Instance, *, connections: int, seconds: float
) -> Iterator[Mapping[str, Alternative]]:
    script = reservation_script(instance)
    # Plans made while nobody has reserved anything would be kept while the tables fill.
    pgbench(instance=instance, script=script, clients=connections, seconds=1)
    settle(instance.superuser_url)
    yield {
        "hold + commit": partial(
            http,
            instance=instance,
            server="purser",
            request=requests.reservation(secret=instance.facts["secret"]),
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
