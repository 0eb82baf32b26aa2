"""`/v1/events`: usage as it happened, with a time of its own. Recording is hot; reading and voiding are not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField, UnitsField
from customers.api.hot import HotAnswer, Operation, decode, hot, respond, units_check
from customers.api.hot_fields import customer_member, key_member, object_member
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest, EdgeRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.ids import typeid
from metering.api.batches import ITEM_CODES, BatchAnswer, batch_record
from metering.api.usage import timestamp_member
from metering.models import UsageEvent
from metering.selectors.billed_events import lines_of_event
from metering.selectors.usage_events import event_get, events_list
from metering.services.event_voids import event_void
from metering.services.usage import UsageInput, UsageRecorded, UsageWish
from metering.services.usage_batch import usages_record


class EventCreate(msgspec.Struct, forbid_unknown_fields=True):
    """One event. Exactly one of `customer_id` and `external_customer_id` names the customer, who must exist."""

    metric_key: str
    #: Above 0 when the metric has a metering rule; below 0 only for max, min, last and percentile.
    value: int | Decimal = 1
    customer_id: str | None = None
    external_customer_id: str | None = None
    #: When it happened; now, if left out.
    timestamp: str | None = None
    idempotency_key: str | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class EventBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Events to record in this order."""

    events: list[EventCreate]


class EventQueued(msgspec.Struct):
    """The event is stored; if its metric has a metering rule, its cost is debited."""

    event_id: str
    status: str
    idempotency_key: str
    #: In mc; 0 without a metering rule.
    estimated_cost: int
    duplicate: bool


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def event_create(request: EdgeRequest) -> HotAnswer:
    event = event_input(decode(request.body, type=EventCreate), request.META.get("HTTP_IDEMPOTENCY_KEY"))
    wish = UsageWish(caller=request.caller, usage=event)
    outcome = usages_record(environment_id=request.caller.environment_id, wishes=[wish], now=request.now)[0]
    if not isinstance(outcome, UsageRecorded):
        raise outcome
    answer = EventQueued(
        event_id=typeid("evt", outcome.event_id),
        status="queued",
        idempotency_key=event.key,
        estimated_cost=outcome.cost_mc,
        duplicate=outcome.duplicate,
    )
    return respond(202, answer, replayed=outcome.duplicate)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def events_batch(request: EdgeRequest) -> HotAnswer:
    return _events_record(request, status=207)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def events_backfill(request: EdgeRequest) -> HotAnswer:
    return _events_record(request, status=200)


def _events_record(request: EdgeRequest, *, status: int) -> HotAnswer:
    return batch_record(
        request,
        batch=EventBatch,
        item=EventCreate,
        read=event_input,
        most=settings.EVENTS_BATCH_MAX_EVENTS,
        status=status,
    )


def event_input(wish: EventCreate, header_key: str | None) -> UsageInput:
    """What was sent, checked. Whether its value makes sense for the metric is for the service to say."""
    by, reference = customer_member(wish.customer_id, wish.external_customer_id)
    return UsageInput(
        by=by,
        reference=reference,
        metric_key=wish.metric_key,
        units=_value(wish.value),
        key=key_member(wish.idempotency_key if wish.idempotency_key is not None else header_key),
        timestamp=timestamp_member(wish.timestamp),
        properties=object_member("properties", wish.properties),
        metadata=object_member("metadata", wish.metadata),
        needs_rule=False,
        may_create=False,
    )


def _value(value: int | Decimal) -> int | Decimal:
    units_check("value", Decimal(value))
    return value


class EventFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__public_id", max_length=255)
    external_customer_id = filters.CharFilter(field_name="customer__external_key", max_length=255)
    metric_key = filters.CharFilter(field_name="metric__key", max_length=64)
    idempotency_key = filters.CharFilter(max_length=255)
    voided = filters.BooleanFilter(field_name="void", lookup_expr="isnull", exclude=True)

    class Meta:
        model = UsageEvent
        fields: tuple[str, ...] = ()


# `from` is no name that a class body could assign.
EventFilter.base_filters |= {
    "from": filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte"),
    "to": filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt"),
}


