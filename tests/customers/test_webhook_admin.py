"""Webhook endpoints and deliveries in the admin."""

from __future__ import annotations

import re

import pytest
from django.test import override_settings

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid
from customers.models import AuditRecord, WebhookDelivery, WebhookEndpoint, WebhookLane
from tests.customers.test_webhook_delivery import emit, make_customer, work
from tests.customers.webhook_receiver import Answer, receiving
from tests.desk import Desk, somebody

ENDPOINTS = "/admin/customers/webhookendpoint/"
DELIVERIES = "/admin/customers/webhookdelivery/"
EVENTS = "/admin/customers/outboxevent/"


@pytest.fixture(autouse=True)
def _loopback():
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False):
        yield


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def endpoint(desk, acme, receiver):
    page = desk.send(f"{ENDPOINTS}add/", {"url": receiver.url, "events": "credit.*"}).content.decode()
    assert re.search(r"whsec_[A-Za-z0-9]{32}", page)
    with environment_scope(acme.test.id):
        return WebhookEndpoint.objects.get()


def test_an_endpoint_is_added_with_its_secret_shown_once_and_listed(desk, endpoint):
    listed = desk.open(ENDPOINTS)
    page = desk.open(f"{ENDPOINTS}{endpoint.public_id}/change/")

    assert endpoint.url in listed
    assert "whsec_" not in listed + page
    assert endpoint.events == ["credit.*"]


def test_an_event_says_what_became_of_it_at_each_endpoint(desk, acme, endpoint, receiver):
    receiver.behave = lambda _: Answer(200)
    with environment_scope(acme.test.id):
        emit(acme.test, make_customer(acme.test), amount=1)
        work(acme.test, endpoint)
        delivery = WebhookDelivery.objects.get()

    page = desk.open(f"{EVENTS}{typeid('msg', delivery.event_id)}/change/")

    for word in (endpoint.url, delivery.public_id, "Delivered", "attempts: 1"):
        assert word in page, word


def test_a_bad_url_is_said_at_its_field(desk):
    answer = desk.send(f"{ENDPOINTS}add/", {"url": "http://169.254.169.254/", "events": "*"})

    assert answer.status_code == 422
    assert "link-local" in answer.content.decode()


def test_every_attempt_is_shown_and_a_dead_delivery_is_retried(desk, acme, receiver, endpoint):
    world = acme.test
    receiver.behave = lambda _event: Answer(500, body=b"<b>broken</b>")
    with environment_scope(world.id):
        emit(world, make_customer(world), amount=5)
        work(world, endpoint)
        WebhookDelivery.objects.update(state="dead")
        delivery = WebhookDelivery.objects.get()
    path = f"{DELIVERIES}{delivery.public_id}/change/"
    page = desk.open(path)
    assert "HTTP 500" in page
    assert "&lt;b&gt;broken" in page
    assert "webhook-signature" in page

    receiver.behave = lambda _event: Answer()
    desk.send(f"{DELIVERIES}{delivery.public_id}/retry/", {"reason": "Fixed"})
    with environment_scope(world.id):
        work(world, endpoint)
        delivery.refresh_from_db()
        assert delivery.state == "delivered"
        assert AuditRecord.objects.filter(action="webhook_delivery.retried", reason="Fixed").count() == 1
    assert "Attempt 2" in desk.open(path)
    assert "1 arrived, 1 failed" in desk.open(ENDPOINTS)
    assert "credit.granted" in desk.open(f"{DELIVERIES}?endpoint={endpoint.public_id}")


