"""The database itself keeps environments apart, and records as they were written: tried as the application's role."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.utils import InternalError, NotSupportedError, OperationalError

from customers.kernel.database import call_one, current_environment_id, environment_scope
from customers.kernel.ids import uuid7
from customers.models import ApiKey, AuditRecord, Customer, IdempotencyRecord, OutboxEvent
from customers.services.customers import customer_create

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)
TABLES = (ApiKey, AuditRecord, Customer, IdempotencyRecord, OutboxEvent)
Refused = (ProgrammingError, InternalError, NotSupportedError, OperationalError)


@pytest.fixture
def two_worlds(acme, rival):
    """A customer of each tenant."""
    for character in (acme, rival):
        with environment_scope(character.test.id):
            customer_create(caller=character.test.caller, external_id="a", now=NOW)
    return acme, rival


def sql(statement, parameters=()):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def test_the_application_is_no_superuser_and_bypasses_nothing():
    assert sql("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [
        ("purser_app", False, False)
    ]


@pytest.mark.parametrize("model", TABLES)
def test_without_an_environment_nothing_is_visible(two_worlds, model):
    assert current_environment_id() is None
    assert model.objects.count() == 0


@pytest.mark.parametrize("model", [ApiKey, AuditRecord, Customer, OutboxEvent])
def test_raw_sql_sees_its_own_environment_only(two_worlds, model):
    acme, rival = two_worlds
    with environment_scope(acme.test.id):
        seen = {row[0] for row in sql(f"SELECT environment_id FROM {model._meta.db_table}")}
        assert seen == {acme.test.id}
        assert sql(f"SELECT 1 FROM {model._meta.db_table} WHERE environment_id = %s", [rival.test.id]) == []


def test_raw_sql_writes_nothing_into_another_environment(two_worlds):
    acme, rival = two_worlds
    with environment_scope(acme.test.id):
        assert sql("UPDATE customers_customer SET name = 'x' WHERE environment_id = %s", [rival.test.id]) == 0
        assert (
            sql("UPDATE customers_api_key SET revoked_at = now() WHERE environment_id = %s", [rival.test.id])
            == 0
        )
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            sql(
                "INSERT INTO customers_customer (id, environment_id, public_id, created_at, updated_at) "
                "VALUES (%s, %s, 'x', now(), now())",
                [uuid7(), rival.test.id],
            )
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            sql("UPDATE customers_customer SET environment_id = %s", [rival.test.id])
    with environment_scope(rival.test.id):
        assert list(Customer.objects.values_list("name", "external_id")) == [(None, "a")]


def test_the_setting_outlives_no_request(api, two_worlds):
    api.get("/v1/customers")
    assert current_environment_id() is None
    api.post("/v1/customers", b"{")
    assert current_environment_id() is None


def test_an_audit_record_can_neither_be_changed_nor_removed(two_worlds, superuser_sql):
    acme, _ = two_worlds
    with environment_scope(acme.test.id):
        for statement in (
            "UPDATE customers_audit_record SET actor = 'x'",
            "DELETE FROM customers_audit_record",
        ):
            with pytest.raises(Refused, match="permission denied"), transaction.atomic():
                sql(statement)
    for statement in (
        "UPDATE customers_audit_record SET actor = 'x'",
        "DELETE FROM customers_audit_record",
        "TRUNCATE customers_audit_record",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            superuser_sql.execute(statement)


def test_an_event_of_the_outbox_is_frozen_and_comes_from_the_kernel_only(two_worlds):
    acme, _ = two_worlds
    with environment_scope(acme.test.id):
        for statement in (
            "UPDATE customers_outbox_event SET payload = '{}'",
            "DELETE FROM customers_outbox_event",
            "INSERT INTO customers_outbox_event SELECT * FROM customers_outbox_event",
        ):
            with pytest.raises(Refused, match="permission denied"), transaction.atomic():
                sql(statement)
        assert sql("UPDATE customers_outbox_event SET dispatched_at = now()") == 1


def test_a_customer_cannot_be_removed(two_worlds):
    acme, _ = two_worlds
    with (
        environment_scope(acme.test.id),
        pytest.raises(Refused, match="permission denied"),
        transaction.atomic(),
    ):
        sql("DELETE FROM customers_customer")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT customers_typeid('blk', purser_uuid7())",
        "SELECT customers_uuid_text('x')",
        "SELECT customers_refuse_change()",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_what_is_inside_the_kernel_stays_there(statement):
    with pytest.raises(Refused, match="permission denied"), transaction.atomic():
        sql(statement)


def test_definer_functions_cannot_be_led_astray_by_a_schema_of_the_callers(superuser_sql):
    unsafe = superuser_sql.execute(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
        "AND NOT coalesce(proconfig::text LIKE '%search_path=pg_catalog, public%', false)"
    ).fetchall()
    of_others = superuser_sql.execute(
        "SELECT proname, proowner::regrole::text FROM pg_proc "
        "WHERE prosecdef AND pronamespace = 'public'::regnamespace AND proowner <> 'purser_kernel'::regrole"
    ).fetchall()
    assert unsafe == []
    # Only a table's owner may give it a partition.
    assert of_others == [("metering_event_partition_make_v1", "purser_owner")]


def test_nobody_else_may_execute_the_definer_functions(superuser_sql):
    open_to_all = superuser_sql.execute(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
        "AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE a.grantee = 0)"
    ).fetchall()
    assert open_to_all == []


def test_a_search_stays_in_its_environment(two_worlds):
    acme, _ = two_worlds
    found = call_one("SELECT count(*) FROM customers_search_v1($1, 'a', false, 100)", [acme.test.id])
    assert found == (1,)
    assert call_one("SELECT count(*) FROM customers_search_v1($1, 'a', false, 100)", [uuid4()]) == (0,)
