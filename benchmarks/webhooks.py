"""What a webhook worker delivers, beside a client that only posts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg
from celery import Celery

from benchmarks.cpu import tree_seconds
from benchmarks.instance import Instance, module, settle
from benchmarks.rounds import Alternative, Sample
from config.local.paths import REPOSITORY
from config.local.processes import kill_group, start
from config.local.programs import webhooks_arguments

#: Connections, and threads, of the client: as many as workers serve one endpoint.
_CONNECTIONS: Final = 4
_PATIENCE_SECONDS: Final = 120
_EMIT: Final = """
SELECT count(customers_event_emit_v1(%s, c.id, 'credit.granted', jsonb_build_object(
  'block_id', 'blk_01k7x3s9c5ef6v8b2n4m6q8r0t', 'amount', 100000, 'balance', 1000000000000 + n, 'priority', 0,
  'expires_at', NULL, 'metric_keys', NULL, 'source', 'manual', 'metadata', '{}'::jsonb), now()))
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM customers_customer WHERE environment_id = %s) AS c
WHERE c.n BETWEEN %s AND %s
"""
_ENDPOINT: Final = """
import json, sys
import config.wsgi
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.services.webhook_endpoints import endpoint_create
from uuid import UUID
environment, url, events = UUID(sys.argv[1]), sys.argv[2], sys.argv[3].split()
with environment_scope(environment):
    caller = Caller(environment_id=environment, actor="system:bench")
    print(endpoint_create(caller=caller, url=url, events=events, now=system_now()).endpoint.id)
"""


@contextmanager
def deliveries(instance: Instance, *, events: int) -> Iterator[Mapping[str, Alternative]]:
    """One worker as production runs it, outbox to recorded attempt, and bare clients with the same bodies."""
    with receiver() as port, TemporaryDirectory() as folder, endpoint(instance, port, "credit.granted"):
        bodies = Path(folder, "bodies")
        post = _Postman(instance, bodies, events)
        post.emit()
        post.write()
        with worker(instance, Path(folder, "log")) as process:
            post.process = process
            post.drained()
            yield {
                "worker": post.sample,
                "bare client": partial(bare, port=port, bodies=bodies, threads=_CONNECTIONS),
                "bare, 1 thread": partial(bare, port=port, bodies=bodies, threads=1),
            }


def bare(*, port: int, bodies: Path, threads: int) -> Sample:
    done = subprocess.run(
        module("benchmarks.bare_client", str(port), str(bodies), str(threads)),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the bare client failed:\n{done.stderr}")
    return Sample(**json.loads(done.stdout))


class _Postman:
    """Events for the worker, and how long it takes to have told all of them."""

    def __init__(self, instance: Instance, bodies: Path, events: int) -> None:
        self.instance, self.bodies, self.events = instance, bodies, events
        self.process: subprocess.Popen[bytes] | None = None
        self.connection = psycopg.connect(instance.superuser_url, autocommit=True)

    def emit(self) -> None:
        environment = self.instance.facts["environment"]
        self.connection.execute(_EMIT, [environment, environment, 1, self.events])

    def write(self) -> None:
        rows = self.connection.execute(
            "SELECT payload::text FROM customers_outbox_event ORDER BY id"
        ).fetchall()
        self.bodies.write_text("\n".join(row[0] for row in rows[-self.events :]))

    def sample(self) -> Sample:
        if self.process is None:
            raise RuntimeError("there is no worker")
        self.emit()
        before, began = self._busy(), time.perf_counter()
        self.drained()
        took = time.perf_counter() - began
        server, postgres = (after - start for after, start in zip(self._busy(), before, strict=True))
        return Sample(
            per_second=self.events / took,
            server_us=server / self.events * 1e6,
            postgres_us=postgres / self.events * 1e6,
        )

    def drained(self) -> None:
        """Rings, as the event's cause would have done, until nothing waits."""
        ring(self.instance)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while is_waiting(self.connection):
            if time.monotonic() > deadline:
                raise RuntimeError("the worker did not deliver everything")
            time.sleep(0.02)

    def _busy(self) -> tuple[float, float]:
        root = self.process.pid if self.process else 0
        return tree_seconds(root=root), tree_seconds(root=self.instance.postgres_pid)


def is_waiting(connection: psycopg.Connection) -> bool:
    """Whether something is to be handed out or sent."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM customers_webhook_lane) OR EXISTS (SELECT FROM customers_untold_debit) "
        "OR EXISTS (SELECT FROM customers_outbox_event WHERE dispatched_at IS NULL)"
    ).fetchone()
    return bool(row and row[0])


def ring(instance: Instance) -> None:
    with Celery(broker=instance.environment["CELERY_BROKER_URL"]) as bell:
        bell.send_task("customers.webhooks_hand_out", args=[instance.facts["environment"]], queue="webhooks")


@contextmanager
def receiver() -> Iterator[int]:
    process = subprocess.Popen(
        module("benchmarks.receiver"), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the receiver has no pipe")
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextmanager
def endpoint(instance: Instance, port: int, *events: str) -> Iterator[None]:
    """An endpoint of the benchmark's tenant, gone afterwards with what it wanted to hear of."""
    url = f"http://127.0.0.1:{port}/hook"
    made = _python(instance, _ENDPOINT, instance.facts["environment"], url, " ".join(events)).strip()
    try:
        yield
    finally:
        with psycopg.connect(instance.superuser_url, autocommit=True) as connection:
            connection.execute("DELETE FROM customers_webhook_lane WHERE endpoint_id = %s", [made])
            connection.execute(
                "UPDATE customers_webhook_endpoint SET deleted_at = now(), status = 'disabled' WHERE id = %s",
                [made],
            )
            connection.execute("UPDATE customers_environment SET tells_consumption = false")
            connection.execute("DELETE FROM customers_untold_debit")
            connection.execute(
                "UPDATE customers_outbox_event SET dispatched_at = now() WHERE dispatched_at IS NULL"
            )
        settle(instance.superuser_url)


@contextmanager
def worker(instance: Instance, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(
        command=module(*webhooks_arguments()),
        log=log,
        environment={**instance.environment, "WEBHOOKS_ALLOW_PRIVATE": "true"},
        folder=REPOSITORY,
    )
    try:
        yield process
    finally:
        kill_group(process)


def _python(instance: Instance, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env={**instance.environment, "WEBHOOKS_ALLOW_PRIVATE": "true", "WEBHOOKS_DOORBELL": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"this failed:\n{code}\n{done.stderr}")
    return done.stdout
