"""A webhook receiver of the tests: answers, fails, hangs, answers slowly, hangs up, as it is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import sleep
from typing import Any


@dataclass
class Received:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What to answer: `seconds` later; with no status hang up instead."""

    status: int | None = 200
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    trickle: bool = False


class Receiver:
    """`behave` decides each request's answer from its JSON body."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.lock = Lock()
        self.behave: Callable[[Any], Answer] = lambda _event: Answer()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def accepted(self) -> list[Any]:
        """Events this receiver said yes to, in order of arrival."""
        return self.accepted_at("")

    def accepted_at(self, path_end: str) -> list[Any]:
        return [each.json for each in self.received if each.status == 200 and each.path.endswith(path_end)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver
    # Headers and body would wait for each other otherwise.
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.receiver.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.receiver.behave(json.loads(body))
        with self.receiver.lock:
            self.receiver.received.append(
                Received(
                    self.path,
                    {name.lower(): each for name, each in self.headers.items()},
                    body,
                    answer.status,
                )
            )
        sleep(answer.seconds)
        if answer.status is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        for byte in answer.body if answer.trickle else ():
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            sleep(0.2)
        if not answer.trickle:
            self.wfile.write(answer.body)

    def log_message(self, *_arguments: Any) -> None:
        """Not into the tests' output."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_arguments: Any) -> None:
        """A sender that gave up is no news."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": receiver}))
    receiver.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
