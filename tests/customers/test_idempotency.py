"""Idempotency-Keys: acted once, answered again byte for byte, never wedged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from customers.api import customers as views
from customers.errors import Conflict, CustomerNotFound, RateLimited, ServerFault, Unavailable
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import uuid7
from customers.models import Customer, IdempotencyRecord
from customers.services.customers import customer_create
from customers.services.idempotency import answers_purge, key_claim

PATH = "/v1/customers"


def test_the_same_call_again_gets_the_same_bytes_and_acts_once(api, acme):
    body = {"external_id": "a", "metadata": {"b": 1, "a": 0.5, "ü": "é"}}

    first = api.post(PATH, body, idempotency_key="k")
    second = api.post(PATH, dict(reversed(body.items())), idempotency_key="k")

    assert (first.status, second.status) == (201, 201)
    assert first.bytes == second.bytes
    assert "X-Idempotent-Replayed" not in first.headers
    assert second.headers["X-Idempotent-Replayed"] == "true"
    assert second.headers["Content-Type"] == "application/json"
    with environment_scope(acme.test.id):
        assert Customer.objects.count() == 1


def test_another_request_with_the_key_is_refused(api):
    api.post(PATH, {"external_id": "a"}, idempotency_key="k")

    other_body = api.post(PATH, {"external_id": "b"}, idempotency_key="k")
    other_path = api.patch("/v1/customers/a", {"external_id": "a"}, idempotency_key="k")

    assert other_body.refusal() == (422, "idempotency-key-reused")
    assert other_path.refusal() == (422, "idempotency-key-reused")
    assert api.get("/v1/customers/b").status == 404


def test_keys_of_other_environments_are_other_keys(api, acme, rival):
    for world in (acme.test, acme.live, rival.test):
        made = api.post(PATH, {"external_id": "a"}, key=world.secret, idempotency_key="k")
        assert "X-Idempotent-Replayed" not in made.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "é"])
def test_a_key_that_is_no_key_is_refused(api, key):
    answer = api.post(PATH, {"external_id": "a"}, headers={"Idempotency-Key": key})

    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == "Idempotency-Key"
    assert api.get(PATH)["data"] == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "quickstart-customer-1", "a b~!"])
def test_printable_ascii_is_a_key(api, key):
    assert api.post(PATH, {"external_id": "a"}, idempotency_key=key).status == 201


def test_a_refusal_is_stored_and_left_nothing(api):
    first = api.post(PATH, {"external_id": "a", "timezone": "Mars"}, idempotency_key="k")
    second = api.post(PATH, {"external_id": "a", "timezone": "Mars"}, idempotency_key="k")

    assert first.refusal() == (422, "validation-failed")
    assert second.bytes == first.bytes
    assert second.headers["X-Idempotent-Replayed"] == "true"
    assert second.headers["Content-Type"] == "application/problem+json"
    assert api.get(PATH)["data"] == []


@pytest.mark.parametrize(
    ("refusal", "status", "stored"),
    [
        (Conflict(), 409, True),
        (CustomerNotFound(), 404, True),
        (ServerFault(), 500, False),
        (Unavailable(), 503, False),
        (RateLimited(retry_after_seconds=1), 429, False),
        (RuntimeError("broken"), 500, False),
    ],
)
def test_which_answers_are_stored(api, acme, monkeypatch, refusal, status, stored):
    """The work has written something when it is refused; that is gone in any case."""

    def refuses(*, caller, now, **_options):
        Customer.objects.create(
            environment_id=caller.environment_id, public_id="half-done", created_at=now, updated_at=now
        )
        raise refusal

    with monkeypatch.context() as patch:
        patch.setattr("customers.api.customers.customer_create", refuses)
        assert api.post(PATH, {"external_id": "a"}, idempotency_key="k").status == status

    again = api.post(PATH, {"external_id": "a"}, idempotency_key="k")

    assert again.status == (status if stored else 201)
    assert again.headers.get("X-Idempotent-Replayed") == ("true" if stored else None)
    with environment_scope(acme.test.id):
        assert not Customer.objects.filter(public_id="half-done").exists()


@pytest.mark.parametrize("secret_or_scope", ["401", "403"])
def test_who_may_not_call_claims_no_key(api, acme, secret_or_scope):
    narrow = api.post("/v1/api-keys", {"name": "n", "scopes": ["customers:read"]})["secret"]
    wrong = "sk_test_" + "x" * 44 if secret_or_scope == "401" else narrow

    assert api.post(PATH, {"external_id": "a"}, key=wrong, idempotency_key="k").status == int(secret_or_scope)
    assert api.post(PATH, {"external_id": "a"}, idempotency_key="k").status == 201


def test_a_second_call_waits_for_the_first_and_gets_its_answer(api, monkeypatch, together):
    real = customer_create

    def slow(**options):
        time.sleep(0.3)
        return real(**options)

    monkeypatch.setattr(views, "customer_create", slow)

    answers = together(4, lambda _: api.post(PATH, {"external_id": "a"}, idempotency_key="k"))

    assert [answer.status for answer in answers] == [201, 201, 201, 201]
    assert len({answer.bytes for answer in answers}) == 1
    assert sorted(answer.headers.get("X-Idempotent-Replayed", "") for answer in answers) == [
        "",
        "true",
        "true",
        "true",
    ]


def test_a_key_in_flight_too_long_is_409_with_retry_after(api, acme, settings):
    settings.IDEMPOTENCY_WAIT_SECONDS = 1
    claimed, release = threading.Event(), threading.Event()

    def hold():
        try:
            with environment_scope(acme.test.id), transaction.atomic():
                claim(acme, "k")
                claimed.set()
                release.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    claimed.wait(20)
    try:
        began = time.monotonic()
        refused = api.post(PATH, {"external_id": "a"}, idempotency_key="k")
        waited = time.monotonic() - began
    finally:
        release.set()
        holder.join()

    assert refused.refusal() == (409, "idempotency-key-in-flight")
    assert refused.headers["Retry-After"] == "1"
    # It waited a while, and not for the other to end: that one still held the key.
    assert waited > 0.9
    # And the refusal itself was not stored under the key.
    assert api.post("/v1/customers", {"external_id": "b"}, idempotency_key="other").status == 201


def claim(character, key):
    return key_claim(
        environment_id=character.test.id, family="other", key=key, fingerprint=b"x" * 32, now=system_now()
    )


def test_a_holder_that_is_killed_frees_the_key(api, acme):
    script = f"""
