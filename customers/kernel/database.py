"""The edge to PostgreSQL: which environment a connection sees, and single calls of SQL functions.

Row-level security shows the application's role only the rows of `purser.environment_id`; when that setting is empty it
sees none. SQL functions that take the environment as an argument do not need it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import local
from typing import Any, Final
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from customers.kernel.changes import called, is_watched
from customers.kernel.clock import elapsed_seconds
from customers.kernel.json import json_text
from customers.kernel.lanes import lanes
from customers.kernel.statements import Statements

_SEEN: Final = "nullif(current_setting('purser.environment_id', true), '')::uuid"
_SET: Final = "SELECT set_config('purser.environment_id', $1, false)"
#: What was seen before is looked at first, whatever order the planner likes.
_SWAP: Final = (
    f"WITH seen AS MATERIALIZED (SELECT {_SEEN} AS before) "  # noqa: S608 - our own text
    "SELECT before, set_config('purser.environment_id', $1, false) FROM seen"
)


def environment_use(environment_id: UUID | None) -> None:
    """From now on this connection sees the rows of one environment (or, with None, of no environment)."""
    call_one(_SET, [str(environment_id) if environment_id else ""])
    environment_remember(environment_id)


def environment_remember(environment_id: UUID | None) -> None:
    """This connection was just told what it sees; the one that takes its place when it breaks is told the same.

    Django and `_execute` open another by themselves. Without its environment that one sees no rows, and the answer
    would be "not found" where "here it is" or "try again" is true.
    """
    _kept.environment_id = environment_id


def _environment_again(connection: BaseDatabaseWrapper, **_: Any) -> None:
    environment_id: UUID | None = getattr(_kept, "environment_id", None)
    if environment_id is not None:
        psycopg.RawCursor(connection.connection).execute(_SET, [str(environment_id)])


def connection_tidy() -> None:
    """What Django does at its signals around a request: a connection that broke, or is over its age, is closed."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.health_check_done = False  # type: ignore[attr-defined]
    # What Django asks, before it is asked: it takes a while to say no.
    is_old = wrapper.close_at is not None and elapsed_seconds() >= wrapper.close_at
    if is_old or wrapper.errors_occurred or not wrapper.autocommit:
        wrapper.close_if_unusable_or_obsolete()


def environment_clear() -> None:
    """At the end of a request, a task, a command: this connection sees no environment, if it is open at all."""
    environment_remember(None)
    wrapper = connections[DEFAULT_DB_ALIAS]
    if wrapper.connection is None:
        return
    try:
        # Once: for this a broken one need not be replaced, and cannot be while the server is away.
        _execute_once(_SET, [""], wrapper)
    except psycopg.Error:
        # Broken, or in a transaction that failed: a new one starts out with no environment.
        wrapper.close()


@contextmanager
def environment_scope(environment_id: UUID) -> Iterator[None]:
    """See one environment's rows inside the block, and afterwards what was seen before."""
    row = call_one(_SWAP, [str(environment_id)])
    environment_remember(environment_id)
    before = row[0] if row else None
    try:
        yield
    finally:
        environment_remember(before)
        # In a failed transaction nothing can be set, and its rollback undoes ours by itself.
        if not _transaction_has_failed():
            environment_use(before)


def current_environment_id() -> UUID | None:
    """The environment whose rows this connection sees."""
    row = call_one(f"SELECT {_SEEN}", [])
    return row[0] if row else None


def call_one(sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """Run one prepared statement (`$1` parameters) on Django's connection and return its first row.

    Goes around Django's cursor, which binds on the client and so never prepares: that costs a third of a hot call.
    Outside a transaction the statement is its own transaction, and a connection found dead is opened again once;
    callers therefore only send statements that are safe to send twice.
    """
    rows = _execute(sql, parameters)
    return rows[0] if rows else None


def call_function(name: str, **arguments: Any) -> Any:
    """Call a SQL function by argument names (without their `p_`) and return its one row, columns as attributes.

    Integers are sent as bigint and dicts as jsonb, so that a call is always the same prepared statement.
    """
    return call_table(name, **arguments)[0]


def call_table(name: str, **arguments: Any) -> list[Any]:
    """Like `call_function`, with all rows."""
    if is_watched():
        return called(name, arguments, partial(_call_table, name, arguments))
    return _call_table(name, arguments)


def _call_table(name: str, arguments: Mapping[str, Any]) -> list[Any]:
    sql = _call_sql(name, tuple(arguments))
    return rows_of(sql, [_parameter(value) for value in arguments.values()])


def rows_of(sql: str, parameters: Sequence[Any]) -> list[Any]:
    """The rows of a call (`$1` parameters) that may be sent twice and takes its environment as a parameter."""
    if is_alike_everywhere():
        rows, _kept.latest = lanes.rows(sql, parameters)
    else:
        rows = _execute(sql, parameters)
    return list(map((_row_classes.get(sql) or _row_class(sql))._make, rows))


def is_alike_everywhere() -> bool:
    """Whether a call may go over a connection that threads share: nothing of this thread's own counts, for no
    transaction is open, and it sees no environment."""
    return (
        settings.DATABASE_LANES
        and getattr(_kept, "environment_id", None) is None
        and not connections[DEFAULT_DB_ALIAS].in_atomic_block
    )


@lru_cache(maxsize=256)
def _call_sql(name: str, arguments: tuple[str, ...]) -> str:
    listed = ", ".join(f"p_{argument} => ${index}" for index, argument in enumerate(arguments, start=1))
    return f"SELECT * FROM {name}({listed})"  # noqa: S608 - names come from our own code


#: A function's columns stay as they are: with others its name has another version.
_row_classes: Final[dict[str, Any]] = {}


def _row_class(sql: str) -> Any:
    """The class for the rows of the statement that was just executed."""
    return _row_classes.setdefault(sql, namedtuple("Row", _kept.latest.columns))


def _parameter(value: Any) -> Any:
    if type(value) is int:
        return Int8(value)
    return Jsonb(value, dumps=json_text) if type(value) is dict else value


def call_all(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Like `call_one`, with all rows."""
    return _execute(sql, parameters)


def _execute(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    # Asked once: each look at Django's `connection` finds this thread's connection anew.
    wrapper = connections[DEFAULT_DB_ALIAS]
    try:
        return _execute_once(sql, parameters, wrapper)
    except psycopg.OperationalError:
        if wrapper.in_atomic_block or not _connection_is_lost(wrapper):
            raise
        wrapper.close()
        return _execute_once(sql, parameters, wrapper)


def _execute_once(sql: str, parameters: Sequence[Any], wrapper: BaseDatabaseWrapper) -> list[tuple[Any, ...]]:
    if wrapper.connection is None:
        wrapper.ensure_connection()
    statements = _kept.latest = _statements_of(wrapper.connection)
    return statements.rows(sql, parameters)


_kept: Final = local()
connection_created.connect(_environment_again)


def _statements_of(raw: psycopg.Connection[Any]) -> Statements:
    """This thread's, kept as long as its connection."""
    statements: Statements | None = getattr(_kept, "statements", None)
    if statements is None or statements.connection is not raw:
        statements = _kept.statements = Statements(raw)
    return statements


def _connection_is_lost(wrapper: BaseDatabaseWrapper) -> bool:
    return wrapper.connection is None or bool(wrapper.connection.closed)


def _transaction_has_failed() -> bool:
    raw = connection.connection
    return raw is not None and raw.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
