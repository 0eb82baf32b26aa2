"""Sends webhooks: one POST, within a total time, to no address that is not allowed, following nothing.

Each name is resolved here, every address it has is checked, and the connection goes to a checked address: there is no
second resolution that could answer otherwise. Connections are kept per endpoint and process.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from customers.engine.webhook_addresses import address_refusal, url_port
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
    kept = _POOL.take(key)
    try:
        if kept is not None:
            try:
                return _exchange(key, kept, body, headers, deadline)
            except (http.client.RemoteDisconnected, ConnectionError):
                # It was closed while nobody used it: that says nothing about the receiver.
                kept.close()
        return _exchange(key, _Connection(url, allow_private=allow_private), body, headers, deadline)
    except TimeoutError:
        return Reply(status=None, error=f"no answer within {seconds:g} s")
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        return Reply(status=None, error=f"{type(error).__name__}: {error}"[:300].replace("\x00", ""))


def _exchange(
    key: _Key, connection: _Connection, body: bytes, headers: Mapping[str, str], deadline: float
) -> Reply:
    connection.deadline = deadline
    is_reusable = False
    try:
        connection.request("POST", connection.target, body, dict(headers))
        connection.flush()
        with connection.getresponse() as answer:
            content = answer.read(_READ_BYTES)
            is_reusable = answer.isclosed() and not answer.will_close
            return Reply(
                status=answer.status,
                head=content[:HEAD_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd"),
                retry_after=answer.getheader("Retry-After"),
            )
    finally:
        if is_reusable:
            _POOL.give(key, connection)
        else:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """To one endpoint; whoever uses it sets the `deadline` first."""

    def __init__(self, url: str, *, allow_private: bool) -> None:
        parts = urlsplit(url)
        super().__init__(parts.hostname or "", url_port(parts))
        self.is_tls = parts.scheme == "https"
        self.default_port = 443 if self.is_tls else 80
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.allow_private = allow_private
        self.deadline = 0.0
        self.idle_since = 0.0
        self.waiting: list[bytes] = []

    def send(self, data: Any) -> None:
        """Head and body come one by one, and go out together."""
        self.waiting.append(data)

    def flush(self) -> None:
        message, self.waiting = b"".join(self.waiting), []
        super().send(message)

    def connect(self) -> None:
        addresses = _resolved(self.host, self.port, self.deadline)
        for _, place in addresses:
            refusal = address_refusal(ipaddress.ip_address(str(place[0])), allow_private=self.allow_private)
            if refusal is not None:
                raise AddressRefusedError(refusal)
        plain = _connected(addresses, self.deadline)
        try:
            if self.is_tls:
                plain.settimeout(_left(self.deadline))
                plain = _tls().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock: Any = _TimedSocket(plain, self)


class _TimedSocket:
    """What http.client needs of a socket; every wait ends at the connection's deadline, also between two bytes."""

    def __init__(self, plain: socket.socket, connection: _Connection) -> None:
        self.plain, self.connection = plain, connection
        self.readers, self.is_closed = 0, False

    def sendall(self, data: Any) -> None:
        self.plain.settimeout(_left(self.connection.deadline))
        self.plain.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self.readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """As with real sockets: an answer that is still being read keeps it open."""
        self.is_closed = True
        if self.readers == 0:
            self.plain.close()


class _Reader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self.timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.timed.plain.settimeout(_left(self.timed.connection.deadline))
        return self.timed.plain.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self.timed.readers -= 1
            if self.timed.is_closed:
                self.timed.close()


class _Pool:
    """Idle connections of this process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.idle: OrderedDict[_Key, list[_Connection]] = OrderedDict()

    def take(self, key: _Key) -> _Connection | None:
        """The connection used last, unless it has been idle for so long that the other side may have given it up."""
        with self.lock:
            connections = self.idle.get(key, [])
            connection = connections.pop() if connections else None
        if connection is None or elapsed_seconds() - connection.idle_since < _IDLE_SECONDS:
            return connection
        connection.close()
        return None

    def give(self, key: _Key, connection: _Connection) -> None:
        connection.idle_since = elapsed_seconds()
        with self.lock:
            self.idle.setdefault(key, []).append(connection)
            self.idle.move_to_end(key)
            dropped = self.idle.popitem(last=False)[1] if len(self.idle) > _IDLE_ENDPOINTS else []
        for old in dropped:
            old.close()


_POOL: Final = _Pool()


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
