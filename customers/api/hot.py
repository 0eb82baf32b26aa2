"""Hot endpoints: plain Django views with nothing around them that a few microseconds could not pay for.

From outside they are like every other endpoint: same authentication, limits, problems. Their paths stand in
config/hot_paths.py, and EdgeMiddleware calls them directly.

    @hot(methods=("POST",), scope="usage:write", bucket="usage")
    def usage_create(request: EdgeRequest) -> HotAnswer:
        wish = decode(request.body, type=UsageCreate)
        ...
        return respond(202, UsageAccepted(...))

A service that learns from the database that its configuration is old raises `ConfigMoved`; the view is then called
again with what is true now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import wraps
from typing import Any, Final, TypeVar, cast

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from customers.api.authentication import caller_of, scope_check, secret_of
from customers.api.parsers import json_object
from customers.api.problems import as_domain_error, problem_response
from customers.api.rate_limits import TooFast, rate_check, rate_headers
from customers.api.requests import EdgeRequest
from customers.errors import (
    DomainError,
    FieldError,
    MalformedRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from customers.kernel.amounts import units_refusal
from customers.kernel.clock import system_now
from customers.kernel.memory import ConfigMoved, forget_environment, on_config_change
from customers.services.authentication import KnownKey, key_authenticate, key_authenticate_afresh

__all__ = [
    "HotAnswer",
    "Operation",
    "decode",
    "forget_environment",
    "hot",
    "on_config_change",
    "respond",
    "units_check",
]

T = TypeVar("T")
Answering = Callable[..., "HotAnswer"]

_TURNS: Final = 3
#: While a test clock advances, the configuration is a new one at every instant on its way.
_TURNS_BY_A_CLOCK: Final = 30
_SUSPICIOUS: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_encode: Final = msgspec.json.Encoder().encode
_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}


@dataclass(slots=True)
class HotAnswer:
    """What a hot view answers: no more than goes over the wire. Django's response takes as long as half a view."""

    status_code: int
    content: bytes
    headers: dict[str, str]

    def for_django(self) -> HttpResponse:
        """The same, for Django's handler."""
        return HttpResponse(self.content, status=self.status_code, headers=self.headers)


class HotView:
    """A hot view as the edge calls it (`answer`), and as Django does, which finds it in the URLs."""

    csrf_exempt = True

    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.answer(request, **kwargs).for_django()


def hot(
    *, scope: str, bucket: str, methods: Sequence[str] = ("POST",), asks_time: bool = False
) -> Callable[[Answering], HotView]:
    """Authenticate, limit, check the scope, call the view; whatever is raised becomes a problem document.

    `asks_time` is for views whose services do not carry the configuration's version into the database, and so are not
    told that a test clock was moved: on a test environment the key, and with it the clock, is read anew for them.
    """
    allowed = frozenset((*methods, "HEAD") if "GET" in methods else methods)

    def decorate(view: Answering) -> HotView:
        @wraps(view)
        def handle(plain: HttpRequest, **kwargs: Any) -> HotAnswer:
            request = cast(EdgeRequest, plain)
            taken = None
            try:
                _check_method(request, allowed)
                secret = secret_of(request)
                key = _authenticated(secret, asks_time=asks_time)
                taken = rate_check(key, bucket)
                scope_check(key, scope)
                if request.method not in ("GET", "HEAD"):
                    _check_body(request)
                answer = _turns(view, request, secret, key, kwargs)
            except TooFast as error:
                taken = error.taken
                answer = _refused(error, request)
            except Exception as error:
                answer = _refused(as_domain_error(error, request), request)
            if taken is not None:
                rate_headers(answer.headers, taken)
            return answer

        return HotView(handle)

    return decorate


def _refused(error: DomainError, request: HttpRequest) -> HotAnswer:
    response = problem_response(error, request)
    return HotAnswer(response.status_code, response.content, dict(response.headers.items()))


def _authenticated(secret: str, *, asks_time: bool) -> KnownKey:
    key = key_authenticate(secret=secret, now=system_now())
    return _read_anew(secret) if asks_time and _may_be_clocked(key) else key


def _may_be_clocked(key: KnownKey) -> bool:
    return key.kind == "test"


