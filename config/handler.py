"""The application as the server calls it: hot paths at once, everything else through Django's handler.

Measured, Django's own way to a view (two signals with their receivers, the chain of middleware, the closing of the
response) takes as long as all of our code around a hot call. The same requests through Django's handler, as the test
client sends them, are answered by the same function out of EdgeMiddleware.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.client import responses
from typing import TYPE_CHECKING, Any, Final, cast

from django.core.handlers.wsgi import WSGIHandler

from config.hot_paths import hot_view
from config.middleware import hot_answer
from customers.api.requests import EdgeRequest, HotRequest
from customers.kernel.database import connection_tidy

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication


_LINES: Final = {int(status): f"{int(status)} {phrase}" for status, phrase in responses.items()}


class EdgeHandler:
    """Django's handler, and a way past it for the hot paths."""

    def __init__(self) -> None:
        self._ordinary = cast("WSGIApplication", WSGIHandler())

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        # Others than ASCII are spelled differently here than in `request.path_info`.
        hot = hot_view(path, environ.get("REQUEST_METHOD")) if path.isascii() else None
        if hot is None:
            return self._ordinary(environ, start_response)
        try:
            answer = hot_answer(cast(EdgeRequest, HotRequest(environ)), *hot)
        finally:
            connection_tidy()
        start_response(_LINES[answer.status_code], list(answer.headers.items()))
        # A list: any other iterable Granian streams.
        return [answer.content]
