"""Lanes: connections that the threads of a web process share for single statements.

A thread that waits for its turn, for the interpreter or for a client needs no connection meanwhile. With one each, as
many server processes as threads take turns, and each finds the processor's caches full of another's work. The lane that
was free last is taken first, so that few are busy and the others come to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from customers.kernel.clock import elapsed_seconds
from customers.kernel.statements import Statements

_IDLE: Final = psycopg.pq.TransactionStatus.IDLE


class Lane:
    """One connection, in no transaction, which sees no environment."""

    def __init__(self) -> None:
        self._wrapper: BaseDatabaseWrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        # Threads use it one after the other, which Django cannot know.
        self._wrapper.inc_thread_sharing()
        self._wrapper.connect()
        self._raw: psycopg.Connection[Any] = self._wrapper.connection
        self.statements = Statements(self._raw)

    @property
    def is_lost(self) -> bool:
        return bool(self._raw.closed)

    @property
    def is_usable(self) -> bool:
        """Whether the next statement may go here: what was interrupted may be in the middle of something."""
        close_at = self._wrapper.close_at
        is_old = close_at is not None and elapsed_seconds() >= close_at
        return self._raw.pgconn.transaction_status == _IDLE and not is_old

    def close(self) -> None:
        self._wrapper.close()


class Lanes:
    """Those of this process that are free. No lock guards them: a list takes and puts back in one step."""

    def __init__(self) -> None:
        self._free: list[Lane] = []

    def rows(self, sql: str, parameters: Sequence[Any]) -> tuple[list[tuple[Any, ...]], Statements]:
        """The rows of a statement that is safe to send twice, and who knows its columns."""
        lane = self._take()
        try:
            return self._rows(lane, sql, parameters)
        except psycopg.OperationalError:
            if not lane.is_lost:
                raise
            # The server went away, and took the others too.
            self.close()
            return self._rows(Lane(), sql, parameters)

    def close(self) -> None:
        """Close those that are free."""
        while self._free:
            self._free.pop().close()

    def _rows(
        self, lane: Lane, sql: str, parameters: Sequence[Any]
    ) -> tuple[list[tuple[Any, ...]], Statements]:
        try:
            return lane.statements.rows(sql, parameters), lane.statements
        finally:
            if lane.is_usable:
                self._free.append(lane)
            else:
                lane.close()

    def _take(self) -> Lane:
        try:
            return self._free.pop()
        except IndexError:
            return Lane()


lanes: Final = Lanes()
