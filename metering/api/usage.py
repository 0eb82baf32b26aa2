"""`POST /v1/usage`. On the hot path: one round trip, nothing around it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.conf import settings

from customers.api.hot import HotAnswer, Operation, decode, hot, respond
from customers.api.hot_fields import customer_member, key_member, object_member, refuse, units_member
from customers.api.requests import EdgeRequest
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_parse
from metering.api.batches import ITEM_CODES, BatchAnswer, batch_record
from metering.services.group_commit import usage_submit
from metering.services.usage import UsageInput


class UsageCreate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One event. Exactly one of `customer_id` and `external_customer_id` names the customer."""

    billable_metric_key: str
    units: int | Decimal
    customer_id: str | None = None
    external_customer_id: str | None = None
    idempotency_key: str | None = None
    timestamp: str | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class UsageBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Events to record in this order; each names its own customer."""

    events: list[UsageCreate]


class UsageAccepted(msgspec.Struct):
    """The event is stored and its cost debited."""

    event_id: str
    idempotency_key: str
    status: str
    #: In mc.
    estimated_cost: int
    duplicate: bool


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def usage_create(request: EdgeRequest) -> HotAnswer:
    wish = decode(request.body, type=UsageCreate)
    usage = usage_input(wish, request.META.get("HTTP_IDEMPOTENCY_KEY"))
    recorded = usage_submit(caller=request.caller, usage=usage, now=request.now)
    answer = UsageAccepted(
        event_id=typeid("evt", recorded.event_id),
        idempotency_key=usage.key,
        status="accepted",
        estimated_cost=recorded.cost_mc,
        duplicate=recorded.duplicate,
    )
    return respond(202, answer, replayed=recorded.duplicate)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def usage_batch(request: EdgeRequest) -> HotAnswer:
    return batch_record(
        request,
        batch=UsageBatch,
        item=UsageCreate,
        read=usage_input,
        most=settings.USAGE_BATCH_MAX_EVENTS,
        status=202,
    )


def usage_input(wish: UsageCreate, header_key: str | None) -> UsageInput:
    """What was sent, checked; the body's key identifies the event, else the header's."""
    by, reference = customer_member(wish.customer_id, wish.external_customer_id)
    return UsageInput(
        by=by,
        reference=reference,
        metric_key=wish.billable_metric_key,
        units=units_member("units", wish.units),
        key=key_member(wish.idempotency_key if wish.idempotency_key is not None else header_key),
        timestamp=timestamp_member(wish.timestamp),
        properties=object_member("properties", wish.properties),
        metadata=object_member("metadata", wish.metadata),
    )


def timestamp_member(text: str | None) -> datetime | None:
    """When it happened, if that was said."""
    if text is None:
        return None
    instant = instant_parse(text)
    if instant is None:
        refuse("timestamp", "Must be an instant such as 2026-04-03T09:01:00Z.")
    return instant


OPERATIONS: Final = (
    Operation(
        path="/v1/usage",
        method="post",
        operation_id="usage_create",
        summary="Record usage and debit its cost",
        tag="usage",
        description="Exactly once for its key (`idempotency_key`, else the `Idempotency-Key` header), however often it "
        "is sent. The debit is durable when the 202 arrives. An unknown customer is created, unless the call is "
        "refused. With the policy `block` and not enough credits: 402, nothing written.",
        scope="usage:write",
        request=UsageCreate,
        responses={202: UsageAccepted},
        request_example={
            "external_customer_id": "user_quickstart",
            "billable_metric_key": "api_call",
            "units": 1,
            "idempotency_key": "quickstart-event-1",
        },
        response_example={
            "event_id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t",
            "idempotency_key": "quickstart-event-1",
            "status": "accepted",
            "estimated_cost": 1000,
            "duplicate": False,
        },
        problems=(
            "ambiguous-customer",
            "customer-not-found",
            "insufficient-credits",
            "usage-suspended",
            "idempotency-key-missing",
            "idempotency-key-reused",
            "metric-not-found",
            "metric-inactive",
            "no-active-metering-rule",
            "no-rate-for-property",
        ),
    ),
    Operation(
        path="/v1/usage/batch",
        method="post",
        operation_id="usage_batch",
        summary="Record up to 100 events in one call",
        tag="usage",
        description="Means exactly what its events would mean sent one by one in that order; a bad one never refuses "
        "the others. An event without `idempotency_key` has `{Idempotency-Key header}:{index}`; the same key twice is "
        f"one event. `error.code` of a rejected one: {ITEM_CODES}, `no-active-metering-rule`.",
        scope="usage:write",
        request=UsageBatch,
        responses={202: BatchAnswer},
        request_example={
            "events": [
                {
                    "external_customer_id": "user_quickstart",
                    "billable_metric_key": "api_call",
                    "units": 1,
                    "idempotency_key": "usage:req_001",
                    "metadata": {"endpoint": "/v1/generate"},
                },
                {
                    "external_customer_id": "user_other",
                    "billable_metric_key": "api_call",
                    "units": 1,
                    "idempotency_key": "usage:req_002",
                },
            ]
        },
        response_example={
            "accepted": 1,
            "duplicates": 0,
            "rejected": 1,
            "results": [
                {
                    "index": 0,
                    "status": "accepted",
                    "idempotency_key": "usage:req_001",
                    "event_id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "estimated_cost": 1000,
                },
                {
                    "index": 1,
                    "status": "rejected",
                    "idempotency_key": "usage:req_002",
                    "error": {
                        "code": "insufficient-credits",
                        "title": "Not enough credits",
                        "detail": "Not enough credits",
                        "status": 402,
                        "effective_balance": 0,
                    },
                },
            ],
        },
        problems=("idempotency-key-missing",),
    ),
)
