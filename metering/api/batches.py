"""What the batch endpoints share: reading items each for itself, and showing what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from customers.api.hot import HotAnswer, decode, respond
from customers.api.hot_fields import key_header
from customers.api.problems import as_domain_error
from customers.api.requests import EdgeRequest
from customers.errors import (
    DomainError,
    FieldError,
    IdempotencyKeyMissing,
    MalformedRequest,
    ValidationFailed,
)
from customers.kernel.ids import typeid
from metering.services.usage import Outcome, UsageInput, UsageRecorded, UsageWish
from metering.services.usage_batch import usages_record

T = TypeVar("T")
#: Makes an input of an item and of the key it has when it carries none.
Reader = Callable[[Any, str | None], UsageInput]


class ItemFieldError(msgspec.Struct):
    """One thing wrong with one field of an event."""

    field: str
    code: str
    message: str


class ItemProblem(msgspec.Struct, omit_defaults=True):
    """Why an event was refused: what a problem document would have said of it alone."""

    code: str
    title: str
    detail: str
    status: int
    errors: list[ItemFieldError] = []
    #: For a key that was used before: the event it recorded.
    event_id: str | None = None
    effective_balance: int | None = None


class ItemResult(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of one event of a batch."""

    index: int
    #: `accepted`, `duplicate` or `rejected`.
    status: str
    idempotency_key: str | None = None
    event_id: str | None = None
    #: In mc.
    estimated_cost: int | None = None
    error: ItemProblem | None = None


class BatchAnswer(msgspec.Struct):
    """How many events were recorded, and what became of each, in the order they were sent."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[ItemResult]


class _Loose(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


_loose: Final = msgspec.json.Decoder(_Loose).decode


def batch_record(
    request: EdgeRequest, *, batch: type[Any], item: type[Any], read: Reader, most: int, status: int
) -> HotAnswer:
    """Record a body's `events`; a bad one refuses nobody but itself."""
    items = _items(request.body, batch=batch, item=item)
    if not 0 < len(items) <= most:
        raise ValidationFailed(
            errors=[FieldError("events", "invalid-length", f"Must be 1 to {most} events.")]
        )
    keys = _keys(request, items)
    inputs = [_input(each, key, read) for each, key in zip(items, keys, strict=True)]
    wishes = [UsageWish(caller=request.caller, usage=each) for each in inputs if isinstance(each, UsageInput)]
    outcomes = iter(
        usages_record(environment_id=request.caller.environment_id, wishes=wishes, now=request.now)
    )
    results = [
        _result(request, index, key, next(outcomes) if isinstance(each, UsageInput) else each)
        for index, (key, each) in enumerate(zip(keys, inputs, strict=True))
    ]
    return _answer(results, status)


def _items(body: bytes, *, batch: type[Any], item: type[Any]) -> Sequence[Any]:
    try:
        items: Sequence[Any] = decode(body, type=batch).events
    except (ValidationFailed, MalformedRequest) as refusal:
        # Something is wrong somewhere: then each for itself, and only the wrong ones are refused.
        try:
            loose = _loose(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise refusal from None
        return [_item(bytes(raw), item) for raw in loose.events]
    return items


def _item(raw: bytes, kind: type[Any]) -> Any:
    try:
        return decode(raw, type=kind)
    except DomainError as refusal:
        return refusal


def _keys(request: EdgeRequest, items: Sequence[Any]) -> list[str | None]:
    """Each event's own key, else the header's with the event's place."""
    keys: list[str | None] = [getattr(each, "idempotency_key", None) for each in items]
    if request.META.get("HTTP_IDEMPOTENCY_KEY") is not None:
        header = key_header(request)
        return [f"{header}:{index}" if key is None else key for index, key in enumerate(keys)]
    if None in keys and any(
        key is None and not isinstance(each, DomainError) for key, each in zip(keys, items, strict=True)
    ):
        raise IdempotencyKeyMissing(
            "Send an Idempotency-Key header, or give each event an idempotency_key of its own."
        )
    return keys


def _input(item: Any, key: str | None, read: Reader) -> UsageInput | DomainError:
    if isinstance(item, DomainError):
        return item
    try:
        return read(item, key)
    except DomainError as refusal:
        return refusal


def _result(request: EdgeRequest, index: int, key: str | None, outcome: Outcome) -> ItemResult:
    if isinstance(outcome, UsageRecorded):
        return ItemResult(
            index=index,
            status="duplicate" if outcome.duplicate else "accepted",
            idempotency_key=key,
            event_id=typeid("evt", outcome.event_id),
            estimated_cost=outcome.cost_mc,
        )
    problem = _problem(as_domain_error(outcome, request), index)
    return ItemResult(index=index, status="rejected", idempotency_key=key, error=problem)


def _problem(refusal: DomainError, index: int) -> ItemProblem:
    place = f"events.{index}"
    return ItemProblem(
        code=refusal.code,
        title=refusal.title,
        detail=refusal.detail,
        status=refusal.status,
        errors=[
            ItemFieldError(f"{place}.{error.field}" if error.field else place, error.code, error.message)
            for error in refusal.errors
        ],
        event_id=refusal.extra.get("event_id"),
        effective_balance=refusal.extra.get("effective_balance"),
    )


def _answer(results: list[ItemResult], status: int) -> HotAnswer:
    statuses = [result.status for result in results]
    duplicates = statuses.count("duplicate")
    answer = BatchAnswer(
        accepted=statuses.count("accepted"),
        duplicates=duplicates,
        rejected=statuses.count("rejected"),
        results=results,
    )
    return respond(status, answer, replayed=duplicates == len(results))


#: Codes that an item's `error` may have, for descriptions.
ITEM_CODES: Final = (
    "`ambiguous-customer`, `validation-failed`, `metric-not-found`, `metric-inactive`, `no-rate-for-property`, "
    "`customer-not-found`, `insufficient-credits`, `usage-suspended`, `idempotency-key-reused`, `unavailable` (send it "
    "again)"
)
