"""Webhook endpoints, events and deliveries over the API, and their catalogue."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings
from standardwebhooks import Webhook

from billing.models import LedgerEntry
from customers.events import CATALOGUE
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, typeid_parse
from customers.kernel.instants import instant_text
from customers.models import AuditRecord, Customer, Environment, OutboxEvent
from customers.services.webhook_dispatch import endpoint_deliver, events_hand_out
from tests.conftest import Api
from tests.customers.webhook_receiver import Answer, receiving

URL = "https://hooks.example.com/purser"


@pytest.fixture(autouse=True)
def _no_doorbell():
    with override_settings(WEBHOOKS_DOORBELL=False):
        yield


@pytest.fixture
def receiver():
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True), receiving() as made:
        yield made


def deliver(world, endpoint_id):
    events_hand_out(environment_id=world.id)
    with environment_scope(world.id):
        while endpoint_deliver(environment_id=world.id, endpoint_id=inside(endpoint_id)):
            pass


def inside(public_id):
    found = typeid_parse(public_id.partition("_")[0], public_id)
    assert found is not None
    return found


def test_an_endpoint_is_made_read_changed_and_deleted(api, rival):
    made = api.post("/v1/webhook-endpoints", {"url": URL, "description": "backend"})
    assert made.status == 201
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["*"]
    path = f"/v1/webhook-endpoints/{made['id']}"

    assert "secret" not in api.get(path).json
    assert [each["id"] for each in api.get("/v1/webhook-endpoints")["data"]] == [made["id"]]
    changed = api.patch(path, {"events": ["credit.*", "customer.created"], "status": "paused"})
    assert (changed["events"], changed["status"]) == (["credit.*", "customer.created"], "paused")
    assert changed["url"] == URL
    assert Api(rival.test.secret).get(path).refusal() == (404, "not-found")
    assert api.delete(path).status == 204
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert api.get("/v1/webhook-endpoints")["data"] == []


def test_the_same_key_shows_the_endpoint_again_without_its_secret(api):
    body = {"url": URL}
    first = api.post("/v1/webhook-endpoints", body, idempotency_key="one")
    again = api.post("/v1/webhook-endpoints", body, idempotency_key="one")

    assert (again.status, again["id"], again["secret"], again["duplicate"]) == (201, first["id"], None, True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost/x",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://user:pw@example.com/",
        "ftp://example.com/",
        "https://example.com/#x",
        "https://exa mple.com/",
        "https:///x",
        "nonsense",
        "https://example.com:99999/",
        "http://[::1",
    ],
)
def test_urls_that_lead_nowhere_good_are_refused(api, url):
    answer = api.post("/v1/webhook-endpoints", {"url": url})

    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == "url"


@pytest.mark.parametrize("events", [[], ["credit.nonsense"], ["nonsense.*"], "*", ["*" * 61], [7]])
def test_filters_name_events_that_exist(api, events):
    answer = api.post("/v1/webhook-endpoints", {"url": URL, "events": events})

    assert answer.refusal() == (422, "validation-failed")


def test_consumption_is_told_only_while_an_endpoint_names_it(api, acme):
    def tells():
        return Environment.objects.get(id=acme.test.id).tells_consumption

    api.post("/v1/webhook-endpoints", {"url": URL, "events": ["*", "credit.*"]})
    assert tells() is False
    named = api.post("/v1/webhook-endpoints", {"url": URL, "events": ["credit.consumed"]})
    assert tells() is True
    give_and_burn(api)
    api.delete(f"/v1/webhook-endpoints/{named['id']}")
    assert tells() is False
    burn(api, "two")
    events_hand_out(environment_id=acme.test.id)
    with environment_scope(acme.test.id):
        (event,) = OutboxEvent.objects.filter(event="credit.consumed")
    assert event.payload["amount"] == 1000
    assert event.payload["effective_balance"] == 4000
    assert event.payload["source"]["type"] == "event"
    assert event.payload["source"]["id"].startswith("evt_")


@pytest.mark.parametrize("threshold", [None, 10], ids=["nothing else rings", "a low balance would ring"])
def test_every_debit_is_told_with_what_it_left_and_its_number(api, acme, threshold):
    api.post("/v1/webhook-endpoints", {"url": URL, "events": ["credit.consumed"]})
    api.post(
        "/v1/customers", {"external_id": "ada", "display_name": "Ada", "low_balance_threshold": threshold}
    )
    give_and_burn(api)
    burn(api, "two")
    events_hand_out(environment_id=acme.test.id)

    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id="ada")
        events = list(OutboxEvent.objects.filter(customer_id=customer.id).order_by("sequence"))
        entries = list(LedgerEntry.objects.filter(account_id=customer.id, kind="debit").order_by("sequence"))
    assert [each.event for each in events] == ["customer.created", "credit.granted", *["credit.consumed"] * 2]
    for entry, event, left in zip(entries, events[2:], (4000, 3000), strict=True):
        assert event.payload == {
            "id": typeid("msg", event.id),
            "event": "credit.consumed",
            "created_at": instant_text(event.occurred_at),
            "environment": "test",
            "sequence": event.sequence,
            "customer_id": customer.public_id,
            "external_customer_id": "ada",
            "customer": {"id": customer.public_id, "external_id": "ada", "display_name": "Ada"},
            "ledger_entry_id": typeid("led", entry.id),
            "amount": 1000,
            "source": {"type": "event", "id": typeid("evt", entry.source_id)},
            "balance": left,
            "reserved_balance": 0,
            "effective_balance": left,
        }
    assert [event.sequence for event in events] == [1, 2, 3, 4]


def give_and_burn(api):
    api.post("/v1/billable-metrics", {"key": "call", "name": "Calls"})
    rule = {"billable_metric_key": "call", "cost_type": "per_unit", "unit_cost": 1000}
    assert api.post("/v1/metering-rules", rule).status == 201
    api.post(
        "/v1/customer-by-external-id/ada/credits/grant", {"credits": 5000, "reason": "x"}, idempotency_key="g"
    )
    burn(api, "one")


def burn(api, key):
    body = {"external_customer_id": "ada", "billable_metric_key": "call", "units": 1, "idempotency_key": key}
    answer = api.post("/v1/usage", body, idempotency_key=key)
    assert answer.status == 202, answer


def test_rotation_and_test_event_over_the_wire(api, acme, receiver):
    old = api.post("/v1/webhook-endpoints", {"url": receiver.url})
    path = f"/v1/webhook-endpoints/{old['id']}"
    new = api.post(f"{path}/rotate-secret")
    assert new["previous_secret_until"] is not None
    sent = api.post(f"{path}/test")
    assert (sent.status, sent["state"], sent["event"]) == (202, "pending", "webhook.test")
    deliver(acme.test, old["id"])

    (got,) = receiver.received
    for secret in (old["secret"], new["secret"]):
        assert Webhook(secret).verify(got.body, got.headers)["webhook_endpoint_id"] == old["id"]
    shown = api.get(f"/v1/webhook-deliveries/{sent['id']}")
    (attempt,) = shown["attempts"]
    assert (shown["state"], attempt["response_status"], attempt["response_head"]) == ("delivered", 200, "ok")
    assert attempt["request_headers"]["webhook-id"] == shown["event_id"]


def test_events_are_listed_shown_and_redelivered(api, acme, receiver):
    endpoint = api.post("/v1/webhook-endpoints", {"url": receiver.url})
    receiver.behave = lambda _event: Answer(500)
    api.post("/v1/customers", {"external_id": "ada"})
    deliver(acme.test, endpoint["id"])
    (event,) = api.get("/v1/webhook-events?event=customer.created")["data"]
    assert api.get(f"/v1/webhook-events/{event['id']}").json == event

    receiver.behave = lambda _event: Answer()
    again = api.post(f"/v1/webhook-events/{event['id']}/redeliver")
    assert again.status == 202
    deliver(acme.test, endpoint["id"])
    once_more = api.post(
        f"/v1/webhook-events/{event['id']}/redeliver", {"webhook_endpoint_id": endpoint["id"]}
    )
    assert [each["state"] for each in once_more["deliveries"]] == ["pending"]
    deliver(acme.test, endpoint["id"])

    (delivery,) = api.get(f"/v1/webhook-events/{event['id']}/deliveries")["data"]
    assert (delivery["state"], delivery["attempt_count"]) == ("delivered", 3)
    listed = api.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries?state=delivered")["data"]
    assert [each["id"] for each in listed] == [delivery["id"]]
    assert {got.headers["webhook-id"] for got in receiver.received} == {event["id"]}
    retried = api.post(f"/v1/webhook-deliveries/{delivery['id']}/retry")
    assert (retried.status, retried["state"]) == (202, "pending")


def test_after_lists_what_came_after_oldest_first_and_pages(api, acme):
    for name in ("ada", "bob", "cyd"):
        api.post("/v1/customers", {"external_id": name})
    assert api.get("/v1/webhook-events?after=0")["data"] == []
    events_hand_out(environment_id=acme.test.id)

    def names(answer):
        return [each["external_customer_id"] for each in answer["data"]]

    first = api.get("/v1/webhook-events?after=0&limit=2")
    assert names(first) == ["ada", "bob"]
    assert first["pagination"]["has_more"] is True
    rest = api.get(f"/v1/webhook-events?after={first['pagination']['next_cursor']}&limit=2")
    assert names(rest) == ["cyd"]
    assert rest["pagination"] == {"has_more": False, "next_cursor": None}
    assert names(api.get("/v1/webhook-events")) == ["cyd", "bob", "ada"]
    ada = first["data"][0]["customer_id"]
    assert names(api.get(f"/v1/webhook-events?after=0&customer_id={ada}")) == ["ada"]
    assert api.get("/v1/webhook-events?after=msg_x").refusal() == (422, "validation-failed")


def test_a_disabled_endpoint_says_so_and_is_resumed_with_what_it_missed(api, acme, receiver):
    endpoint = api.post("/v1/webhook-endpoints", {"url": receiver.url})
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    api.patch(path, {"status": "disabled"})
    api.post("/v1/customers", {"external_id": "ada"})
    deliver(acme.test, endpoint["id"])
    assert api.post(f"{path}/test").refusal() == (409, "conflict")
    assert receiver.received == []

    resumed = api.post(f"{path}/resume", {"redeliver_from": "2020-01-01T00:00:00Z"})
    assert (resumed["status"], resumed["queued"]) == ("active", 1)
    deliver(acme.test, endpoint["id"])
    assert [event["event"] for event in receiver.accepted] == ["customer.created"]


def test_scopes_and_audit(api, acme):
    reading = api.post("/v1/api-keys", {"name": "r", "scopes": ["webhooks:read"]})
    only_reads = Api(reading["secret"])
    assert only_reads.get("/v1/webhook-endpoints").status == 200
    assert only_reads.post("/v1/webhook-endpoints", {"url": URL}).refusal() == (403, "scope-missing")
    made = api.post("/v1/webhook-endpoints", {"url": URL})
    api.post(f"/v1/webhook-endpoints/{made['id']}/rotate-secret")
    with environment_scope(acme.test.id):
        records = AuditRecord.objects.filter(object_id=made["id"]).order_by("id")
        assert [record.action for record in records] == [
            "webhook_endpoint.created",
            "webhook_endpoint.secret_rotated",
        ]
        assert made["secret"] not in str([record.changes for record in records])


def test_the_catalogue_has_a_page_and_a_place_in_the_description():
    page = Client().get("/docs/webhooks").content.decode()
    described = Client().get("/v1/openapi.json").json()["webhooks"]

    assert set(described) == set(CATALOGUE)
    for name in CATALOGUE:
        assert f'id="{name}"' in page
        body = described[name]["post"]["requestBody"]["content"]["application/json"]
        assert body["example"]["event"] == name
        assert set(body["schema"]["required"]) == set(body["example"])
    assert "http://" not in page.replace("http://127.0.0.1", "")
