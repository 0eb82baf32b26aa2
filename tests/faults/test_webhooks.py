"""The broker forgets everything, and workers die with webhooks half told: each event still arrives, in its order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.test import override_settings

from config.local.processes import kill_group
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import WebhookEndpoint
from customers.services.webhook_endpoints import endpoint_create
from tests.conftest import Character, run_together
from tests.customers.webhook_receiver import Receiver, receiving
from tests.faults.deeds import done
from tests.faults.failpoints import SENT, Failpoints
from tests.faults.house import Backend, House, setting, wait_until
from tests.faults.test_worker_killed import Worker

_WRITERS: Final = 6
_CUSTOMERS: Final = 12
#: Grants of each writer.
_EACH: Final = setting("PURSER_FAULTS_WEBHOOKS", 350)
_DEATHS: Final = 3

Told = list[tuple[str, int]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def endpoint(web: House, tenant: Character, receiver: Receiver) -> Iterator[WebhookEndpoint]:
    """Of grants; gone after the test, so that the next one's receiver hears of its own events only."""
    with (
        web.looking_inside(),
        override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False),
        environment_scope(tenant.test.id),
    ):
        made = endpoint_create(
            caller=tenant.test.caller, url=receiver.url, events=["credit.granted"], now=system_now()
        ).endpoint
    yield made
    with web.superuser() as superuser:
        superuser.execute("UPDATE customers_webhook_endpoint SET deleted_at = now() WHERE id = %s", [made.id])


@pytest.fixture
def postman(house: House) -> Iterator[Worker]:
    """The worker of the queue `webhooks`, as `make run` starts it."""
    worker = Worker(
        house,
        *("--queues", "webhooks", "--pool", "threads", "--concurrency", "16"),
        WEBHOOKS_ALLOW_PRIVATE="true",
        WEBHOOKS_SIGNING_KEY=settings.WEBHOOKS_SIGNING_KEY,
    )
    yield worker
    worker.kill()


@pytest.fixture
def beat(house: House, tmp_path: Path) -> Iterator[None]:
    schedule = ["--schedule", str(tmp_path / "schedule")]
    process = house.run(["celery", "-A", "config.celery", "beat", *schedule], log="beat")
    yield
    kill_group(process)


class Broker(Thread):
    """Forgets all it holds, again and again."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis.from_url(url)
        self.is_over, self.times = Event(), 0

    def run(self) -> None:
        while not self.is_over.wait(0.25):
            self.client.flushall()
            self.times += 1


def _grant(backend: Backend, who: str) -> None:
    done(
        backend.post(f"/v1/customer-by-external-id/{who}/credits/grant", {"credits": 1_000}, key=uuid4().hex)
    )


def _emitted(house: House, customers: list[str]) -> Told:
    with house.superuser() as superuser:
        rows = superuser.execute(
            "SELECT payload->>'id', sequence FROM customers_outbox_event WHERE event = 'credit.granted' "
            "AND payload->>'external_customer_id' = ANY(%s) ORDER BY payload->>'external_customer_id', sequence",
            [customers],
        ).fetchall()
    return [(row[0], row[1]) for row in rows]


def _accepted(receiver: Receiver, customers: list[str]) -> Told:
    """By customer, as they came; one that came twice counts where it came first."""
    got: Told = []
    for who in sorted(customers):
        mine = [event for event in receiver.accepted if event["external_customer_id"] == who]
        got += dict.fromkeys((event["id"], event["sequence"]) for event in mine)
    return got


def _waiting(house: House, endpoint: WebhookEndpoint) -> int:
    with house.superuser() as superuser:
        row = superuser.execute(
            "SELECT (SELECT count(*) FROM customers_outbox_event WHERE dispatched_at IS NULL) + "
            "(SELECT count(*) FROM customers_webhook_lane WHERE endpoint_id = %s)",
            [endpoint.id],
        ).fetchone()
    return int(row[0]) if row else 0


@pytest.mark.usefixtures("backend", "beat")
def test_a_broker_flushed_again_and_again_loses_no_event(
    web: House, tenant: Character, endpoint: WebhookEndpoint, receiver: Receiver, postman: Worker
) -> None:
    # given
    customers = sorted(f"flushed-{number:02}-{uuid4().hex[:8]}" for number in range(_CUSTOMERS))
    broker = Broker(web.environment()["REDIS_URL"])
    postman.start()

    def write(index: int) -> None:
        backend = Backend(web.port, tenant.test.secret)
        for number in range(_EACH):
            _grant(backend, customers[(index * 5 + number) % _CUSTOMERS])

    # when
    broker.start()
    assert run_together(_WRITERS, write) == [None] * _WRITERS
    wait_until(lambda: len(receiver.accepted) > _EACH, what="some of it has arrived")
    broker.is_over.set()
    broker.join()
    # then
    wait_until(lambda: _waiting(web, endpoint) == 0, what="everything was sent", seconds=120)
    emitted = _emitted(web, customers)
    assert len(emitted) == _WRITERS * _EACH
    assert _accepted(receiver, customers) == emitted
    assert broker.times > 4


@pytest.mark.usefixtures("backend")
def test_a_worker_killed_between_sending_and_recording_sends_the_same_again_and_skips_nothing(
    web: House,
    backend: Backend,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    postman: Worker,
    failpoints: Failpoints,
) -> None:
    customers = sorted(f"told-twice-{number}-{uuid4().hex[:8]}" for number in range(4))
    for number in range(40):
        _grant(backend, customers[number % 4])
    emitted = _emitted(web, customers)
    for _ in range(_DEATHS):
        # given a worker that has sent, and has recorded nothing of it
        before = len(receiver.received)
        with failpoints.gate_closed(), failpoints.armed("wait", SENT):
            postman.start()
            postman.ring("customers.webhooks_sweep")
            failpoints.wait_for(1)
            assert len(receiver.received) > before
            # when
            postman.kill()
            failpoints.roll_back_waiting()
        assert _attempts(web, endpoint) == 0
        _lapse(web, endpoint)
    # then the next one sends it again
    postman.start()
    wait_until(lambda: _rung(postman) and _waiting(web, endpoint) == 0, what="everything was sent")
    assert _accepted(receiver, customers) == emitted
    bodies: dict[str, set[bytes]] = {}
    for message in receiver.received:
        bodies.setdefault(message.headers["webhook-id"], set()).add(message.body)
    assert bodies.keys() == {name for name, _ in emitted}
    assert {len(each) for each in bodies.values()} == {1}
    assert len(receiver.received) > len(emitted)
    assert _attempts(web, endpoint) == len(emitted)


def _rung(postman: Worker) -> bool:
    postman.ring("customers.webhooks_sweep")
    time.sleep(0.3)
    return True


def _attempts(house: House, endpoint: WebhookEndpoint) -> Any:
    with house.superuser() as superuser:
        row = superuser.execute(
            "SELECT count(*) FROM customers_webhook_attempt WHERE endpoint_id = %s", [endpoint.id]
        ).fetchone()
    return row[0] if row else None


def _lapse(house: House, endpoint: WebhookEndpoint) -> None:
    """As a minute does."""
    with house.superuser() as superuser:
        for table in ("customers_webhook_lane", "customers_webhook_slot"):
            superuser.execute(
                f"UPDATE {table} SET claimed_until = now() - interval '1 second' "
                "WHERE endpoint_id = %s AND claim_id IS NOT NULL",
                [endpoint.id],
            )
