"""What stands around every request, outermost first."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from config.hot_paths import hot_view
from customers.api.hot import HotAnswer, HotView
from customers.api.problems import as_domain_error, problem_response
from customers.api.requests import EdgeRequest, HotRequest, address_of
from customers.kernel.caller import Caller
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import environment_clear, environment_use
from customers.kernel.ids import typeid, uuid7
from customers.models import User
from customers.services.environments import environment_in_view, environment_now

_access = logging.getLogger("purser.access")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def hot_answer(request: EdgeRequest, view: HotView, arguments: dict[str, Any]) -> HotAnswer:
    """The whole of what stands around a hot view; it lets no exception out."""
    _name(request)
    answer = view.answer(request, **arguments)
    answer.headers["X-Request-Id"] = request.request_id
    return answer


def _name(request: EdgeRequest) -> None:
    given = request.META.get("HTTP_X_REQUEST_ID")
    request.request_id = given if given and _REQUEST_ID.fullmatch(given) else typeid("req", uuid7())
    if "HTTP_TRANSFER_ENCODING" in request.META:
        _read_chunks(request)


class EdgeMiddleware:
    """Names every request, answers hot paths itself, logs the others, and leaves no environment behind."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, plain: HttpRequest) -> HttpResponseBase:
        request = cast(EdgeRequest, plain)
        hot = hot_view(request.path_info, request.method)
        if hot is not None:
            return hot_answer(request, *hot).for_django()
        _name(request)
        response = self._ordinary(request)
        response.headers["X-Request-Id"] = request.request_id
        return response

    def _ordinary(self, request: EdgeRequest) -> HttpResponseBase:
        began = elapsed_seconds()
        try:
            response = self.get_response(request)
        except Exception as error:
            if not request.path_info.startswith("/v1/"):
                raise
            response = problem_response(as_domain_error(error, request), request)
        finally:
            environment_clear()
        _access.info(
            "request",
            extra={
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "milliseconds": round((elapsed_seconds() - began) * 1000, 1),
                "request_id": request.request_id,
                "address": address_of(request),
            },
        )
        return response


def _read_chunks(request: HttpRequest) -> None:
    """Django takes a body without a length for an empty one; the server knows where a chunked one ends."""
    if request.META.get("CONTENT_LENGTH"):
        return
    body = request.META["wsgi.input"].read(settings.BODY_MAX_BYTES + 1)
    request.META["CONTENT_LENGTH"] = str(len(body))
    request.META["wsgi.input"] = BytesIO(body)
    if not isinstance(request, HotRequest):
        chunked = cast(Any, request)
        chunked._body = body
        chunked._stream = BytesIO(body)


class AdminEnvironmentMiddleware:
    """The admin looks at one environment at a time: the one chosen in the session, or the first test."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/admin") and request.user.is_authenticated:
            self._enter(request, request.user)
        return self.get_response(request)

    def _enter(self, request: Any, user: User) -> None:
        environment = environment_in_view(request.session)
        request.environment = environment
        if environment is None:
            request.now = system_now()
            return
        environment_use(environment.id)
        request.now = environment_now(environment)
        request.caller = Caller(
            environment_id=environment.id,
            actor=f"user:{user.get_username()}",
            request_id=request.request_id,
            address=address_of(request),
        )


class ContentSecurityPolicyMiddleware:
    """What a page may load: nothing but ourselves, and for answers that are no pages nothing at all."""

    _NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
    _PAGE: Final = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'self'; "
        "frame-ancestors 'none'"
    )
    # The admin's Alpine evaluates the expressions in its attributes.
    _ADMIN: Final = _PAGE.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self._policy(request, response))
        return response

    def _policy(self, request: HttpRequest, response: HttpResponseBase) -> str:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return self._NOTHING
        return self._ADMIN if request.path_info.startswith("/admin") else self._PAGE
