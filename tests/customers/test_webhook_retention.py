"""What is over is forgotten after a while, whole; what is not stays, however old it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import DeliveryState, OutboxEvent, WebhookAttempt, WebhookDelivery
from customers.services.webhook_deliveries import event_redeliver
from customers.services.webhook_dispatch import events_hand_out
from customers.services.webhook_endpoints import endpoint_update
from customers.services.webhook_retention import webhooks_purge
from customers.tasks import webhook_events_purge_run
from tests.customers.test_webhook_delivery import NOW, emit, make_customer, make_endpoint, work
from tests.customers.webhook_receiver import Answer, receiving

RETENTION = timedelta(days=90)


@pytest.fixture(autouse=True)
def _loopback():
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False):
        yield


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def world(acme):
    with environment_scope(acme.test.id):
        yield acme.test


def later(world, *, by=RETENTION + timedelta(minutes=1)):
    """So much later everything that is over is purged, in every environment of the database; how it looks here then."""
    webhooks_purge(now=system_now() + by)
    return [row.id for row in OutboxEvent.objects.filter(environment_id=world.id).order_by("id")]


def test_an_event_goes_with_its_deliveries_and_attempts_and_the_newest_stays(world, receiver):
    make_endpoint(world, receiver, ["credit.granted"])
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    first, second = (emit(world, make_customer(world)) for _ in range(2))
    work(world, endpoint)
    other = WebhookDelivery.objects.exclude(endpoint=endpoint)
    other.update(state=DeliveryState.DEAD, finished_at=system_now())
    newest = OutboxEvent.objects.order_by("-position")[0]

    assert first in later(world, by=RETENTION - timedelta(minutes=1))
    assert later(world) == [newest.id] == [second]
    assert {row.event_id for row in WebhookDelivery.objects.all()} == {second}
    assert {row.delivery.event_id for row in WebhookAttempt.objects.all()} == {second}


def test_numbers_go_on_after_everything_was_forgotten(world, receiver):
    emit(world)
    last = emit(world)
    events_hand_out(environment_id=world.id)
    position = OutboxEvent.objects.get(id=last).position

    later(world)
    following = emit(world)
    events_hand_out(environment_id=world.id)
    assert position is not None
    assert OutboxEvent.objects.get(id=following).position == position + 1


def test_what_waits_or_was_not_handed_out_stays_however_old_it_is(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    receiver.behave = lambda _event: Answer(500)
    failing = emit(world)
    work(world, endpoint)
    endpoint_update(
        caller=world.caller, endpoint_id=endpoint.id, attributes={"status": "paused"}, reason="", now=NOW
    )
    paused = emit(world)
    emit(world, event="customer.created")
    events_hand_out(environment_id=world.id)
    new = emit(world, event="customer.updated")

    assert {failing, paused, new} <= set(later(world))
    assert WebhookAttempt.objects.filter(endpoint=endpoint).count() == 1


def test_sent_again_by_hand_it_begins_anew(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    event = emit(world)
    work(world, endpoint)
    emit(world)
    work(world, endpoint)
    long_ago = system_now() - timedelta(days=60)
    WebhookDelivery.objects.update(finished_at=long_ago, created_at=long_ago)

    event_redeliver(caller=world.caller, event_id=event, now=NOW)
    work(world, endpoint)
    assert event in later(world, by=timedelta(days=60))
    assert event not in later(world)


def test_what_somebody_holds_is_left_for_the_next_time(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    event = emit(world)
    emit(world)
    work(world, endpoint)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT set_config('purser.environment_id', %s, true)", [str(world.id)])
            cursor.execute(
                "SELECT 1 FROM customers_webhook_delivery WHERE event_id = %s FOR NO KEY UPDATE", [event]
            )
            assert cursor.fetchall() == [(1,)]
        assert event in later(world)
        other.rollback()
    finally:
        other.close()
    assert event not in later(world)


def test_more_than_a_batch_goes_in_one_run_and_what_stays_is_no_obstacle(world, receiver, monkeypatch):
    monkeypatch.setattr("customers.services.webhook_retention._BATCH", 2)
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    stuck = [emit(world) for _ in range(3)]
    events_hand_out(environment_id=world.id)
    gone = [emit(world, event="customer.created") for _ in range(5)]
    newest = emit(world, event="customer.created")
    events_hand_out(environment_id=world.id)

    left = later(world)
    assert left == [*stuck, newest]
    assert not set(gone) & set(left)
    assert WebhookDelivery.objects.filter(endpoint=endpoint).count() == 3


def test_nothing_young_is_touched_and_zero_keeps_for_ever(world):
    emit(world)
    emit(world)
    events_hand_out(environment_id=world.id)

    webhook_events_purge_run()
    with override_settings(WEBHOOKS_RETENTION_DAYS=0):
        assert webhooks_purge(now=system_now() + timedelta(days=9999)) == 0
    assert OutboxEvent.objects.count() == 2
