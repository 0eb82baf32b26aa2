"""Sends webhooks: one POST, within a total time, to no address that is not allowed, following nothing.

Each name is resolved here, every address it has is checked, and the connection goes to a checked address: there is no
second resolution that could answer otherwise. Connections are kept per endpoint and process.

A connection waits until its socket is ready, or its deadline: a socket with a timeout asks the system three times for
each thing it does. Of an answer only what matters here is read (customers/gateways/webhook_answers.py): the standard
library's client takes as long again to make a mail message of its headers.
"""

from __future__ import annotations

import atexit
import ipaddress
import select
import socket
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from customers.engine.webhook_addresses import address_refusal, url_port
from customers.gateways.webhook_answers import Answer, AnswerError, answer_read
from customers.kernel.clock import elapsed_seconds

#: How much of an answer is kept; and how much is read, so that the connection can be used again.
HEAD_BYTES: Final = 2048
_READ_BYTES: Final = 65536
_IDLE_SECONDS: Final = 30.0
_IDLE_ENDPOINTS: Final = 256
# Resolvers have no timeout of their own; a thread that hangs in one is left behind.
_RESOLVERS: Final = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolve")


_Key = tuple[UUID, str, bool]


class AddressRefusedError(OSError):
    """The host has an address that webhooks are not sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one request. `status` is None when no answer came in time; then `error` says why."""

    status: int | None
    head: str = ""
    retry_after: str | None = None
    error: str = ""


def webhook_post(
    *,
    endpoint_id: UUID,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
    allow_private: bool,
) -> Reply:
    """POST the body and wait for the answer, at most so many seconds in total. Never raises for what is outside."""
    key = (endpoint_id, url, allow_private)
    deadline = elapsed_seconds() + seconds
    try:
        kept = _POOL.take(key)
        if kept is not None:
            # Closed while nobody used it: that says nothing about the receiver.
            with suppress(ConnectionError):
                return _exchange(key, kept, body, headers, deadline)
        made = _Connection(url, allow_private=allow_private, deadline=deadline)
        return _exchange(key, made, body, headers, deadline)
    except TimeoutError:
        return Reply(status=None, error=f"no answer within {seconds:g} s")
    except (OSError, AnswerError, UnicodeError, ValueError) as error:
        return Reply(status=None, error=f"{type(error).__name__}: {error}"[:300].replace("\x00", ""))


def _exchange(
    key: _Key, connection: _Connection, body: bytes, headers: Mapping[str, str], deadline: float
) -> Reply:
    connection.deadline = deadline
    is_reusable = False
    try:
        connection.send(body, headers)
        answer = answer_read(connection.receive, most=_READ_BYTES)
        is_reusable = answer.is_whole
        return _reply(answer)
    finally:
        if is_reusable:
            _POOL.give(key, connection)
        else:
            connection.close()


def _reply(answer: Answer) -> Reply:
    return Reply(
        status=answer.status,
        head=answer.body[:HEAD_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd"),
        retry_after=answer.retry_after,
    )


class _Connection:
    """To one endpoint; whoever uses it sets the `deadline` first."""

    def __init__(self, url: str, *, allow_private: bool, deadline: float) -> None:
        parts = urlsplit(url)
        self.head = _head(url)
        self.deadline = deadline
        self.idle_since = 0.0
        self.is_tls = parts.scheme == "https"
        self.socket: Any = self._connected(parts.hostname or "", url_port(parts), allow_private)
        self.ready = select.poll()
        self.ready.register(self.socket, select.POLLIN)

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Head and body in one piece."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        waiting = memoryview(
            b"%b%bContent-Length: %d\r\n\r\n%b" % (self.head, lines.encode(), len(body), body)
        )
        while waiting:
            try:
                waiting = waiting[self.socket.send(waiting) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)

    def receive(self) -> bytes:
        """The next bytes of the answer; none, when there are no more."""
        if not self.is_tls:
            # It is never there yet. What TLS holds, it holds without the socket being ready.
            self._wait(select.POLLIN)
        while True:
            try:
                return bytes(self.socket.recv(_READ_BYTES))
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def close(self) -> None:
        self.socket.close()

    def _wait(self, event: int) -> None:
        if event != select.POLLIN:
            self.ready.modify(self.socket, event)
        try:
            if not self.ready.poll(_left(self.deadline) * 1000):
                raise TimeoutError
        finally:
            if event != select.POLLIN:
                self.ready.modify(self.socket, select.POLLIN)

    def _connected(self, host: str, port: int, allow_private: bool) -> socket.socket:
        addresses = _resolved(host, port, self.deadline)
        for _, place in addresses:
            refusal = address_refusal(ipaddress.ip_address(str(place[0])), allow_private=allow_private)
            if refusal is not None:
                raise AddressRefusedError(refusal)
        plain = _connected(addresses, self.deadline)
        try:
            if self.is_tls:
                plain.settimeout(_left(self.deadline))
                plain = _tls().wrap_socket(plain, server_hostname=host)
            plain.setblocking(False)
        except BaseException:
            plain.close()
            raise
        return plain


@lru_cache(maxsize=_IDLE_ENDPOINTS)
def _head(url: str) -> bytes:
    """What every request to a URL begins with."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    place = f"{host}:{parts.port}" if parts.port else f"{host}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(character <= " " for character in target + place):
        raise ValueError("the URL holds characters that would end the request's line")
    return f"POST {target} HTTP/1.1\r\nHost: {place}\r\nAccept-Encoding: identity\r\n".encode("ascii")


class _Pool:
    """Idle connections of this process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.idle: OrderedDict[_Key, list[_Connection]] = OrderedDict()

    def take(self, key: _Key) -> _Connection | None:
        """The connection used last, unless it has been idle for so long that the other side may have given it up."""
        with self.lock:
            connections = self.idle.get(key, [])
            if not connections or elapsed_seconds() - connections[-1].idle_since < _IDLE_SECONDS:
                return connections.pop() if connections else None
            # The others have been idle for longer still.
            stale = self.idle.pop(key)
        _close(stale)
        return None

    def give(self, key: _Key, connection: _Connection) -> None:
        connection.idle_since = elapsed_seconds()
        with self.lock:
            self.idle.setdefault(key, []).append(connection)
            self.idle.move_to_end(key)
            dropped = self.idle.popitem(last=False)[1] if len(self.idle) > _IDLE_ENDPOINTS else []
        _close(dropped)

    def close(self) -> None:
        """All of them, when the process ends."""
        with self.lock:
            left, self.idle = self.idle, OrderedDict()
        for connections in left.values():
            _close(connections)


def _close(connections: list[_Connection]) -> None:
    for connection in connections:
        connection.close()


_POOL: Final = _Pool()
atexit.register(_POOL.close)


def _left(deadline: float) -> float:
    left = deadline - elapsed_seconds()
    if left <= 0:
        raise TimeoutError
    return left


_Place = tuple[socket.AddressFamily, tuple[Any, ...]]


def _resolved(host: str, port: int, deadline: float) -> list[_Place]:
    asked = _RESOLVERS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(timeout=_left(deadline))
    except WaitTimeoutError:
        asked.cancel()
        raise TimeoutError from None
    return [(family, place) for family, _, _, _, place in found]


def _connected(addresses: list[_Place], deadline: float) -> socket.socket:
    """A connection to the first of these addresses that takes one."""
    refusal: OSError = OSError("the host has no address")
    for family, place in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(_left(deadline))
            plain.connect(place)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            plain.close()
            raise
        except OSError as error:
            plain.close()
            refusal = error
        else:
            return plain
    raise refusal


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
