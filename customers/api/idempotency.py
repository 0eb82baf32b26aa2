"""`@idempotent`: a handler that may be sent twice and acts once.

One transaction holds the claim on the key, the work, and the answer. So a crash leaves neither effect nor claim, and a
second request with the key waits for the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from customers.api.problems import CONTENT_TYPE, as_domain_error, problem_response
from customers.api.requests import ApiRequest
from customers.errors import FieldError, IdempotencyKeyMissing, ServerFault, ValidationFailed
from customers.kernel.clock import system_now
from customers.services.checks import key_refusal
from customers.services.idempotency import Claim, answer_keep, key_claim

# A caller must be able to top up, get a scope, slow down or wait, and retry with the same key.
_NEVER_STORED: Final = frozenset({401, 402, 403, 429})


class Handler(Protocol):
    def __call__(self, view: Any, request: Any, /, *args: Any, **kwargs: Any) -> HttpResponseBase: ...


def idempotent(
    *,
    family: str = "other",
    required: bool = False,
    again: str | None = None,
    made: str | None = None,
    fingerprint: Callable[[ApiRequest], bytes | str] | None = None,
    secret: bool = False,
    stepwise: bool = False,
) -> Callable[[Handler], Handler]:
    """Honour the Idempotency-Key of a POST or PATCH handler.

    `family` keeps keys of different operations apart; `required` refuses calls without one. `fingerprint` says what was
    asked for, when that is not method, path and body. `again` names the view's method `(request, effect_id, **kwargs)`
    that answers with the original object once the stored answer is gone; `made` names `(request, key)`, which looks
    for what the key made where that itself is stored, and so outlives even the record of the key. With `secret` a
    successful answer is never stored, because it holds one; `again` answers from the start.

    `stepwise` is for a handler that commits as it goes and, called again, goes on where it was interrupted: it stands
    in no transaction, and only what it achieved is stored, so that a refusal can be mended and the call sent again.
    """
    plan = _Plan(family=family, again=again, made=made, secret=secret)
    run = _stepwise if stepwise else _once

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(view: Any, request: ApiRequest, /, *args: Any, **kwargs: Any) -> HttpResponseBase:
            key = key_of(request)
            if key is None:
                if required:
                    raise IdempotencyKeyMissing
                with nullcontext() if stepwise else transaction.atomic():
                    return handler(view, request, *args, **kwargs)
            asked = _digest(fingerprint(request) if fingerprint else _request_text(request))
            return run(
                plan, partial(handler, view, request, *args, **kwargs), view, request, key, asked, kwargs
            )

        # For the API's description.
        handle.idempotency_required = required  # type: ignore[attr-defined]
        return handle

    return decorate


def key_of(request: ApiRequest) -> str | None:
    """The Idempotency-Key header, or None when there is none."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    refusal = None if key is None else key_refusal(key)
    if refusal is not None:
        raise ValidationFailed(errors=(FieldError("Idempotency-Key", "invalid-idempotency-key", refusal),))
    return key


class _NotStored(Exception):
    """Rolls everything back, the claim too, and carries the answer out."""

    def __init__(self, response: HttpResponseBase) -> None:
        self.response = response


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    family: str
    again: str | None
    made: str | None
    secret: bool


def _once(
    plan: _Plan,
    work: Callable[[], HttpResponseBase],
    view: Any,
    request: ApiRequest,
    key: str,
    fingerprint: bytes,
    kwargs: dict[str, Any],
) -> HttpResponseBase:
    try:
        with transaction.atomic():
            claim = _claim(plan, request, key, fingerprint)
            if claim.claimed and plan.made is not None:
                claim = _known_by_its_effect(claim, getattr(view, plan.made)(request, key))
            if not claim.claimed:
                return _answer_again(plan, view, request, claim, kwargs)
            return _work(plan, work, request, claim)
    except _NotStored as outcome:
        return outcome.response


def _stepwise(
    plan: _Plan,
    work: Callable[[], HttpResponseBase],
    view: Any,
    request: ApiRequest,
    key: str,
    fingerprint: bytes,
    kwargs: dict[str, Any],
) -> HttpResponseBase:
    with transaction.atomic():
        claim = _claim(plan, request, key, fingerprint)
        # Only a look: the key is claimed when there is an answer.
        transaction.set_rollback(claim.claimed)
    if not claim.claimed:
        return _answer_again(plan, view, request, claim, kwargs)
    response = _rendered(work())
    with transaction.atomic():
        claim = _claim(plan, request, key, fingerprint)
        if not claim.claimed:
            return _answer_again(plan, view, request, claim, kwargs)
        answer_keep(
            record_id=claim.record_id, status=response.status_code, body=response.content, effect_id=None
        )
    return response


def _claim(plan: _Plan, request: ApiRequest, key: str, fingerprint: bytes) -> Claim:
    return key_claim(
        environment_id=request.caller.environment_id,
        family=plan.family,
        key=key,
        fingerprint=fingerprint,
        now=system_now(),
    )


def _known_by_its_effect(claim: Claim, effect_id: UUID | None) -> Claim:
    """A key without a record that made something nevertheless: its record was lost, its effect was not."""
    if effect_id is None:
        return claim
    answer_keep(record_id=claim.record_id, status=None, body=None, effect_id=effect_id)
    return replace(claim, claimed=False, effect_id=effect_id)


def _work(
    plan: _Plan, work: Callable[[], HttpResponseBase], request: ApiRequest, claim: Claim
) -> HttpResponse:
    effects: list[UUID] = []
    request.idempotency_effect = effects.append
    try:
        with transaction.atomic():
            response = _rendered(work())
    except Exception as error:
        refusal = as_domain_error(error, request._request)
        if not _is_stored(refusal.status):
            raise refusal from error
        # The savepoint is rolled back: a refused call leaves nothing but its answer.
        effects.clear()
        response = problem_response(refusal, request._request)
    if not _is_stored(response.status_code):
        raise _NotStored(response)
    hidden = plan.secret and response.status_code < 400
    answer_keep(
        record_id=claim.record_id,
        status=None if hidden else response.status_code,
        body=None if hidden else response.content,
        effect_id=effects[-1] if effects else None,
    )
    return response


def _answer_again(
    plan: _Plan, view: Any, request: ApiRequest, claim: Claim, kwargs: dict[str, Any]
) -> HttpResponseBase:
    if claim.status is not None:
        response: HttpResponseBase = HttpResponse(
            claim.body or b"",
            status=claim.status,
            content_type=CONTENT_TYPE if claim.status >= 400 else "application/json",
        )
    elif claim.effect_id is not None and plan.again is not None:
        response = getattr(view, plan.again)(request, claim.effect_id, **kwargs)
    else:
        raise ServerFault("The answer to this key is gone.")
    response["X-Idempotent-Replayed"] = "true"
    return response


def _rendered(response: HttpResponseBase) -> HttpResponse:
    """The answer as the bytes that are sent and stored."""
    if isinstance(response, Response):
        body = b"" if response.data is None else JSONRenderer().render(response.data)
        return HttpResponse(body, status=response.status_code, content_type="application/json")
    if isinstance(response, HttpResponse):
        return response
    raise TypeError("a streamed answer cannot be stored")


def _is_stored(status: int) -> bool:
    return status < 500 and status not in _NEVER_STORED


def _request_text(request: ApiRequest) -> str:
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"), default=str)
    return f"{request.method}\n{request.path}\n{body}"


def _digest(asked: bytes | str) -> bytes:
    return hashlib.sha256(asked.encode(errors="surrogatepass") if isinstance(asked, str) else asked).digest()