def _read_anew(secret: str) -> KnownKey:
    return key_authenticate_afresh(secret=secret, now=system_now(), use_environment=False)


def _turns(
    view: Answering, request: EdgeRequest, secret: str, key: KnownKey, kwargs: dict[str, Any]
) -> HotAnswer:
    for _ in range(_TURNS if key.frozen_at is None else _TURNS_BY_A_CLOCK):
        request.key = key
        request.caller = caller_of(request, key)
        request.now = key.frozen_at or system_now()
        try:
            return view(request, **kwargs)
        except ConfigMoved:
            forget_environment(key.environment_id)
            key = _read_anew(secret)
        except DomainError:
            # What is refused has changed nothing; it may have been asked at a time that is over.
            anew = _read_anew(secret) if _may_be_clocked(key) else key
            if anew.config_version == key.config_version:
                raise
            key = anew
    raise Unavailable("The configuration keeps changing. Try again.", retry_after_seconds=1)


def _check_method(request: HttpRequest, allowed: frozenset[str]) -> None:
    if request.method not in allowed:
        raise MethodNotAllowed(f"{request.method} is not possible here.", extra={"allow": sorted(allowed)})


def _check_body(request: HttpRequest) -> None:
    length = request.META.get("CONTENT_LENGTH")
    # A call that needs no body may come without one, and then without a type.
    if request.content_type != "application/json" and (request.content_type or length not in (None, "", "0")):
        raise UnsupportedMediaType
    if length and length.isdigit() and int(length) > settings.BODY_MAX_BYTES:
        raise PayloadTooLarge


def decode(body: bytes, *, type: type[T]) -> T:
    """The body as a msgspec.Struct; JSON numbers become exact Decimals, also in members without a type."""
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type, float_hook=Decimal)
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _validation(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from None
    if b"\\u" in body and _SUSPICIOUS.search(body):
        json_object(body)
    return cast(T, value)


def respond(status: int, content: Any, *, replayed: bool = False) -> HotAnswer:
    """A JSON answer: bytes as they are, anything else as msgspec writes it."""
    body = content if isinstance(content, bytes) else _encode(content)
    answer = HotAnswer(status, body, {"Content-Type": "application/json"})
    if replayed:
        answer.headers["X-Idempotent-Replayed"] = "true"
    return answer


def units_check(field_name: str, value: Decimal, *, above: Decimal | None = None) -> Decimal:
    """A quantity that can be stored and reckoned with, or a refusal of this field."""
    refusal = units_refusal(value)
    if refusal is None and above is not None and value <= above:
        refusal = f"Must be above {above}."
    if refusal is not None:
        raise ValidationFailed(errors=(FieldError(field_name, "out-of-range", refusal),))
    return value


_PLACE: Final = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)


def _validation(message: str) -> MalformedRequest | ValidationFailed:
    found = _PLACE.fullmatch(message)
    text, place = (found[1], found[2] or "") if found else (message, "")
    if not place and text.startswith("Expected `object`"):
        return MalformedRequest("The body is not a JSON object.")
    path = re.sub(r"\[(\d+)\]", r".\1", place).replace("[...]", "").strip(".")
    named = _NAMED.fullmatch(text)
    if named is not None:
        path = f"{path}.{named[2]}" if path else named[2]
        missing = named[1].startswith("missing")
        code, text = (
            ("required", "This field is required.")
            if missing
            else ("unknown-field", "There is no such field.")
        )
    else:
        code, text = "invalid", text.replace("`", "") + "."
    return ValidationFailed(errors=(FieldError(path, code, text),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A hot endpoint in the API's description, which the generator cannot see by itself."""

    path: str
    method: str
    operation_id: str
    summary: str
    tag: str
    description: str = ""
    scope: str
    #: msgspec types; None = no body.
    request: Any = None
    responses: Mapping[int, Any]
    #: OpenAPI parameter objects (path and query).
    parameters: Sequence[Mapping[str, Any]] = ()
    request_example: Any = None
    response_example: Any = None
    #: Codes of the problems it may answer with, beyond those every endpoint has.
    problems: Sequence[str] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
