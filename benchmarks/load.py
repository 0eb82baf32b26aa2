"""The load generator: one process, many keep-alive connections, one request under way on each.

Run as a process of its own, so that the server's processor time is the server's: `python -m benchmarks.load`, the order
as a JSON object on standard input, the count as one on standard output.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.requests import ANSWER_PLACE, CUSTOMER_PLACE, KEY_PLACE, Request, request_made

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS: Final = slice(9, 12)
_MADE: Final = re.compile(rb'_id": *"(res_[0-9a-z]+)"')
_ERRORS_SHOWN: Final = 3


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""
    is_second: bool = False


def messages(request: Request) -> Iterator[bytes]:
    """Requests without end: a customer drawn at random, a key never used before."""
    parts = re.split(f"({CUSTOMER_PLACE}|{KEY_PLACE})".encode(), request.http())
    if len(parts) == 1:
        while True:
            yield parts[0]
    makers: list[Callable[[], bytes]] = [_maker(part, request.customers) for part in parts]
    while True:
        yield b"".join([make() for make in makers])


def _maker(part: bytes, customers: int) -> Callable[[], bytes]:
    if part == CUSTOMER_PLACE.encode():
        draw = random.Random(secrets.randbits(64)).random
        numbers = [b"%05d" % number for number in range(customers)]
        return lambda: numbers[int(draw() * customers)]
    if part == KEY_PLACE.encode():
        run = secrets.token_hex(4).encode()
        count = iter(range(1, 1 << 32)).__next__
        return lambda: run + b"%08x" % count()
    return lambda: part


def drive(*, port: int, request: Request, connections: int, seconds: float) -> dict[str, Any]:
    """Answers counted between the first request and the end; what is under way then is waited for, not counted."""
    epoll = select.epoll()
    by_file = {}
    for _ in range(connections):
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        by_file[made.fileno()] = _Connection(made)
        epoll.register(made.fileno(), select.EPOLLIN)
    try:
        return _drive(epoll, by_file, request, seconds)
    finally:
        for connection in by_file.values():
            connection.socket.close()
        epoll.close()


def _drive(
    epoll: select.epoll, by_file: dict[int, _Connection], request: Request, seconds: float
) -> dict[str, Any]:
    clock, following = time.perf_counter, messages(request).__next__
    expected = str(request.expected_status).encode()
    second = messages(request.then).__next__ if request.then else None
    second_expected = str(request.then.expected_status).encode() if request.then else b""
    times: list[float] = []
    errors: list[bytes] = []
    began = clock()
    until = began + seconds
    for connection in by_file.values():
        connection.sent_at = clock()
        connection.socket.sendall(following())
    under_way = len(by_file)
    while under_way:
        for file, _ in epoll.poll():
            connection = by_file[file]
            answer = _answer(connection)
            if answer is None:
                continue
            if second is not None and not connection.is_second and answer[_STATUS] == expected:
                connection.is_second = True
                connection.socket.sendall(_about(answer, second()))
                continue
            wanted = second_expected if connection.is_second else expected
            connection.is_second = False
            now = clock()
            under_way -= 1
            if now < until:
                times.append(now - connection.sent_at)
                if answer[_STATUS] != wanted:
                    errors.append(answer)
                under_way += 1
                connection.sent_at = now
                connection.socket.sendall(following())
    return _summary(times, errors, seconds)


def _about(answer: bytes, message: bytes) -> bytes:
    """The next request, about what the answer made."""
    made = _MADE.search(answer)
    if made is None:
        raise ValueError(f"the answer names nothing: {answer[-500:]!r}")
    return message.replace(ANSWER_PLACE.encode(), made[1], 1)


def _answer(connection: _Connection) -> bytes | None:
    """The whole answer, when its last byte is here."""
    chunk = connection.socket.recv(65536)
    if not chunk:
        raise ConnectionError(f"the server hung up: {connection.received!r}")
    received = connection.received + chunk
    head_end = received.find(b"\r\n\r\n") + 4
    length = _LENGTH.search(received, 0, head_end) if head_end > 3 else None
    whole = len(received) >= head_end + int(length[1]) if length else received.endswith(b"\r\n0\r\n\r\n")
    connection.received = b"" if whole else received
    return received if whole else None


def _summary(times: list[float], errors: list[bytes], seconds: float) -> dict[str, Any]:
    times.sort()
    count = len(times)
    return {
        "operations": count,
        "per_second": count / seconds,
        "p50_ms": times[count // 2] * 1000 if count else None,
        "p99_ms": times[min(count - 1, count * 99 // 100)] * 1000 if count else None,
        "errors": len(errors),
        "examples": [error.decode(errors="replace")[-500:] for error in errors[:_ERRORS_SHOWN]],
    }


def main() -> None:
    order = json.load(sys.stdin)
    request = request_made(order.pop("request"))
    print(json.dumps(drive(request=request, **order)))


if __name__ == "__main__":
    main()
