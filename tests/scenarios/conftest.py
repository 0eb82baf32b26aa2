"""The product as it is served: the real web server, on this run's database."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from config.local.programs import web_arguments
from tests.conftest import Character


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def __getitem__(self, member: str) -> Any:
        return json.loads(self.body)[member]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Calls the server with a key, sending paths byte for byte as they are written."""

    port: int
    secret: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        sent = {"X-API-Key": self.secret} | {name.replace("_", "-"): text for name, text in headers.items()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            headers = {name.lower(): text for name, text in answer.headers.items()}
            return Reply(answer.status, headers, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """A web server of this run's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-m", *web_arguments(port=number, workers=1)],
        env=os.environ | {"LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _wait_for(number, server)
            yield number
        finally:
            server.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the web server stopped"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the web server did not start")


@pytest.fixture
def service(acme: Character, port: int) -> Service:
    """Acme's backend, with its test key, against the real server."""
    return Service(port=port, secret=acme.test.secret)
