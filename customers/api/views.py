"""The base of every DRF view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.rate_limits import TooFast, rate_check, rate_headers
from customers.api.requests import ApiRequest
from customers.errors import FieldError, MethodNotAllowed, NotFound, ValidationFailed
from customers.kernel.ids import typeid_parse


class AlwaysJson(BaseContentNegotiation):
    """Whatever `Accept` says: this API speaks JSON, and a browser may look at it too."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        wanted = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class Endpoint(GenericAPIView[Any]):
    """A view reads, calls a service, shows.

    `resource` names the scope (`customers` → `customers:read` for GET, `customers:write` otherwise), `bucket` the rate
    limit. Handlers find `request.caller`, `request.now` and `request.key`.
    """

    resource: ClassVar[str]
    bucket: ClassVar[str] = "other"
    #: For paths that are another name of this resource: what begins so gets this ending on its operation ids.
    aliases: ClassVar[Mapping[str, str]] = {}
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    content_negotiation_class = AlwaysJson

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> ApiRequest:
        made = ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )
        made.idempotency_effect = _nothing_to_tell
        return made

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        checked = cast(ApiRequest, request)
        checked.rate = rate_check(checked.key, self.bucket)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        rate = request.__dict__.get("rate")
        if rate is not None:
            rate_headers(final.headers, rate)
        return final

    def handle_exception(self, exc: Exception) -> Any:
        response = super().handle_exception(exc)
        if isinstance(exc, TooFast):
            rate_headers(response.headers, exc.taken)
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        raise MethodNotAllowed(
            f"{request.method} is not possible here.", extra={"allow": self.allowed_methods}
        )

    def read(
        self, serializer: type[serializers.BaseSerializer[Any]], *, partial: bool = False
    ) -> dict[str, Any]:
        """The body, checked by a serializer."""
        reading = serializer(data=self.request.data, partial=partial)
        reading.is_valid(raise_exception=True)
        return cast(dict[str, Any], reading.validated_data)

    def page(self, queryset: QuerySet[Any], serializer: type[serializers.BaseSerializer[Any]]) -> Response:
        """One page of a list, filtered by the view's `filterset_class`."""
        self.refuse_unknown_parameters()
        rows = self.paginate_queryset(self.filter_queryset(queryset))
        return self.get_paginated_response(serializer(rows, many=True).data)

    def refuse_unknown_parameters(self) -> None:
        """A filter with a typing error must not return everything."""
        filterset = getattr(self, "filterset_class", None)
        known = {"limit", "cursor", *(filterset.base_filters if filterset else ())}
        unknown = [name for name in self.request.query_params if name not in known]
        if unknown:
            raise ValidationFailed(
                errors=[FieldError(name, "unknown-parameter", "There is no such filter.") for name in unknown]
            )


def object_id(prefix: str, text: str) -> UUID:
    """The UUID behind an id in the path; what is no id of this kind names nothing."""
    found = typeid_parse(prefix, text)
    if found is None:
        raise NotFound(f"There is no {text}.")
    return found


def _nothing_to_tell(effect_id: UUID) -> None:
    """Without an Idempotency-Key there is nobody to tell."""
