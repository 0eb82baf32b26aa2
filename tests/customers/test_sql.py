"""What SQL and Python both spell, they spell alike; and what runs by itself is there to run."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from config.beat import SCHEDULE
from config.celery import app
from customers.errors import CustomerNotFound
from customers.events import CATALOGUE
from customers.kernel.ids import typeid, uuid7, uuid7_run
from customers.kernel.instants import instant_parse, instant_text
from customers.models import OutboxEvent
from customers.services.customers import customer_create, customer_resolve
from customers.services.environments import config_bump
from customers.services.outbox import event_emit

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)


def test_a_typeid_is_the_same_in_sql(superuser_sql):
    single_bits = [UUID(int=1 << bit) for bit in range(128)]
    for value in (uuid4(), uuid7(), UUID(int=0), UUID(int=2**128 - 1), *single_bits):
        row = superuser_sql.execute("SELECT customers_typeid('msg', %s)", [value]).fetchone()
        assert row == (typeid("msg", value),)


@pytest.mark.parametrize("microseconds", [0, 1, 10, 250_000, 999_999, 100])
def test_an_instant_is_the_same_in_sql(superuser_sql, microseconds):
    at = NOW + timedelta(microseconds=microseconds)
    assert superuser_sql.execute("SELECT customers_instant(%s)", [at]).fetchone() == (instant_text(at),)


@given(at=st.datetimes(datetime(1900, 1, 2), datetime(8999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_is_read_back(at):
    assert instant_parse(instant_text(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-03",
        "2026-04-03T09:01:00",
        "2026-13-03T09:01:00Z",
        "now",
        "",
        "2026-04-03T24:01:00Z",
        "\uff12026-04-03T09:01:00Z",
    ],
)
def test_what_is_no_instant(text):
    assert instant_parse(text) is None


def test_offsets_are_turned_into_utc():
    assert instant_text(instant_parse("2026-04-03T11:01:00.500+02:00") or NOW) == "2026-04-03T09:01:00.5Z"


def test_the_databases_uuids_are_version_7_and_ordered_also_before_postgresql_18(superuser_sql):
    text = (Path(settings.BASE_DIR) / "customers/sql/10_uuid7.sql").read_text()
    older = (
        text.partition("ALTER FUNCTION")[0]
        .replace("180000", "990000")
        .replace("purser_uuid7", "pg_temp.uuid7_older")
    )
    superuser_sql.execute(older)

    for name in ("purser_uuid7", "pg_temp.uuid7_older"):
        made = [
            row[0]
            for row in superuser_sql.execute(f"SELECT {name}() FROM generate_series(1, 2000)").fetchall()
        ]
        assert len(set(made)) == 2000
        assert {(value.version, value.variant) for value in made} == {(7, "specified in RFC 4122")}
        milliseconds = [value.int >> 80 for value in made]
        assert milliseconds == sorted(milliseconds)
        assert abs(milliseconds[0] - uuid7().int // 2**80) < 60_000


def test_a_run_of_identifiers_is_like_as_many_made_one_by_one():
    # when
    before, run, after = uuid7(), uuid7_run(1000), uuid7()
    # then
    assert sorted([after, *reversed(run), before]) == [before, *run, after]
    assert {each.version for each in run} == {7}
    assert [UUID(str(each)) for each in run] == run == pickle.loads(pickle.dumps(run))  # noqa: S301 - our own


def test_events_are_numbered_without_gaps_also_together(inside_acme, together):
    caller = inside_acme.test.caller
    customer = customer_create(caller=caller, external_id="a", now=NOW)

    together(8, lambda _: [emit(caller, customer) for _ in range(5)])

    numbers = list(OutboxEvent.objects.order_by("sequence").values_list("sequence", flat=True))
    assert numbers == list(range(1, 42))


def emit(caller, customer):
    return event_emit(
        caller=caller, event="customer.updated", customer=customer.id, data={"changed": []}, now=NOW
    )


def test_an_event_without_a_customer(inside_acme):
    event_id = event_emit(caller=inside_acme.test.caller, event="customer.updated", data={"a": 1}, now=NOW)

    event = OutboxEvent.objects.get(id=event_id)
    assert (event.sequence, event.customer_id) == (None, None)
    assert event.payload == {
        "id": typeid("msg", event_id),
        "event": "customer.updated",
        "created_at": "2026-04-03T09:01:00Z",
        "environment": "test",
        "a": 1,
    }


def test_an_event_that_is_not_in_the_catalogue_cannot_be_emitted(inside_acme):
    with pytest.raises(ValueError, match="not in the webhook catalogue"):
        event_emit(caller=inside_acme.test.caller, event="customer.exploded", data={}, now=NOW)
    assert {"customer.created", "customer.updated", "customer.deleted"} <= CATALOGUE.keys()


def test_the_configurations_version_counts_up(inside_acme):
    environment = inside_acme.test.environment
    config_bump(environment_id=environment.id)
    config_bump(environment_id=environment.id)

    environment.refresh_from_db()
    assert environment.config_version == 3


def test_a_customer_that_is_nobody(inside_acme):
    with pytest.raises(CustomerNotFound):
        customer_resolve(environment_id=inside_acme.test.id, by="id", reference="nobody")


def test_everything_on_the_schedule_is_a_task():
    app.loader.import_default_modules()

    assert {entry["task"] for entry in SCHEDULE.values()} <= set(app.tasks)
