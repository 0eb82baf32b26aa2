"""`GET …/credits`: a balance, and its blocks when asked for. On the hot path: one round trip, nothing around it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from django.http import HttpRequest

from billing.api.blocks import block_document_from_row
from billing.services.reads import Credits, Include, credits_as_of, credits_read
from customers.api.hot import HotAnswer, Operation, hot, respond
from customers.api.requests import EdgeRequest
from customers.errors import FieldError, ValidationFailed
from customers.kernel.instants import instant_parse, instant_text


class Block(msgspec.Struct):
    """Credits that came in together. Amounts in mc."""

    id: str
    original_amount: int
    remaining_amount: int
    status: str
    held_amount: int
    priority: int
    effective_at: str
    expires_at: str | None
    source: str
    reason: str
    price_paid: int | None
    currency: str | None
    metric_keys: list[str] | None
    metadata: dict[str, Any]
    created_at: str


class Balance(msgspec.Struct, omit_defaults=True):
    """A customer's credits at `as_of`, in mc. `blocks` only when asked for, in burn order."""

    customer_id: str
    external_customer_id: str | None
    balance: int
    reserved_balance: int
    effective_balance: int
    lifetime_earned: int
    as_of: str
    #: Raised by every change; only of the present.
    version: int | msgspec.UnsetType = msgspec.UNSET
    blocks: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET


@hot(methods=("GET",), scope="credits:read", bucket="other", asks_time=True)
def credits_show(request: EdgeRequest, by: str, reference: str) -> HotAnswer:
    as_of = _as_of(request)
    credits = _credits(request, by, reference, as_of)
    answer = Balance(
        customer_id=credits.public_id,
        external_customer_id=credits.external_id,
        balance=credits.balance_mc,
        reserved_balance=credits.reserved_mc,
        effective_balance=credits.effective_mc,
        lifetime_earned=credits.lifetime_earned_mc,
        as_of=instant_text(as_of),
    )
    if credits.version is not None:
        answer.version = credits.version
    if credits.blocks is not None:
        answer.blocks = [block_document_from_row(row) for row in credits.blocks]
    return respond(200, answer)


def _credits(request: EdgeRequest, by: str, reference: str, as_of: datetime) -> Credits:
    named: dict[str, Any] = {
        "environment_id": request.key.environment_id,
        "by": by,
        "reference": reference,
        "include": _include(request),
        "now": request.now,
    }
    return credits_as_of(**named, as_of=as_of) if as_of < request.now else credits_read(**named, at=as_of)


def _include(request: HttpRequest) -> Include:
    if request.GET.get("include") == "all":
        return "all"
    return "live" if request.GET.get("include_blocks") == "true" or "include" in request.GET else "none"


def _as_of(request: EdgeRequest) -> datetime:
    text = request.GET.get("as_of")
    if text is None:
        return request.now
    instant = instant_parse(text)
    if instant is None:
        raise ValidationFailed(
            errors=[FieldError("as_of", "invalid", "Must be an instant such as 2026-04-03T09:01:00Z.")]
        )
    return instant


_PARAMETERS: Final = (
    {
        "name": "include_blocks",
        "in": "query",
        "description": "`true`: with the live blocks, in burn order.",
        "schema": {"type": "boolean", "default": False},
    },
    {
        "name": "include",
        "in": "query",
        "description": "`all`: with spent, expired and future blocks too.",
        "schema": {"type": "string", "enum": ["all"]},
    },
    {
        "name": "as_of",
        "in": "query",
        "description": "The balance at this instant: as it was, or with what will have expired or started by then.",
        "schema": {"type": "string", "format": "date-time"},
    },
)

OPERATIONS: Final = tuple(
    Operation(
        path=path,
        method="get",
        operation_id=operation_id,
        summary="Read a customer's balance",
        tag="credits",
        description="Zeros until something moves. Never counts an expired block or hold, whether or not a sweep ran.",
        scope="credits:read",
        responses={200: Balance},
        parameters=(
            {"name": "reference", "in": "path", "required": True, "schema": {"type": "string"}},
            *_PARAMETERS,
        ),
        response_example={
            "customer_id": "019d6258-07ba-7418-83be-58f5fde53e4e",
            "external_customer_id": "user_quickstart",
            "balance": 99000,
            "reserved_balance": 0,
            "effective_balance": 99000,
            "lifetime_earned": 100000,
            "version": 2,
            "as_of": "2026-04-03T09:01:00Z",
        },
        problems=("customer-not-found",),
    )
    for path, operation_id in (
        ("/v1/customers/{reference}/credits", "credits_show"),
        ("/v1/customer-by-external-id/{reference}/credits", "credits_show_by_external_id"),
    )
)
