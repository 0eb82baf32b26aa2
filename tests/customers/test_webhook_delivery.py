"""Webhooks on their way: what is sent, what is tried again, in which order, and by whom."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from standardwebhooks import Webhook

from customers.gateways import webhook_http
from customers.gateways.webhook_http import webhook_post
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid
from customers.models import (
    Customer,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLane,
    WebhookSlot,
)
from customers.services import webhook_dispatch
from customers.services.customers import customer_create
from customers.services.outbox import event_emit
from customers.services.webhook_dispatch import endpoint_deliver, events_hand_out, webhooks_due
from customers.services.webhook_endpoints import (
    endpoint_create,
    endpoint_resume,
    endpoint_rotate_secret,
    endpoint_test,
    endpoint_update,
)
from tests.customers.webhook_receiver import Answer, receiving

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)


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


def make_endpoint(world, receiver, events=("*",)):
    return endpoint_create(caller=world.caller, url=receiver.url, events=events, now=NOW)


def make_customer(world, name="ada"):
    return customer_create(
        caller=world.caller, external_id=f"{name}-{uuid4().hex[:8]}", attributes={}, now=NOW
    )


def emit(world, customer=None, event="credit.granted", **data):
    return event_emit(
        caller=world.caller, event=event, customer=customer.id if customer else None, data=data, now=NOW
    )


def work(world, endpoint):
    """Hand out and send all that is due; how many attempts that took."""
    events_hand_out(environment_id=world.id)
    attempts = 0
    while sent := endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id):
        attempts += sent
    return attempts


def make_due(endpoint):
    """The time for every retry has come."""
    past = system_now() - timedelta(seconds=1)
    WebhookLane.objects.filter(endpoint_id=endpoint.id).update(next_at=past)
    WebhookEndpoint.objects.filter(id=endpoint.id, open_until__isnull=False).update(open_until=past)


def claims_lapse(endpoint):
    """As a minute does."""
    past = system_now()
    for claimed in (WebhookLane, WebhookSlot):
        claimed.objects.filter(endpoint_id=endpoint.id, claim_id__isnull=False).update(claimed_until=past)


def states(endpoint):
    rows = WebhookDelivery.objects.filter(endpoint_id=endpoint.id).order_by("id")
    return [row.state for row in rows]


def test_an_event_arrives_signed_and_flat_as_the_public_library_sees_it(world, receiver):
    made = make_endpoint(world, receiver, ["credit.granted"])
    customer = make_customer(world)
    emit(world, customer, amount=5000, block_id="blk_1")

    assert work(world, made.endpoint) == 1
    (got,) = receiver.received
    event = Webhook(made.secret).verify(got.body, got.headers)
    assert event["event"] == "credit.granted"
    assert event["amount"] == 5000
    assert event["sequence"] == 2
    assert event["environment"] == "test"
    assert event["customer"] == {
        "id": customer.public_id,
        "external_id": customer.external_id,
        "display_name": None,
    }
    assert event["id"] == got.headers["webhook-id"]
    assert got.headers["content-type"] == "application/json"
    assert states(made.endpoint) == ["delivered"]


def test_after_a_rotation_both_secrets_verify_for_a_day(world, receiver):
    old = make_endpoint(world, receiver)
    new = endpoint_rotate_secret(caller=world.caller, endpoint_id=old.endpoint.id, now=NOW)
    emit(world)
    work(world, new.endpoint)
    WebhookEndpoint.objects.filter(id=new.endpoint.id).update(previous_until=system_now())
    emit(world)
    work(world, new.endpoint)

    assert old.secret != new.secret
    both, only_new = receiver.received
    Webhook(old.secret).verify(both.body, both.headers)
    Webhook(new.secret).verify(both.body, both.headers)
    Webhook(new.secret).verify(only_new.body, only_new.headers)
    assert len(only_new.headers["webhook-signature"].split()) == 1


def test_a_changed_signing_key_sends_nothing_and_says_so(world, receiver):
    made = make_endpoint(world, receiver)
    emit(world)
    with override_settings(WEBHOOKS_SIGNING_KEY="another"):
        work(world, made.endpoint)

    assert receiver.received == []
    (attempt,) = WebhookDelivery.objects.get(endpoint_id=made.endpoint.id).attempt_rows.all()
    assert "rotate the secret" in attempt.error


def test_only_wanted_events_are_queued_and_consumption_only_by_name(world, receiver):
    everything = make_endpoint(world, receiver).endpoint
    credits = make_endpoint(world, receiver, ["credit.*"]).endpoint
    named = make_endpoint(world, receiver, ["credit.consumed"]).endpoint
    paused = make_endpoint(world, receiver, ["credit.expired"]).endpoint
    endpoint_update(caller=world.caller, endpoint_id=paused.id, attributes={"status": "paused"}, now=NOW)
    customer = make_customer(world)
    emit(world, customer, "credit.consumed", amount=1)
    emit(world, customer, "credit.expired", amount=2)
    for endpoint in (everything, credits, named, paused):
        work(world, endpoint)

    def events(endpoint):
        found = WebhookDelivery.objects.filter(endpoint_id=endpoint.id).order_by("sequence")
        return [(each.event.event, each.state) for each in found]

    assert events(everything) == [("customer.created", "delivered"), ("credit.expired", "delivered")]
    assert events(credits) == [("credit.expired", "delivered")]
    assert events(named) == [("credit.consumed", "delivered")]
    assert events(paused) == [("credit.expired", "pending")]


def test_a_failed_customer_waits_in_order_and_the_others_go_on(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    sick, well = make_customer(world, "sick"), make_customer(world, "well")
    receiver.behave = lambda event: Answer(500 if event["customer_id"] == sick.public_id else 200)
    for number in range(3):
        emit(world, sick, number=number)
        emit(world, well, number=number)

    work(world, endpoint)
    assert [event["number"] for event in receiver.accepted] == [0, 1, 2]
    assert len(receiver.received) == 4
    lane = WebhookLane.objects.get(endpoint_id=endpoint.id, lane=sick.id)
    assert 4 <= (lane.next_at - system_now()).total_seconds() + 0.5 <= 6

    receiver.behave = lambda _event: Answer()
    assert work(world, endpoint) == 0
    make_due(endpoint)
    work(world, endpoint)
    mine = [event["number"] for event in receiver.accepted if event["customer_id"] == sick.public_id]
    assert mine == [0, 1, 2]
    assert not WebhookLane.objects.filter(endpoint_id=endpoint.id).exists()


def test_the_schedule_ends_after_seven_retries_and_then_the_next_event_has_its_turn(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    customer = make_customer(world)
    first, second = emit(world, customer, number=1), emit(world, customer, number=2)
    receiver.behave = lambda event: Answer(500 if event["number"] == 1 else 200)
    pauses = []
    work(world, endpoint)
    for _ in range(7):
        row = WebhookDelivery.objects.get(event_id=first)
        last = row.attempt_rows.order_by("-number").first()
        assert last is not None
        assert row.next_attempt_at is not None
        pauses.append((row.next_attempt_at - last.started_at).total_seconds())
        make_due(endpoint)
        work(world, endpoint)

    wanted = [5, 300, 1800, 7200, 18000, 36000, 50400]
    assert all(0.89 * due <= pause <= 1.11 * due + 1 for pause, due in zip(pauses, wanted, strict=True))
    dead = WebhookDelivery.objects.get(event_id=first)
    assert (dead.state, dead.attempts) == ("dead", 8)
    assert WebhookDelivery.objects.get(event_id=second).state == "delivered"
    assert {row.response_status for row in dead.attempt_rows.all()} == {500}


def test_retry_after_makes_it_later(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    event = emit(world)
    receiver.behave = lambda _event: Answer(503, headers={"Retry-After": "900"})
    work(world, endpoint)

    row = WebhookDelivery.objects.get(event_id=event)
    assert row.next_attempt_at is not None
    assert 890 < (row.next_attempt_at - system_now()).total_seconds() <= 901


def test_410_disables_and_what_waited_is_skipped_until_it_is_redelivered(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    customer = make_customer(world)
    before = system_now()
    for number in range(3):
        emit(world, customer, number=number)
    receiver.behave = lambda _event: Answer(410)
    assert work(world, endpoint) == 1

    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.status_reason) == ("disabled", "gone")
    assert states(endpoint) == ["dead", "skipped", "skipped"]
    emit(world, customer, number=3)
    work(world, endpoint)
    assert len(states(endpoint)) == 3

    receiver.behave = lambda _event: Answer()
    queued = endpoint_resume(caller=world.caller, endpoint_id=endpoint.id, redeliver_from=before, now=NOW)
    work(world, endpoint)
    assert queued == 4
    assert [event["number"] for event in receiver.accepted] == [0, 1, 2, 3]


def test_redirects_are_failures_and_not_followed(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    emit(world)
    receiver.behave = lambda _event: Answer(302, headers={"Location": receiver.url})
    work(world, endpoint)

    assert len(receiver.received) == 1
    assert states(endpoint) == ["pending"]


@pytest.mark.parametrize(
    "answer",
    [Answer(seconds=3.0), Answer(body=b"x" * 100, trickle=True)],
    ids=["hangs", "trickles"],
)
def test_an_attempt_ends_after_its_total_time(world, receiver, monkeypatch, answer):
    monkeypatch.setattr("customers.services.webhook_dispatch.TIMEOUT_SECONDS", 0.6)
    endpoint = make_endpoint(world, receiver).endpoint
    emit(world)
    receiver.behave = lambda _event: answer
    work(world, endpoint)

    (attempt,) = WebhookDelivery.objects.get(endpoint_id=endpoint.id).attempt_rows.all()
    assert attempt.response_status is None
    assert attempt.error == "no answer within 0.6 s"


def test_connections_are_used_again_and_one_that_was_closed_is_opened_anew(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    for number in range(10):
        emit(world, number=number)
    work(world, endpoint)
    assert receiver.connections == 1

    receiver.behave = lambda _event: Answer(headers={"Connection": "close"})
    emit(world)
    emit(world)
    work(world, endpoint)
    assert set(states(endpoint)) == {"delivered"}


def test_ten_failures_open_the_circuit_and_one_success_closes_it(world, receiver, caplog):
    endpoint = make_endpoint(world, receiver).endpoint
    for number in range(12):
        emit(world, number=number)
    receiver.behave = lambda _event: Answer(500)
    work(world, endpoint)
    assert len(receiver.received) == 10
    endpoint.refresh_from_db()
    assert endpoint.open_until is not None
    assert "is failing" in caplog.text
    assert (world.id, endpoint.id) not in webhooks_due()

    # Half open: a single probe.
    make_due(endpoint)
    assert endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id) == 1
    receiver.behave = lambda _event: Answer()
    make_due(endpoint)
    assert work(world, endpoint) == 12
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.open_until, endpoint.failing_since) == (0, None, None)


def test_what_fails_for_days_is_disabled_and_the_operators_are_mailed(world, receiver, mailoutbox):
    endpoint = make_endpoint(world, receiver).endpoint
    emit(world)
    receiver.behave = lambda _event: Answer(500)
    work(world, endpoint)
    WebhookEndpoint.objects.filter(id=endpoint.id).update(failing_since=system_now() - timedelta(hours=121))
    make_due(endpoint)
    with override_settings(ADMINS=[("ops", "ops@example.test")]):
        work(world, endpoint)

    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.status_reason) == ("disabled", "failing")
    assert [mail.to for mail in mailoutbox] == [["ops@example.test"]]


def test_a_worker_that_dies_before_it_records_leads_to_the_same_message_again(world, receiver, monkeypatch):
    endpoint = make_endpoint(world, receiver).endpoint
    event = emit(world)
    events_hand_out(environment_id=world.id)

    def die(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("customers.services.webhook_dispatch._record", die)
        with pytest.raises(KeyboardInterrupt):
            endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id)
    assert endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id) == 0

    claims_lapse(endpoint)
    assert (world.id, endpoint.id) in webhooks_due()
    assert endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id) == 1
    ids = {got.headers["webhook-id"] for got in receiver.received}
    assert (len(receiver.received), ids) == (2, {typeid("msg", event)})


def test_a_test_event_goes_to_one_endpoint_only(world, receiver):
    one = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    other = make_endpoint(world, receiver).endpoint
    endpoint_test(caller=world.caller, endpoint_id=one.id, now=NOW)
    work(world, one)
    work(world, other)

    assert [got.json["event"] for got in receiver.received] == ["webhook.test"]
    assert states(other) == []


def test_no_more_workers_than_allowed_serve_an_endpoint_and_a_slow_one_has_one(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    for _ in range(8):
        emit(world)
    events_hand_out(environment_id=world.id)

    def claim():
        now = system_now()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT * FROM customers_webhook_claim_v1(%s, %s, %s, 1, 2, %s, %s)",
                [world.id, endpoint.id, uuid4(), now, now + timedelta(seconds=60)],
            )
            return len(cursor.fetchall())

    assert [claim(), claim(), claim()] == [1, 1, 0]
    claims_lapse(endpoint)
    WebhookEndpoint.objects.filter(id=endpoint.id).update(latency_ms=2000)
    assert [claim(), claim()] == [1, 0]


def test_a_claim_takes_as_many_of_each_customer_as_make_a_full_load_together(world, receiver):
    endpoint = make_endpoint(world, receiver, ["credit.granted"]).endpoint
    few, many = make_customer(world, "few"), make_customer(world, "many")
    emit(world, few, number=0)
    for number in range(5):
        emit(world, many, number=number)
    events_hand_out(environment_id=world.id)

    with patch.object(webhook_dispatch, "BATCH", 4):
        sent = endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id)

    told = [(event["external_customer_id"], event["number"]) for event in receiver.accepted]
    assert sent == 3
    assert sorted(told) == sorted([(few.external_id, 0), (many.external_id, 0), (many.external_id, 1)])
    (lane,) = WebhookLane.objects.filter(endpoint_id=endpoint.id)
    assert (lane.lane, lane.claim_id) == (many.id, None)
    work(world, endpoint)
    mine = [event["number"] for event in receiver.accepted if event["customer_id"] == many.public_id]
    assert mine == [0, 1, 2, 3, 4]


def test_a_worker_that_is_done_leaves_its_place_to_the_next(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    for _ in range(3):
        emit(world)
        work(world, endpoint)

    (slot,) = WebhookSlot.objects.filter(endpoint_id=endpoint.id)
    assert (slot.number, slot.claim_id, slot.claimed_until) == (0, None, None)


def test_a_lane_in_which_nothing_waits_any_more_is_let_go(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    emit(world)
    events_hand_out(environment_id=world.id)
    WebhookDelivery.objects.filter(endpoint_id=endpoint.id).update(state="skipped")

    assert endpoint_deliver(environment_id=world.id, endpoint_id=endpoint.id) == 0
    assert not WebhookLane.objects.filter(endpoint_id=endpoint.id).exists()
    assert receiver.received == []


def test_a_success_between_failures_is_noted_however_recent_the_last_one_was(world, receiver):
    endpoint = make_endpoint(world, receiver).endpoint
    for status in (200, 500, 200):
        receiver.behave = lambda _event, status=status: Answer(status)
        emit(world)
        work(world, endpoint)
        endpoint.refresh_from_db()
        assert endpoint.failures == (1 if status == 500 else 0)
    assert endpoint.failing_since is None


def test_positions_have_no_gaps_and_follow_each_customers_numbers(world):
    customers = [make_customer(world) for _ in range(4)]

    def write(customer):
        with environment_scope(world.id):
            for number in range(30):
                emit(world, customer, number=number)
        connection.close()

    threads = [Thread(target=write, args=(customer,)) for customer in customers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        events_hand_out(environment_id=world.id)
    events_hand_out(environment_id=world.id)

    rows = list(OutboxEvent.objects.filter(environment_id=world.id).order_by("position"))
    assert [row.position for row in rows] == list(range(1, 125))
    for customer in customers:
        numbers = [row.sequence for row in rows if row.customer_id == customer.id]
        assert numbers == list(range(1, 32))
    assert Customer.objects.filter(environment_id=world.id).count() == 4


def test_a_connection_idle_for_too_long_takes_with_it_those_idle_for_longer(receiver, together, monkeypatch):
    """Whoever keeps two and then needs one now and then would keep the other for ever."""
    endpoint_id = uuid4()
    both_are_there = Barrier(2)
    receiver.behave = lambda _event: (both_are_there.wait(10), Answer())[1]

    def post(_index=0):
        reply = webhook_post(
            endpoint_id=endpoint_id,
            url=receiver.url,
            body=b"{}",
            headers={},
            seconds=20.0,
            allow_private=True,
        )
        assert reply.status == 200

    together(2, post)
    assert len(webhook_http._POOL.idle[endpoint_id, receiver.url, True]) == 2
    receiver.behave = lambda _event: Answer()
    monkeypatch.setattr(webhook_http, "_IDLE_SECONDS", 0.0)

    post()

    assert receiver.connections == 3
    assert len(webhook_http._POOL.idle[endpoint_id, receiver.url, True]) == 1


def test_a_process_that_ends_closes_the_connections_it_kept(receiver):
    lines = [
        "from uuid import uuid4",
        "from customers.gateways.webhook_http import webhook_post",
        f"reply = webhook_post(endpoint_id=uuid4(), url={receiver.url!r}, body=b'{{}}', headers={{}}, seconds=20.0,"
        " allow_private=True)",
        "print(reply.status)",
    ]
    ended = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", "\n".join(lines)],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (ended.stdout, ended.stderr) == ("200\n", "")