class EventShow(serializers.Serializer[UsageEvent]):
    """A usage event, however it came in."""

    id = serializers.CharField(source="public_id")
    status = serializers.SerializerMethodField(help_text="`recorded` or `voided`.")
    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id", allow_null=True)
    metric_key = serializers.CharField(source="metric.key")
    value = UnitsField(source="units")
    timestamp = InstantField(source="occurred_at")
    received_at = InstantField()
    idempotency_key = serializers.CharField()
    properties = serializers.SerializerMethodField()
    metadata = serializers.SerializerMethodField()
    cost = serializers.IntegerField(source="cost_mc", help_text="In mc.")
    metering_rule_id = serializers.SerializerMethodField()
    ledger_entry_id = serializers.SerializerMethodField()
    void = serializers.SerializerMethodField()

    def get_status(self, event: UsageEvent) -> str:
        return "voided" if hasattr(event, "void") else "recorded"

    def get_properties(self, event: UsageEvent) -> dict[str, Any]:
        return event.properties or {}

    def get_metadata(self, event: UsageEvent) -> dict[str, Any]:
        return event.metadata or {}

    def get_metering_rule_id(self, event: UsageEvent) -> str | None:
        return typeid("rul", event.rule_id) if event.rule_id else None

    def get_ledger_entry_id(self, event: UsageEvent) -> str | None:
        return typeid("led", event.ledger_entry_id) if event.ledger_entry_id else None

    def get_void(self, event: UsageEvent) -> dict[str, Any] | None:
        void = getattr(event, "void", None)
        return VoidShow(void).data if void else None


class EventLineShow(serializers.Serializer[Any]):
    """A line of an invoice that counts an event."""

    invoice_id = serializers.CharField(source="invoice.public_id")
    invoice_number = serializers.CharField(source="invoice.number", allow_null=True)
    line_id = serializers.CharField(source="public_id")
    description = serializers.CharField()
    is_adjustment = serializers.BooleanField()


class EventDetailShow(EventShow):
    """A usage event, with what billed it."""

    late = serializers.SerializerMethodField(
        help_text="It came when its period had been invoiced: the next invoice corrects that."
    )
    invoice_lines = serializers.SerializerMethodField(
        help_text="That count it: one for each subscription whose price plan charges the metric."
    )

    def get_late(self, event: UsageEvent) -> bool:
        return lines_of_event(event).is_late

    def get_invoice_lines(self, event: UsageEvent) -> list[dict[str, Any]]:
        return [dict(EventLineShow(line).data) for line in lines_of_event(event).lines]


class VoidShow(serializers.Serializer[Any]):
    """When, why and by whom an event was voided, and what came back."""

    reason = serializers.CharField()
    refunded = serializers.IntegerField(source="refunded_mc", help_text="In mc.")
    ledger_entry_id = serializers.SerializerMethodField()
    actor = serializers.CharField()
    voided_at = InstantField()

    def get_ledger_entry_id(self, void: Any) -> str | None:
        return typeid("led", void.refund_entry_id) if void.refund_entry_id else None


class VoidInput(StrictSerializer):
    reason = TextField(max_length=1000, help_text="Kept with the event and with its refund.")


_ID: Final = "01k7x3s9c5ef6v8b2n4m6q8r0t"
_EXAMPLE: Final[dict[str, Any]] = {
    "id": f"evt_{_ID}",
    "status": "recorded",
    "customer_id": "cust_acme",
    "external_customer_id": "cust_acme",
    "metric_key": "api_calls",
    "value": 1,
    "timestamp": "2026-04-03T09:30:00Z",
    "received_at": "2026-04-03T09:30:01.5Z",
    "idempotency_key": "req_7f8a9b2c3d4e5f6a",
    "properties": {},
    "metadata": {},
    "cost": 0,
    "metering_rule_id": None,
    "ledger_entry_id": None,
    "void": None,
}
_BILLED: Final[dict[str, Any]] = {
    "late": False,
    "invoice_lines": [
        {
            "invoice_id": f"inv_{_ID}",
            "invoice_number": "INV-000042",
            "line_id": f"iln_{_ID}",
            "description": "API Calls — tiered usage (1,200,000 calls)",
            "is_adjustment": False,
        }
    ],
}
_VOIDED: Final = _EXAMPLE | {
    "status": "voided",
    "cost": 1000,
    "metering_rule_id": f"rul_{_ID}",
    "ledger_entry_id": f"led_{_ID}",
    "void": {
        "reason": "sent by a test client",
        "refunded": 1000,
        "ledger_entry_id": f"led_{_ID}",
        "actor": f"key:key_{_ID}",
        "voided_at": "2026-04-03T10:00:00Z",
    },
}


