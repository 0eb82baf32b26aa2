"""A webhook receiver that costs next to nothing: `python -m benchmarks.receiver` prints its port and accepts all."""

from __future__ import annotations

import re
import select
import socket
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(listener: socket.socket) -> None:
    """Keep-alive, one request after the other on each connection."""
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, tuple[socket.socket, bytes]] = {}
    while True:
        for file, _ in epoll.poll():
            if file == listener.fileno():
                made, _ = listener.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[made.fileno()] = (made, b"")
                epoll.register(made.fileno(), select.EPOLLIN)
                continue
            connection, before = connections[file]
            received = _received(connection)
            if not received:
                epoll.unregister(file)
                connections.pop(file)[0].close()
                continue
            connections[file] = (connection, _answered(connection, before + received))


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def _answered(connection: socket.socket, received: bytes) -> bytes:
    """What is left of it, when every whole request in it has its answer."""
    while (head_end := received.find(b"\r\n\r\n") + 4) > 3:
        length = _LENGTH.search(received, 0, head_end)
        end = head_end + (int(length[1]) if length else 0)
        if len(received) < end:
            break
        connection.sendall(_ANSWER)
        received = received[end:]
    return received


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    serve(listener)


if __name__ == "__main__":
    main()
