"""Prepared statements on a psycopg connection without a cursor: for the calls that are made for every request.

A cursor sends, waits, receives and describes the answer in Python. libpq does all of that in one call, during which
other threads run; measured, that takes a fifth off an entitlement check. What values look like on the wire is psycopg's
business still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

#: Statements kept for each connection; the same one with other types of parameters is another.
_KEPT: Final = 256

_IDLE: Final = pq.TransactionStatus.IDLE
_SQLSTATE: Final = pq.DiagnosticField.SQLSTATE
_FORGOTTEN: Final = b"26000"
_Key = tuple[str, tuple[int, ...]]


class Statements:
    """Those of one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        #: What the latest statement answered.
        self.result: pq.abc.PGresult | None = None
        self._pgconn = connection.pgconn
        self._cursor = psycopg.RawCursor(connection)
        self._transformer = Transformer(connection)
        self._names: dict[_Key, bytes] = {}
        self._prepared = 0

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement with `$1` parameters. In a transaction by a cursor, for it is psycopg's to open."""
        if not self.connection.autocommit or self._pgconn.transaction_status != _IDLE:
            self._cursor.execute(sql, parameters, prepare=True)
            self.result = self._cursor.pgresult
            return self._cursor.fetchall() if self._cursor.description else []
        result = self._executed(sql, parameters)
        if result.error_field(_SQLSTATE) == _FORGOTTEN:
            # After each rollback psycopg has the server forget all statements, ours too. Nothing was done yet.
            self._names.clear()
            result = self._executed(sql, parameters)
        self._check(result)
        self.result = result
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    @property
    def columns(self) -> list[str]:
        """The names of the latest result's columns."""
        result = self.result
        names = [result.fname(index) for index in range(result.nfields)] if result else []
        return [name.decode() for name in names if name is not None]

    def _executed(self, sql: str, parameters: Sequence[Any]) -> pq.abc.PGresult:
        transformer = self._transformer
        # A value may be None, whatever exec_prepared's annotation says.
        values: Any = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types = transformer.types or ()
        name = self._names.get((sql, types)) or self._prepare(sql, types)
        return self._pgconn.exec_prepared(name, values, transformer.formats)

    def _prepare(self, sql: str, types: tuple[int, ...]) -> bytes:
        if len(self._names) >= _KEPT:
            for name in self._names.values():
                self._pgconn.exec_(b"DEALLOCATE " + name)
            self._names.clear()
        self._prepared += 1
        name = b"kept_%d" % self._prepared
        self._check(self._pgconn.prepare(name, sql.encode(), types))
        self._names[sql, types] = name
        return name

    def _check(self, result: pq.abc.PGresult) -> None:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return
        if self._pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
        raise psycopg.errors.error_from_result(result)
