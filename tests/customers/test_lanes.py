"""Lanes: connections that threads share for statements that no thread's own connection matters to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import override_settings

from customers.kernel import lanes as module
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import (
    call_function,
    current_environment_id,
    environment_clear,
    environment_scope,
)
from customers.kernel.lanes import lanes
from customers.services.authentication import key_authenticate_afresh
from tests.conftest import Api, Character
from tests.making import balance, give, make_metric, use

_PID = "SELECT pg_backend_pid()"
_SEEN = "SELECT coalesce(current_setting('purser.environment_id', true), '')"


@pytest.fixture(autouse=True)
def shared() -> Iterator[None]:
    lanes.close()
    with override_settings(DATABASE_LANES=True):
        yield
    lanes.close()


def pid() -> int:
    """The server process that a function's call is answered by."""
    return int(call_function("pg_backend_pid").pg_backend_pid)


def own_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_PID)
        return int(cursor.fetchone()[0])


def test_threads_that_take_turns_share_one_connection(together: Callable[..., list[Any]]) -> None:
    first = pid()

    others = [together(1, lambda _: pid())[0] for _ in range(3)]

    assert others == [first] * 3
    assert first != own_pid()


def test_statements_at_the_same_time_have_a_connection_each(together: Callable[..., list[Any]]) -> None:
    # given four statements none of which ends before all have begun
    gate = Barrier(4)

    def deed(_: int) -> int:
        lane = lanes._take()
        gate.wait(20)
        (row,), _who = lanes._rows(lane, _PID, [])
        return int(row[0])

    # when, then
    assert len(set(together(4, deed))) == 4
    # and the one that was free last is taken first
    assert pid() == pid()


def test_a_transaction_stays_on_its_own_connection() -> None:
    with transaction.atomic():
        assert pid() == own_pid()
        with transaction.atomic():
            assert pid() == own_pid()


def test_who_sees_an_environment_stays_on_its_own_connection(acme: Character) -> None:
    with environment_scope(acme.test.id):
        assert pid() == own_pid()
        assert current_environment_id() == acme.test.id
    assert pid() != own_pid()


def test_what_a_connection_is_told_is_told_to_the_threads_own(acme: Character) -> None:
    key_authenticate_afresh(secret=acme.test.secret, now=system_now(), use_environment=True)
    environment_clear()

    assert (lanes.rows(_SEEN, [])[0], current_environment_id()) == ([("",)], None)


def test_a_refused_call_leaves_its_lane_to_the_next() -> None:
    before = pid()

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        call_function("pg_reload_conf")

    assert pid() == before


def test_lanes_that_the_server_closed_are_opened_again(superuser_sql: psycopg.Connection[Any]) -> None:
    before = pid()
    superuser_sql.execute("SELECT pg_terminate_backend(%s)", [before])

    assert pid() != before


def test_a_lane_in_the_middle_of_something_is_not_used_again() -> None:
    before = pid()
    lanes.rows("BEGIN", [])

    assert pid() != before


def test_an_old_lane_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pid()
    later = elapsed_seconds() + 100_000
    monkeypatch.setattr(module, "elapsed_seconds", lambda: later)
    pid()

    assert pid() != before


def test_a_functions_columns_have_their_names_whoever_asks_first() -> None:
    with transaction.atomic():
        inside = call_function("pg_control_system")
    outside = call_function("pg_control_system")

    assert inside._fields == outside._fields
    assert "system_identifier" in outside._fields


def test_a_crowd_pays_exactly(api: Api, together: Callable[..., list[Any]]) -> None:
    # given 40 credits, and 16 clients that want five each
    make_metric(api)
    give(api, 40_000)
    # when
    answers = together(16, lambda _: [use(api, 1).status for _ in range(5)])
    # then
    statuses = [status for each in answers for status in each]
    assert (statuses.count(202), statuses.count(402)) == (40, 40)
    assert balance(api)["balance"] == 0
