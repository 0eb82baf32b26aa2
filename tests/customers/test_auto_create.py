"""Customers that a first call makes: once, however many calls there are."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from customers.errors import CustomerNotFound
from customers.kernel.database import environment_scope
from customers.models import Customer, OutboxEvent
from customers.services.customers import customer_create, customer_delete, customer_ensure, customer_find_id

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)


def ensure(character, by, reference):
    return customer_ensure(environment_id=character.test.id, by=by, reference=reference, now=NOW)


def find(character, by, reference):
    return customer_find_id(environment_id=character.test.id, by=by, reference=reference)


def test_by_external_id_anybody_is_made(inside_acme):
    customer_id, created = ensure(inside_acme, "external", "user:7/a b")

    customer = Customer.objects.get()
    assert created is True
    assert customer.id == customer_id
    assert customer.public_id == str(customer_id)
    assert (customer.external_id, customer.external_key) == ("user:7/a b", "user:7/a b")
    assert (customer.display_name, customer.overage_policy, customer.timezone) == (None, "block", "UTC")
    assert (customer.metadata, customer.created_at, customer.updated_at) == ({}, NOW, NOW)
    assert ensure(inside_acme, "external", "user:7/a b") == (customer_id, False)


def test_it_is_told_as_any_other(inside_acme):
    customer_id, _ = ensure(inside_acme, "external", "a")

    event = OutboxEvent.objects.get()
    assert (event.event, event.sequence, event.customer_id, event.occurred_at) == (
        "customer.created",
        1,
        customer_id,
        NOW,
    )
    assert event.payload == {
        "id": event.payload["id"],
        "event": "customer.created",
        "created_at": "2026-04-03T09:01:00Z",
        "environment": "test",
        "sequence": 1,
        "customer_id": str(customer_id),
        "external_customer_id": "a",
        "customer": {"id": str(customer_id), "external_id": "a", "display_name": None},
        "auto_created": True,
    }


def test_by_id_only_a_uuid_makes_one_and_becomes_its_id(inside_acme):
    chosen = uuid4()

    customer_id, created = ensure(inside_acme, "id", str(chosen).upper())

    customer = Customer.objects.get()
    assert (created, customer.public_id, customer.external_id) == (True, str(chosen), None)
    assert ensure(inside_acme, "id", str(chosen)) == (customer_id, False)


@pytest.mark.parametrize(
    "reference", ["user_7", "", "x" * 256, "a\x00b", "{12345678-1234-1234-1234-123456789abc}"]
)
def test_by_another_id_nobody_is_made(inside_acme, reference):
    with pytest.raises(CustomerNotFound):
        ensure(inside_acme, "id", reference)
    assert Customer.objects.count() == 0


@pytest.mark.parametrize("reference", ["", "x" * 256, "a\x00b", "\ud800"])
def test_by_an_impossible_external_id_nobody_is_made(inside_acme, reference):
    with pytest.raises(CustomerNotFound):
        ensure(inside_acme, "external", reference)
    assert Customer.objects.count() == 0


def test_by_id_the_external_id_is_found_before_anybody_is_made(inside_acme):
    known = customer_create(caller=inside_acme.test.caller, external_id="user_7", now=NOW)

    assert ensure(inside_acme, "id", "user_7") == (known.id, False)


def test_a_deleted_customer_is_reached_and_not_made_anew(inside_acme):
    caller = inside_acme.test.caller
    known = customer_create(caller=caller, external_id="a", now=NOW)
    customer_delete(caller=caller, customer_id=known.id, now=NOW)

    assert ensure(inside_acme, "external", "a") == (known.id, False)
    assert find(inside_acme, "external", "a") == known.id


def test_environments_share_nobody(acme):
    in_test, _ = ensure(acme, "external", "a")
    in_live, created = customer_ensure(environment_id=acme.live.id, by="external", reference="a", now=NOW)

    assert created is True
    assert in_live != in_test
    chosen = str(uuid4())
    first, _ = ensure(acme, "id", chosen)
    second, created = customer_ensure(environment_id=acme.live.id, by="id", reference=chosen, now=NOW)
    assert (created, first != second) == (True, True)


@pytest.mark.parametrize("by", ["external", "id"])
def test_many_first_calls_at_once_make_one_customer(acme, together, by):
    reference = str(uuid4())

    results = together(8, lambda _: ensure(acme, by, reference))

    assert len({customer_id for customer_id, _ in results}) == 1
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    with environment_scope(acme.test.id):
        assert Customer.objects.count() == 1
        assert OutboxEvent.objects.count() == 1


def test_an_explicit_and_an_automatic_create_at_once_make_one_customer(api, acme, together):
    def deed(index):
        if index % 2:
            return ensure(acme, "external", "race")
        return api.post("/v1/customers", {"external_id": "race"}).status

    results = together(6, deed)

    assert not [result for result in results if isinstance(result, BaseException)]
    with environment_scope(acme.test.id):
        assert Customer.objects.count() == 1