import django, os, time
django.setup()
from uuid import UUID
from django.db import transaction
from customers.kernel.clock import system_now
from customers.services.customers import customer_create
from customers.services.idempotency import key_claim
with transaction.atomic():
    key_claim(environment_id=UUID("{acme.test.id}"), family="other", key="k", fingerprint=b"x" * 32, now=system_now())
    print("claimed", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout is not None
    assert "claimed" in holder.stdout.readline()
    holder.kill()
    holder.communicate()

    assert api.post(PATH, {"external_id": "a"}, idempotency_key="k").status == 201


def test_answers_go_after_their_retention_and_effects_stay(acme, settings, api):
    api.post(PATH, {"external_id": "a"}, idempotency_key="plain")
    effect = api.post("/v1/api-keys", {"name": "n"}, idempotency_key="with effect")
    with environment_scope(acme.test.id):
        IdempotencyRecord.objects.filter(key="with effect").update(status=201, body=b"{}")
        later = system_now() + timedelta(seconds=settings.IDEMPOTENCY_RETENTION_SECONDS - 60)
        answers_purge(now=later)
        assert IdempotencyRecord.objects.filter(status=201).count() == 2

        answers_purge(now=later + timedelta(minutes=2))

        kept = list(IdempotencyRecord.objects.values_list("key", "status", "body"))
    assert kept == [("with effect", None, None)]
    again = api.post("/v1/api-keys", {"name": "n"}, idempotency_key="with effect")
    assert (again["id"], again["duplicate"]) == (effect["id"], True)
    # The other key is free again, for a request of its own.
    assert api.post(PATH, {"external_id": "b"}, idempotency_key="plain").status == 201


def test_the_database_itself_keeps_a_key_unique(acme, superuser_sql):
    row = [acme.test.id, b"x" * 32]
    insert = (
        "INSERT INTO customers_idempotency_record (id, environment_id, family, key, fingerprint, created_at) "
        "VALUES (%s, %s, 'other', 'k', %s, now())"
    )
    superuser_sql.execute(insert, [uuid7(), *row])
    with pytest.raises(psycopg.errors.UniqueViolation, match="an_idempotency_key_is_used_once_per_family"):
        superuser_sql.execute(insert, [uuid4(), *row])
