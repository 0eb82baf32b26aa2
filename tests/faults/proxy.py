"""Stands between the web and PostgreSQL, reads what passes, and loses what it is told to lose.

PostgreSQL's protocol is a stream of messages: a type byte, a length, a body. What a statement is stands in the message
that prepares it (Parse); later only its name does (Bind). A simple Query carries its text.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Self

_SOCKET = ".s.PGSQL.5432"
_CLOSED = "the connection is closed"
#: Given to a rule: the statement whose answer is whole and whether it left a transaction open; says what to do with it.
Rule = Callable[[str, bool], str]
PASS, SWALLOW, CUT, PASS_AND_CUT = "pass", "swallow", "cut", "pass and cut"


def always(doing: str, *, when: Callable[[str, bool], bool]) -> Rule:
    return lambda statement, is_open: doing if when(statement, is_open) else PASS


def once(doing: str, *, when: Callable[[str, bool], bool]) -> Rule:
    """The first time only."""
    doings = iter([doing])
    return lambda statement, is_open: next(doings, PASS) if when(statement, is_open) else PASS


class Proxy:
    """`with Proxy(to=folder) as proxy`: clients connect to the socket in `proxy.folder`."""

    def __init__(self, *, to: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="purser-between-"))
        self.folder.chmod(0o711)
        #: How many answers were not passed on.
        self.lost: list[str] = []
        self._to = to / _SOCKET
        self._rule: Rule | None = None
        self._lock = Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _SOCKET))
        self._listener.listen(128)

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Only that wakes a thread out of accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        (self.folder / _SOCKET).unlink(missing_ok=True)
        self.folder.rmdir()

    def follow(self, rule: Rule | None) -> None:
        self.lost.clear()
        self._rule = rule

    def decide(self, statement: str, *, is_open: bool) -> str:
        """What to do with a whole answer."""
        with self._lock:
            doing = PASS if self._rule is None else self._rule(statement, is_open)
            if doing != PASS:
                self.lost.append(statement)
            return doing

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._to))
                except OSError:
                    client.close()
                    continue
                conversation = _Conversation(proxy=self, client=client, server=server)
                Thread(target=conversation.forth, daemon=True).start()
                Thread(target=conversation.back, daemon=True).start()


@dataclass(kw_only=True)
class _Conversation:
    proxy: Proxy
    client: socket.socket
    server: socket.socket
    _statements: dict[bytes, str] = field(default_factory=dict)
    _asked: str = ""

    def forth(self) -> None:
        """What the client says. Its first message has no type."""
        reader = _Reader(self.client)
        with suppress(OSError, EOFError):
            self.server.sendall(reader.take_untyped())
            while True:
                kind, body, raw = reader.take()
                self._listen(kind, body)
                self.server.sendall(raw)
        self._close()

    def back(self) -> None:
        """What the server says, kept until the answer is whole (ReadyForQuery)."""
        reader = _Reader(self.server)
        kept = bytearray()
        with suppress(OSError, EOFError):
            while True:
                kind, body, raw = reader.take()
                kept += raw
                if kind in b"RSKNE" and not self._asked:
                    self.client.sendall(kept)  # greeting
                    kept.clear()
                elif kind == b"Z":
                    # Taken out first: what is cut here must not be among the last words below.
                    answer = bytes(kept)
                    kept.clear()
                    self._hand_over(answer, is_open=body != b"I")
        with suppress(OSError):
            self.client.sendall(kept)  # the last words of a server that goes
        self._close()

    def _hand_over(self, answer: bytes, *, is_open: bool) -> None:
        doing = self.proxy.decide(self._asked, is_open=is_open) if self._asked else PASS
        if doing in (PASS, PASS_AND_CUT):
            self.client.sendall(answer)
        if doing in (CUT, PASS_AND_CUT):
            raise OSError(_CLOSED)

    def _listen(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._asked = body.rstrip(b"\0").decode()
        elif kind == b"P":
            # Preparing alone is no asking, and has an answer of its own.
            name, text = body.split(b"\0")[:2]
            self._statements[name] = text.decode()
            self._asked = ""
        elif kind == b"B":
            self._asked = self._statements.get(body.split(b"\0")[1], "")

    def _close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Reader:
    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._kept = bytearray()

    def take(self) -> tuple[bytes, bytes, bytes]:
        head = self._exactly(5)
        body = self._exactly(int.from_bytes(head[1:], "big") - 4)
        return head[:1], body, head + body

    def take_untyped(self) -> bytes:
        head = self._exactly(4)
        return head + self._exactly(int.from_bytes(head, "big") - 4)

    def _exactly(self, count: int) -> bytes:
        while len(self._kept) < count:
            received = self._source.recv(65536)
            if not received:
                raise EOFError
            self._kept += received
        taken = bytes(self._kept[:count])
        del self._kept[:count]
        return taken