class Events(Endpoint):
    """`GET /v1/events`; what is posted here never comes this way."""

    resource = "usage"
    filterset_class = EventFilter
    queryset: QuerySet[UsageEvent] = UsageEvent.objects.none()
    serializer_class = EventShow

    @extend_schema(
        operation_id="events_list",
        tags=["events"],
        summary="List usage events, newest first",
        description="`from` and `to` are about the events' own timestamps.",
        responses=EventShow(many=True),
        examples=[OpenApiExample("An event", _EXAMPLE, response_only=True)],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(events_list(), EventShow)


class EventDetail(Endpoint):
    """`GET /v1/events/{id}`."""

    resource = "usage"
    serializer_class = EventDetailShow

    @extend_schema(
        operation_id="events_get",
        tags=["events"],
        summary="Get a usage event",
        description="With the lines of invoices that count it.",
        responses=EventDetailShow,
        examples=[OpenApiExample("An event", _EXAMPLE | _BILLED, response_only=True)],
    )
    def get(self, request: ApiRequest, event_id: str) -> Response:
        return Response(EventDetailShow(event_get(event_id=object_id("evt", event_id))).data)


class EventVoidView(Endpoint):
    """`POST /v1/events/{id}/void`."""

    resource = "usage"
    serializer_class = EventShow

    @extend_schema(
        operation_id="events_void",
        tags=["events"],
        summary="Void a usage event",
        description="The event stays and says so; what it cost goes back into the blocks it came from, and neither "
        "tiers nor reports nor invoices count it any more. Once: a second time is 409.",
        request=VoidInput,
        responses=EventShow,
        examples=[
            OpenApiExample("Void", {"reason": "sent by a test client"}, request_only=True),
            OpenApiExample("Voided", _VOIDED, response_only=True),
        ],
    )
    @idempotent(family="void", required=True, again="void_again")
    def post(self, request: ApiRequest, event_id: str) -> Response:
        wish = self.read(VoidInput)
        found = object_id("evt", event_id)
        event_void(caller=request.caller, event_id=found, reason=wish["reason"], now=request.now)
        request.idempotency_effect(found)
        return Response(EventShow(event_get(event_id=found)).data)

    def void_again(self, request: ApiRequest, effect_id: UUID, event_id: str) -> Response:
        shown = EventShow(event_get(event_id=effect_id)).data
        return Response({**shown, "duplicate": True})


_BATCH_EXAMPLE: Final = {
    "events": [
        {
            "customer_id": "cust_acme",
            "metric_key": "api_calls",
            "value": 1,
            "timestamp": "2026-04-03T09:30:00Z",
            "idempotency_key": "req_7f8a9b2c3d4e5f6a",
        }
    ]
}
_BATCH_ANSWER: Final = {
    "accepted": 1,
    "duplicates": 0,
    "rejected": 0,
    "results": [
        {
            "index": 0,
            "status": "accepted",
            "idempotency_key": "req_7f8a9b2c3d4e5f6a",
            "event_id": f"evt_{_ID}",
            "estimated_cost": 0,
        }
    ],
}
_ITEMS: Final = (
    "In this order, each for itself: a bad event never refuses the others. An event without `idempotency_key` has "
    f"`{{Idempotency-Key header}}:{{index}}`. `error.code` of a rejected one: {ITEM_CODES}."
)

OPERATIONS: Final = (
    Operation(
        path="/v1/events",
        method="post",
        operation_id="events_create",
        summary="Record an event",
        tag="events",
        description="The same events as `/v1/usage`, under the same keys, with the time at which they happened. If the "
        "metric has a metering rule, its cost is debited, or refused with 402, just so; without one the event only "
        "feeds reports and invoices. Unknown customers are not created. Any time back is accepted, 5 minutes ahead at "
        "most.",
        scope="usage:write",
        request=EventCreate,
        responses={202: EventQueued},
        request_example=_BATCH_EXAMPLE["events"][0],
        response_example={
            "event_id": f"evt_{_ID}",
            "status": "queued",
            "idempotency_key": "req_7f8a9b2c3d4e5f6a",
            "estimated_cost": 0,
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
            "no-rate-for-property",
        ),
    ),
    Operation(
        path="/v1/events/batch",
        method="post",
        operation_id="events_batch",
        summary="Record up to 1,000 events in one call",
        tag="events",
        description=_ITEMS,
        scope="usage:write",
        request=EventBatch,
        responses={207: BatchAnswer},
        request_example=_BATCH_EXAMPLE,
        response_example=_BATCH_ANSWER,
        problems=("idempotency-key-missing",),
    ),
    Operation(
        path="/v1/events/backfill",
        method="post",
        operation_id="events_backfill",
        summary="Record up to 1,000 events of the past",
        tag="events",
        description=f"Like `/v1/events/batch`, answered with 200 when all is done. {_ITEMS}",
        scope="usage:write",
        request=EventBatch,
        responses={200: BatchAnswer},
        request_example=_BATCH_EXAMPLE,
        response_example=_BATCH_ANSWER,
        problems=("idempotency-key-missing",),
    ),
)
