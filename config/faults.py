"""What is answered when no view did: problem documents under /v1, Django's pages elsewhere."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views import defaults

from customers.api.problems import problem_response
from customers.errors import MalformedRequest, NotFound, ServerFault


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return (
        problem_response(MalformedRequest(), request)
        if _api(request)
        else defaults.bad_request(request, exception)
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _api(request):
        return problem_response(NotFound("There is no such path."), request)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    return problem_response(ServerFault(), request) if _api(request) else defaults.server_error(request)


def no_such_path(request: HttpRequest) -> HttpResponseBase:
    """The last route under /v1, so that also a debugging server answers as an API does."""
    return problem_response(NotFound("There is no such path."), request)


def _api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/v1/")
