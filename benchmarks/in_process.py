"""A WSGI application called without a server: what the code itself takes.

Run as `python -m benchmarks.in_process MODULE REQUEST`; for each number it reads on a line of standard input it makes
so many calls and answers with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from typing import Any

from benchmarks.load import messages
from benchmarks.requests import Request, request_from_json


def environs(request: Request) -> Iterator[dict[str, Any]]:
    """What a server would hand over for each request, made before the clock runs."""
    for message in messages(request):
        head, _, body = message.partition(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        environ = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        if request.secret:
            environ["HTTP_X_API_KEY"] = request.secret
        if body:
            environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
        yield environ


def calls(*, application: Any, request: Request, count: int) -> dict[str, Any]:
    """The milliseconds of each of `count` calls, and the processor time of all."""
    statuses: list[str] = []
    times = []
    busy = 0.0
    following = environs(request).__next__
    for _ in range(count):
        environ = following()
        busy -= time.process_time()
        began = time.perf_counter()
        response = application(environ, lambda status, _: statuses.append(status))
        b"".join(response)
        if hasattr(response, "close"):
            response.close()
        times.append((time.perf_counter() - began) * 1000)
        busy += time.process_time()
    wrong = [status for status in statuses if not status.startswith(str(request.expected_status))]
    return {"milliseconds": times, "cpu_us": busy / count * 1e6, "errors": len(wrong), "examples": wrong[:3]}


def main() -> None:
    application = import_module(sys.argv[1]).application
    request = request_from_json(sys.argv[2])
    for line in sys.stdin:
        print(json.dumps(calls(application=application, request=request, count=int(line))), flush=True)


if __name__ == "__main__":
    main()