def test_the_ticked_deliveries_are_sent_again_at_once_for_one_reason(desk, acme, receiver, endpoint):
    world = acme.test
    receiver.behave = lambda _event: Answer(500)
    with environment_scope(world.id):
        for _ in range(3):
            emit(world, make_customer(world), amount=5)
        work(world, endpoint)
        WebhookDelivery.objects.update(state="dead")
        WebhookLane.objects.all().delete()
        one, other, third = WebhookDelivery.objects.order_by("id")
    ticked = {"action": "retry_chosen", "_selected_action": [str(one.id), str(other.id)]}

    dialog = desk.client.post(DELIVERIES, ticked)
    assert dialog.status_code == 302
    assert "credit.granted to http" in desk.open(dialog.url)
    receiver.behave = lambda _event: Answer()
    assert desk.send(dialog.url, {"reason": "Their outage is over"}).status_code == 302

    with environment_scope(world.id):
        work(world, endpoint)
        assert [row.state for row in WebhookDelivery.objects.order_by("id")] == [
            "delivered",
            "delivered",
            "dead",
        ]
        records = AuditRecord.objects.filter(action="webhook_delivery.retried", reason="Their outage is over")
        assert {row.object_id for row in records} == {one.public_id, other.public_id}
    assert third.public_id in desk.open(f"{DELIVERIES}?state__exact=dead")


def test_one_that_may_not_be_retried_leaves_all_as_they_were(desk, acme, rival, receiver, endpoint):
    world = acme.test
    with environment_scope(world.id):
        emit(world, make_customer(world), amount=5)
        work(world, endpoint)
        delivery = WebhookDelivery.objects.get()
    path = f"{DELIVERIES}retry/?ids={delivery.public_id}"
    desk.send(f"{ENDPOINTS}{endpoint.public_id}/disable/", {"reason": "Because"})

    refused = desk.send(path, {"reason": "Again"})
    assert refused.status_code == 422
    assert "resume it first" in refused.content.decode()
    with environment_scope(world.id):
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("delivered", 1)
    Desk(desk.user, rival.test).open(path, status=404)
    viewer = Desk(somebody("viewer"), world)
    viewer.open(path, status=403)
    assert "retry_chosen" not in viewer.open(DELIVERIES)


def test_deliveries_and_events_are_found_by_event_customer_and_id(desk, acme, receiver, endpoint):
    world = acme.test
    with environment_scope(world.id):
        ada, bob = make_customer(world, "ada"), make_customer(world, "bob")
        emit(world, ada, amount=5)
        emit(world, bob, event="credit.adjusted", amount=7)
        work(world, endpoint)
        delivery = WebhookDelivery.objects.get(customer_id=ada.id)

    for term in (ada.external_id, "credit.granted", typeid("msg", delivery.event_id)):
        for listed in (desk.open(f"{DELIVERIES}?q={term}"), desk.open(f"{EVENTS}?q={term}")):
            assert ada.public_id in listed
            assert bob.public_id not in listed
    found = desk.open(f"{DELIVERIES}?q={delivery.public_id}")
    assert ada.public_id in found
    assert bob.public_id not in found


def test_pause_resume_test_rotate_disable_and_retry_are_dialogs(desk, acme, endpoint, receiver):
    path = f"{ENDPOINTS}{endpoint.public_id}"

    def status_after(deed, **data):
        answer = desk.send(f"{path}/{deed}/", {"reason": "Because", **data})
        assert answer.status_code in (200, 302), answer.content
        with environment_scope(acme.test.id):
            return WebhookEndpoint.objects.get().status

    assert status_after("pause") == "paused"
    assert status_after("resume", redeliver_from="") == "active"
    assert status_after("test") == "active"
    assert status_after("rotate") == "active"
    assert status_after("retry") == "active"
    assert status_after("edit", url=endpoint.url, events="*\ncredit.consumed", description="x") == "active"
    assert status_after("disable") == "disabled"
    with environment_scope(acme.test.id):
        assert WebhookEndpoint.objects.get().events == ["*", "credit.consumed"]
        assert WebhookDelivery.objects.get().event.event == "webhook.test"


def test_a_viewer_looks_and_changes_nothing_and_pages_stay_cheap(desk, acme, endpoint):
    viewer = Desk(somebody("viewer"), acme.test)

    assert endpoint.url in viewer.open(ENDPOINTS)
    viewer.open(f"{ENDPOINTS}{endpoint.public_id}/pause/", status=403)
    viewer.open(f"{ENDPOINTS}add/", status=403)
    for page in (ENDPOINTS, DELIVERIES, f"{ENDPOINTS}{endpoint.public_id}/change/"):
        assert desk.queries(page) <= 15
