"""Many writers, bad receivers, dying workers: afterwards what was received is what was emitted, in order."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from threading import Event, Lock
from time import monotonic

import pytest
from django.test import override_settings

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid
from customers.models import OutboxEvent, WebhookDelivery, WebhookLane
from customers.services import webhook_dispatch
from customers.services.webhook_dispatch import endpoint_deliver, events_hand_out, webhooks_due
from customers.services.webhook_endpoints import endpoint_create
from tests.conftest import run_together
from tests.customers.test_webhook_delivery import NOW, emit, make_customer
from tests.customers.webhook_receiver import Answer, receiving

WRITERS, WORKERS, CUSTOMERS, EACH = 12, 4, 12, 200
PATHS = ("/one", "/two")


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """As in production, in seconds instead of hours."""
    for name, value in (
        ("TIMEOUT_SECONDS", 0.3),
        ("_CLAIM", timedelta(seconds=1.5)),
        ("_TURN_SECONDS", 0.8),
        ("FAILURES_MAX", 1000),
        ("next_try", lambda **told: told["now"] + timedelta(milliseconds=30)),
    ):
        monkeypatch.setattr(webhook_dispatch, name, value)
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False):
        yield


def moody(chance):
    """Answers well, mostly; or fails, hangs up, redirects, is slow, or says yes when nobody waits any more."""
    moods = [Answer(500), Answer(503), Answer(None), Answer(seconds=0.02), Answer(302)]

    def behave(_event):
        luck = chance.random()
        return Answer(seconds=0.5) if luck < 0.003 else chance.choice(moods) if luck < 0.06 else Answer()

    return behave


def mortal(chance, record):
    """Some workers die after they sent and before they recorded it."""
    deaths = iter([True] * 4)

    def act(*arguments):
        if arguments[3] and chance.random() < 0.05 and next(deaths, False):
            raise KeyboardInterrupt
        record(*arguments)

    return act


class Storm:
    def __init__(self, world):
        self.world = world
        self.customers = [make_customer(world) for _ in range(CUSTOMERS)]
        self.is_over = Event()
        self.written, self.lock = 0, Lock()

    def act(self, index):
        with environment_scope(self.world.id):
            if index < WRITERS:
                self.write(index)
            else:
                self.toil()

    def write(self, index):
        for number in range(EACH):
            emit(self.world, self.customers[(index * 3 + number) % CUSTOMERS], number=number)
        with self.lock:
            self.written += 1
        if self.written == WRITERS:
            self.is_over.set()

    def toil(self):
        until = monotonic() + 40
        while monotonic() < until and not self.is_calm():
            for environment_id, endpoint_id in webhooks_due():
                if environment_id == self.world.id:
                    with suppress(KeyboardInterrupt):
                        self.serve(endpoint_id)

    def serve(self, endpoint_id):
        if endpoint_id is None:
            events_hand_out(environment_id=self.world.id)
        else:
            endpoint_deliver(environment_id=self.world.id, endpoint_id=endpoint_id)

    def is_calm(self):
        waiting = OutboxEvent.objects.filter(environment_id=self.world.id, dispatched_at__isnull=True)
        lanes = WebhookLane.objects.filter(environment_id=self.world.id)
        return self.is_over.is_set() and not waiting.exists() and not lanes.exists()


def test_what_is_received_is_what_was_emitted_in_order_per_customer(acme, monkeypatch):
    chance, world = random.Random(6), acme.test
    monkeypatch.setattr(webhook_dispatch, "_record", mortal(chance, webhook_dispatch._record))
    with environment_scope(world.id), receiving() as receiver:
        receiver.behave = moody(chance)
        for path in PATHS:
            url = receiver.url + path
            endpoint_create(caller=world.caller, url=url, events=["credit.granted"], now=NOW)
        storm = Storm(world)
        ended = run_together(WRITERS + WORKERS, storm.act)

        assert [each for each in ended if each is not None] == []
        emitted = list(OutboxEvent.objects.filter(event="credit.granted").order_by("sequence"))
        assert len(emitted) == WRITERS * EACH
        states = list(WebhookDelivery.objects.values_list("state", flat=True))
        assert states == ["delivered"] * (len(emitted) * len(PATHS))
        for path in PATHS:
            assert_arrived(emitted, receiver.accepted_at(path), storm.customers)


def assert_arrived(emitted, got, customers):
    assert {event["id"] for event in got} == {typeid("msg", event.id) for event in emitted}
    for customer in customers:
        numbers = [event["sequence"] for event in got if event["customer_id"] == customer.public_id]
        wanted = [event.sequence for event in emitted if event.customer_id == customer.id]
        # A number twice is the same message twice; a number late would be out of order.
        assert list(dict.fromkeys(numbers)) == wanted
