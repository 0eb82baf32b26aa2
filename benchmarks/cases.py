"""What is measured, against what, and what is aimed for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from benchmarks import (
    aggregations,
    growth,
    intake,
    invoices,
    keys,
    ledger,
    pages,
    renewals,
    requests,
    telling,
    volume,
    webhooks,
)
from benchmarks.http import http
from benchmarks.instance import Instance
from benchmarks.pgbench import pgbench, usage_script
from benchmarks.requests import Request
from benchmarks.rounds import Alternative
from benchmarks.workers import workers
from config.local.throwaway import clean_environment

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long and with how much at a time."""

    seconds: float = 4.0
    connections: int = 16
    calls: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A ratio between two alternatives, and the bound it should keep."""

    name: str
    of: Callable[[Figures], float]
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        return (self.at_least is None or ratio >= self.at_least) and (
            self.at_most is None or ratio <= self.at_most
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Alternatives that are measured in turns, and what is wanted of their ratios."""

    title: str
    open: Callable[[Instance, Options], AbstractContextManager[Mapping[str, Alternative]]]
    aims: tuple[Aim, ...]


def rate(of: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[of]["per_second"] / figures[to]["per_second"]


def cpu(of: str, to: str) -> Callable[[Figures], float]:
    """All processor time of an operation, the server's and PostgreSQL's."""
    return lambda figures: _cpu(figures[of]) / _cpu(figures[to])


def server(of: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[of]["server_us"] / figures[to]["server_us"]


def p50(of: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[of]["p50_ms"] / figures[to]["p50_ms"]


def p99(of: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[of]["p99_ms"] / figures[to]["p99_ms"]


def peak(of: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[of]["peak_mib"] / figures[to]["peak_mib"]


def _p95(name: str, figures: Figures) -> float:
    return figures[name]["p95_ms"]


def _cpu(figures: Mapping[str, float]) -> float:
    return figures.get("server_us", 0.0) + figures.get("postgres_us", 0.0)


@contextmanager
def usage(
    instance: Instance, options: Options, *, customers: int = requests.ACCOUNTS
) -> Iterator[Mapping[str, Alternative]]:
    ours = requests.usage(secret=instance.facts["secret"], customers=customers)
    naive = requests.usage(secret=instance.naive_secret, customers=customers)
    script = usage_script(instance=instance, customers=customers)
    yield {
        "purser": _http(instance, options, "purser", ours),
        "empty view": _http(instance, options, "empty", requests.empty()),
        "pgbench": partial(
            pgbench, instance=instance, script=script, clients=options.connections, seconds=options.seconds
        ),
        "naive": _http(instance, options, "naive", naive),
    }


@contextmanager
def entitlement(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    """Four callers at a time, as the targets have it, and as many as the run has: then one measures the queue too."""
    ours, few = requests.entitlement(secret=instance.facts["secret"]), replace(options, connections=4)
    yield {
        "purser": _http(instance, few, "purser", ours),
        "empty view": _http(instance, few, "empty", requests.empty()),
        "purser, crowded": _http(instance, options, "purser", ours),
        "empty view, crowded": _http(instance, options, "empty", requests.empty()),
        "naive": _http(instance, few, "naive", requests.entitlement(secret=instance.naive_secret)),
    }


@contextmanager
def balance(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    yield {
        "purser": _http(instance, options, "purser", requests.balance(secret=instance.facts["secret"])),
        "empty view": _http(instance, options, "empty", requests.empty()),
        "naive": _http(instance, options, "naive", requests.balance(secret=instance.naive_secret)),
    }


@contextmanager
def in_process(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    secret = instance.facts["secret"]
    wanted = {
        "entitlement": ("config.wsgi", requests.entitlement(secret=secret), instance.environment),
        "balance": ("config.wsgi", requests.balance(secret=secret), instance.environment),
        "usage": ("config.wsgi", requests.usage(secret=secret), instance.environment),
        "empty view": ("benchmarks.empty.wsgi", requests.empty(), clean_environment()),
    }
    with workers(wanted) as made:
        for worker in made.values():
            worker.sample(calls=options.calls // 3)
        yield {name: partial(worker.sample, calls=options.calls) for name, worker in made.items()}


def _http(instance: Instance, options: Options, server: str, request: Request) -> Alternative:
    return partial(
        http,
        instance=instance,
        server=server,
        request=request,
        connections=options.connections,
        seconds=options.seconds,
    )


@contextmanager
def debit(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    with ledger.debit(instance, clients=options.connections, seconds=options.seconds) as alternatives:
        yield alternatives


@contextmanager
def blocks(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    with ledger.blocks(instance, seconds=options.seconds) as alternatives:
        yield alternatives


@contextmanager
def deliveries(instance: Instance, options: Options) -> Iterator[Mapping[str, Alternative]]:
    with webhooks.deliveries(instance, events=round(options.seconds * 1000)) as alternatives:
        yield alternatives


def _driven(
    made: Callable[..., AbstractContextManager[Mapping[str, Alternative]]],
) -> Callable[[Instance, Options], AbstractContextManager[Mapping[str, Alternative]]]:
    """Over as many connections as the run has, for as long as its turns are."""
    return lambda instance, options: made(instance, connections=options.connections, seconds=options.seconds)


def _growth_aims() -> Iterator[Aim]:
    """A call's processor time with many entries to that with few."""
    least, *more = [f"{size:.0e}".replace("e+0", "e") for size in growth.SIZES]
    for size in more:
        for name, most in (
            ("usage", 1.6),
            ("debit", 1.6),
            ("balance", 1.3),
            ("as of", 2.0),
            ("history", 1.3),
        ):
            of = cpu(f"{name}, {size}", f"{name}, {least}")
            yield Aim(name=f"CPU of {name} with {size} entries to {least}", of=of, at_most=most)


CASES: Final[Mapping[str, Case]] = {
    "usage": Case(
        title="POST /v1/usage, 10,000 accounts",
        open=usage,
        aims=(
            Aim(name="requests per second to naive", of=rate("purser", "naive"), at_least=8),
            Aim(name="requests per second to pgbench", of=rate("purser", "pgbench"), at_least=0.40),
            Aim(name="CPU per request to an empty view", of=cpu("purser", "empty view"), at_most=4.5),
        ),
    ),
    "usage-hot": Case(
        title="POST /v1/usage, one hot account",
        open=partial(usage, customers=1),
        aims=(
            Aim(name="requests per second to naive", of=rate("purser", "naive"), at_least=8),
            Aim(name="requests per second to pgbench", of=rate("purser", "pgbench"), at_least=0.40),
        ),
    ),
    "entitlement": Case(
        title="GET …/entitlements/{metric_key}",
        open=entitlement,
        aims=(
            Aim(name="requests per second to an empty view", of=rate("purser", "empty view"), at_least=0.5),
            Aim(name="p99 to an empty view", of=p99("purser", "empty view"), at_most=1.5),
            Aim(name="requests per second, crowded", of=rate("purser, crowded", "empty view, crowded")),
            Aim(name="p99, crowded", of=p99("purser, crowded", "empty view, crowded")),
            Aim(name="requests per second to naive", of=rate("purser", "naive")),
        ),
    ),
    "balance": Case(
        title="GET …/credits",
        open=balance,
        aims=(
            Aim(name="requests per second to an empty view", of=rate("purser", "empty view")),
            Aim(name="requests per second to naive", of=rate("purser", "naive")),
        ),
    ),
    "in-process": Case(
        title="One call after the other inside the process, no server",
        open=in_process,
        aims=(
            Aim(name="entitlement p50 to an empty view", of=p50("entitlement", "empty view"), at_most=4.5),
            Aim(name="balance p50 to an empty view", of=p50("balance", "empty view")),
            Aim(name="usage p50 to an empty view", of=p50("usage", "empty view")),
        ),
    ),
    "debit": Case(
        title="The kernel's debit, 10,000 accounts, by pgbench",
        open=debit,
        aims=(
            Aim(name="transactions to three bare writes", of=rate("debit", "three writes"), at_least=0.5),
            Aim(name="CPU to three bare writes", of=cpu("debit", "three writes")),
        ),
    ),
    "blocks": Case(
        title="The kernel's debit as an account's blocks grow, by pgbench",
        open=blocks,
        aims=tuple(
            Aim(
                name=f"CPU with {kind}{name} to one live block",
                of=cpu(f"{kind}{name}", f"{kind}1 live"),
                at_most=1.3,
            )
            for kind in ("", "batch, ")
            for name in ledger.SIZES
            if name != "1 live"
        ),
    ),
    "webhooks": Case(
        title="Webhooks delivered by one worker, from the outbox to the recorded attempt",
        open=deliveries,
        aims=(
            Aim(
                name="deliveries per second to a bare client",
                of=rate("worker", "bare client"),
                at_least=0.4,
            ),
            Aim(name="to one thread of it", of=rate("worker", "bare, 1 thread")),
        ),
    ),
    "batch": Case(
        title="POST /v1/usage/batch, a hundred events a call; figures of one event",
        open=_driven(volume.batches),
        aims=(
            Aim(name="events per second to single ones", of=rate("batch of 100", "single")),
            Aim(name="events per second to naive", of=rate("batch of 100", "naive"), at_least=50),
            Aim(name="events per second to pgbench", of=rate("batch of 100", "pgbench"), at_least=0.85),
            Aim(name="events per second to COPY", of=rate("batch of 100", "COPY"), at_least=0.25),
            Aim(name="with a customer who is in each, to batches", of=rate("one in each", "batch of 100")),
            Aim(
                name="server CPU per event to an empty view",
                of=server("batch of 100", "empty view"),
                at_most=0.15,
            ),
        ),
    ),
    "tiers": Case(
        title="POST /v1/usage, a tiered metric",
        open=_driven(volume.tiers),
        aims=(
            Aim(name="requests per second to per unit", of=rate("tiered", "per unit"), at_least=0.8),
            Aim(name="on one hot account", of=rate("tiered, hot", "per unit, hot"), at_least=0.8),
        ),
    ),
    "groups": Case(
        title="POST /v1/usage, one hot account, and checks, 64 connections, in groups and singly",
        open=lambda instance, options: volume.groups(instance, seconds=options.seconds),
        aims=(
            Aim(name="hot, grouped, to spread", of=rate("hot, grouped", "spread, single"), at_least=0.9),
            Aim(name="spread, grouped, to single", of=rate("spread, grouped", "spread, single")),
            Aim(name="hot, grouped, to hot, single", of=rate("hot, grouped", "hot, single"), at_least=2),
            Aim(name="p99 of hot, grouped, to hot, single", of=p99("hot, grouped", "hot, single"), at_most=1),
            Aim(
                name="p50 of one client, grouped to single",
                of=p50("one, grouped", "one, single"),
                at_most=1.1,
            ),
            Aim(name="checks, grouped to single", of=rate("checks, grouped", "checks, single"), at_least=1),
            Aim(
                name="p99 of checks, grouped to single",
                of=p99("checks, grouped", "checks, single"),
                at_most=1,
            ),
            Aim(
                name="p50 of one client's checks, grouped to single",
                of=p50("one check, grouped", "one check, single"),
                at_most=1.1,
            ),
        ),
    ),
    "intake": Case(
        title=f"{intake.EVENTS:,} events through the ingestion task, in one process",
        open=lambda instance, _: intake.intake(instance),
        aims=(
            Aim(
                name="memory at the end to that after a tenth",
                of=peak("the rest", "the first tenth"),
                at_most=1.05,
            ),
        ),
    ),
    "told": Case(
        title="Usage while an endpoint names credit.consumed, without the deliveries and (delivering) with them",
        open=_driven(telling.told),
        aims=(
            Aim(name="requests per second to untold", of=rate("told", "untold"), at_least=0.9),
            Aim(name="CPU to untold", of=cpu("told", "untold"), at_most=1.1),
            Aim(name="batches to untold", of=rate("batches, told", "batches, untold"), at_least=0.9),
            Aim(name="batches' CPU to untold", of=cpu("batches, told", "batches, untold"), at_most=1.1),
            Aim(name="groups to untold", of=rate("groups, told", "groups, untold"), at_least=0.9),
            Aim(name="groups' CPU to untold", of=cpu("groups, told", "groups, untold"), at_most=1.1),
            Aim(name="with the deliveries to untold", of=rate("delivering", "untold")),
        ),
    ),
    "reserve": Case(
        title="POST /v1/reserve and …/commit, both one operation",
        open=_driven(volume.reservations),
        aims=(
            Aim(name="operations per second to pgbench", of=rate("hold + commit", "pgbench"), at_least=0.35),
            Aim(name="PostgreSQL's CPU to usage", of=cpu("pgbench", "usage, pgbench")),
        ),
    ),
    "entitlements": Case(
        title="POST /v1/entitlements/query, 100 customers by 100 metrics; figures of one pair",
        open=_driven(volume.pairs),
        aims=(Aim(name="CPU of a pair to a single check", of=cpu("100 by 100", "single")),),
    ),
    "growth": Case(
        title="The ledger as it grows, one client, by pgbench",
        open=lambda instance, options: growth.growth(instance, seconds=options.seconds / 2),
        aims=tuple(_growth_aims()),
    ),
    "renewals": Case(
        title="Renewals at one instant by one scheduler, many and a tenth as many",
        open=lambda instance, _: renewals.renewals(instance),
        aims=(
            Aim(name="CPU of a renewal, many to few", of=cpu("many", "few"), at_most=1.3),
            Aim(name="renewals per second, many to few", of=rate("many", "few"), at_least=0.77),
        ),
    ),
    "invoices": Case(
        title="Invoices of many customers by one bulk run, many and a tenth as many",
        open=lambda instance, _: invoices.invoices(instance),
        aims=(
            Aim(name="CPU of an invoice, many to few", of=cpu("many", "few"), at_most=1.3),
            Aim(name="invoices per second, many to few", of=rate("many", "few"), at_least=0.77),
        ),
    ),
    "aggregations": Case(
        title="What an invoice counts: a million events of one customer and period",
        open=lambda instance, _: aggregations.aggregations(instance),
        aims=tuple(
            Aim(name=f"{name}, time to bare SQL", of=p50(name, f"{name}, bare"), at_most=2)
            for name in aggregations.NAMES
        ),
    ),
    "pages": Case(
        title="Pages of the admin over a grown ledger, one after another",
        open=lambda instance, _: pages.pages(instance),
        aims=tuple(
            Aim(name=f"p95 of {name} in ms", of=partial(_p95, name), at_most=300) for name in pages.PAGES
        ),
    ),
    "keys": Case(
        title="Inserting by UUIDv7 and by bigint",
        open=lambda instance, options: keys.keys(
            instance, clients=options.connections, seconds=options.seconds
        ),
        aims=(Aim(name="CPU of a UUIDv7 to a bigint", of=cpu("uuid", "bigint"), at_most=1.2),),
    ),
}
