"""Prepared statements without a cursor: the same rows, errors and transactions as with one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from customers.kernel import statements
from customers.kernel.database import call_all, call_one


def prepared() -> list[str]:
    return [row[0] for row in call_all("SELECT name FROM pg_prepared_statements WHERE name LIKE 'kept%'", [])]


def test_values_come_back_as_they_were_sent() -> None:
    sent = [
        "text with 'quotes' and ü",
        True,
        Decimal("1.2300"),
        uuid4(),
        b"\x00\xff",
        datetime(2026, 4, 3, 9, 1, 0, 5, tzinfo=UTC),
        ["a", None, "c"],
        None,
    ]
    sql = "SELECT $1::text, $2::boolean, $3::numeric, $4::uuid, $5::bytea, $6::timestamptz, $7::text[], $8::text"

    assert call_one(sql, sent) == tuple(sent)
    assert call_one(sql, [None] * 8) == (None,) * 8


def test_a_statement_without_rows() -> None:
    assert call_all("SELECT 1 WHERE false", []) == []
    assert call_one("SET LOCAL application_name = 'x'", []) is None


def test_in_a_transaction_everything_is_undone_together() -> None:
    setting = "SELECT set_config('purser.scratch', $1, false)"
    shown = "SELECT current_setting('purser.scratch', true)"
    call_one(setting, ["before"])

    with transaction.atomic():
        call_one(setting, ["inside"])
        assert call_one(shown, []) == ("inside",)
        transaction.set_rollback(True)

    assert call_one(shown, []) == ("before",)
    with transaction.atomic():
        call_one(setting, ["kept"])
    assert call_one(shown, []) == ("kept",)


def test_errors_are_psycopgs_own() -> None:
    with pytest.raises(psycopg.errors.DivisionByZero) as error:
        call_one("SELECT 1 / $1::integer", [0])

    assert error.value.sqlstate == "22012"
    assert "division by zero" in str(error.value)
    assert call_one("SELECT 1", []) == (1,)


def test_a_lost_connection_is_opened_again(superuser_sql: psycopg.Connection[Any]) -> None:
    (before,) = call_one("SELECT pg_backend_pid()", []) or (0,)
    superuser_sql.execute("SELECT pg_terminate_backend(%s)", [before])

    (after,) = call_one("SELECT pg_backend_pid()", []) or (0,)

    assert after not in (0, before)


def test_in_a_transaction_a_lost_connection_is_an_error(superuser_sql: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        (pid,) = call_one("SELECT pg_backend_pid()", []) or (0,)
        superuser_sql.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(psycopg.OperationalError):
            call_one("SELECT 1", [])
        transaction.set_rollback(True)
    assert call_one("SELECT 1", []) == (1,)


def test_statements_that_the_server_forgot_are_prepared_again() -> None:
    assert call_one("SELECT $1::text", ["x"]) == ("x",)
    call_one("DEALLOCATE ALL", [])

    assert call_one("SELECT $1::text", ["y"]) == ("y",)


def test_no_more_statements_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setattr(statements, "_KEPT", 5)

    for number in range(12):
        assert call_one(f"SELECT {number}", []) == (number,)

    assert len(prepared()) <= 5
