"""/v1/webhook-events and /v1/webhook-deliveries: what was said, and to whom."""

from __future__ import annotations

from typing import Any, Final

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import StrictSerializer, TypeIdField
from customers.api.idempotency import idempotent
from customers.api.pagination import limit_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.api.webhook_endpoints import SHOWN_DELIVERY, WebhookDeliveryShow, deliveries_shown
from customers.errors import FieldError, NotFound, ValidationFailed
from customers.models import OutboxEvent, WebhookDelivery
from customers.selectors.webhooks import events_after
from customers.services.webhook_deliveries import deliveries_retry, event_redeliver

_TAG: Final = ["Webhooks"]
_BEGINNING: Final = "0"


class WebhookEventShow(serializers.Serializer[Any]):
    """The payload as it is sent, whole."""

    id = serializers.CharField()
    event = serializers.CharField()
    created_at = serializers.DateTimeField()
    environment = serializers.CharField()
    sequence = serializers.IntegerField(required=False)
    customer_id = serializers.CharField(required=False)
    external_customer_id = serializers.CharField(required=False, allow_null=True)
    customer = serializers.DictField(required=False)

    def to_representation(self, instance: OutboxEvent) -> dict[str, Any]:
        payload: dict[str, Any] = instance.payload
        return payload


class WebhookEventFilter(filters.FilterSet):
    event = filters.CharFilter(max_length=60, label="Exactly this event's name.")
    customer_id = filters.CharFilter(
        field_name="payload__customer_id", max_length=255, label="Of this customer."
    )
    after = filters.CharFilter(
        method="leave",
        max_length=40,
        label="The id of the last event you have, or 0: what came after it, oldest first.",
    )

    class Meta:
        model = OutboxEvent
        fields: tuple[str, ...] = ()

    def leave(self, queryset: Any, _name: str, _value: str) -> Any:
        """The view has seen to it."""
        return queryset


class Redeliver(StrictSerializer):
    webhook_endpoint_id = TypeIdField(
        "whe", required=False, help_text="Default: all active ones that want it."
    )


class Redelivered(serializers.Serializer[Any]):
    deliveries = WebhookDeliveryShow(many=True)


_EXAMPLE: Final[dict[str, Any]] = {
    "id": "msg_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "event": "credit.granted",
    "created_at": "2026-04-03T09:01:00Z",
    "environment": "test",
    "sequence": 2,
    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_customer_id": "user_quickstart",
    "customer": {
        "id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
        "external_id": "user_quickstart",
        "display_name": "Quickstart User",
    },
    "amount": 100000,
}
_SHOWN: Final = OpenApiExample("An event", value=_EXAMPLE, response_only=True)


class WebhookEvents(Endpoint):
    resource = "webhooks"
    queryset = OutboxEvent.objects.none()
    filterset_class = WebhookEventFilter
    serializer_class = WebhookEventShow

    @extend_schema(
        operation_id="webhook_events_list",
        tags=_TAG,
        summary="List webhook events",
        description=(
            "Newest first, whether or not an endpoint wanted them. With `after`, what was handed out after that event, "
            "oldest first, so that a receiver can repair a gap: nothing is skipped, however late it was committed, and "
            "`next_cursor` is the next `after`. An event is listed that way once it was handed out, within seconds."
        ),
        parameters=[OpenApiParameter("after", str, description="The id of the last event you have, or `0`.")],
        responses=WebhookEventShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        after = request.query_params.get("after")
        if after is None:
            rows = OutboxEvent.objects.filter(environment_id=request.caller.environment_id)
            return self.page(rows, WebhookEventShow)
        self.refuse_unknown_parameters()
        limit = limit_of(request.query_params)
        known = None if after == _BEGINNING else _event_after(request, after)
        rows = events_after(environment_id=request.caller.environment_id, after=known)
        found = list(self.filter_queryset(rows)[: limit + 1])
        page = found[:limit]
        return Response(
            {
                "data": WebhookEventShow(page, many=True).data,
                "pagination": {
                    "has_more": len(found) > limit,
                    "next_cursor": page[-1].payload["id"] if len(found) > limit else None,
                },
            }
        )


class WebhookEventDetail(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookEventShow

    @extend_schema(
        operation_id="webhook_events_get",
        tags=_TAG,
        summary="Get a webhook event",
        description="The payload as it is sent.",
        responses=WebhookEventShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, event_id: str) -> Response:
        return Response(WebhookEventShow(event_named(request, event_id)).data)


class WebhookEventDeliveries(Endpoint):
    resource = "webhooks"
    queryset = WebhookDelivery.objects.none()
    serializer_class = WebhookDeliveryShow

    @extend_schema(
        operation_id="webhook_events_deliveries",
        tags=_TAG,
        summary="List an event's deliveries",
        description="One for each endpoint it went to, with all attempts.",
        responses=WebhookDeliveryShow(many=True),
        examples=[SHOWN_DELIVERY],
    )
    def get(self, request: ApiRequest, event_id: str) -> Response:
        event = event_named(request, event_id)
        return self.page(deliveries_shown().filter(event_id=event.id), WebhookDeliveryShow)


class WebhookEventRedeliver(Endpoint):
    resource = "webhooks"
    serializer_class = Redelivered

    @extend_schema(
        operation_id="webhook_events_redeliver",
        tags=_TAG,
        summary="Send a webhook event again",
        description="At once, beside the order of the others, and under the same `webhook-id`.",
        request=Redeliver,
        responses={202: Redelivered},
        extensions={"x-problems": ["conflict"]},
        examples=[
            OpenApiExample(
                "On its way",
                value={"deliveries": [SHOWN_DELIVERY.value]},
                response_only=True,
                status_codes=["202"],
            ),
            OpenApiExample(
                "To one endpoint",
                value={"webhook_endpoint_id": "whe_01k7x3s9c5ef6v8b2n4m6q8r0t"},
                request_only=True,
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, event_id: str) -> Response:
        deliveries = event_redeliver(
            caller=request.caller,
            event_id=object_id("msg", event_id),
            endpoint_id=self.read(Redeliver).get("webhook_endpoint_id"),
            now=request.now,
        )
        return Response({"deliveries": WebhookDeliveryShow(deliveries, many=True).data}, status=202)


class WebhookDeliveryDetail(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookDeliveryShow

    @extend_schema(
        operation_id="webhook_deliveries_get",
        tags=_TAG,
        summary="Get a delivery",
        description="With every attempt: request, response, time.",
        responses=WebhookDeliveryShow,
        examples=[SHOWN_DELIVERY],
    )
    def get(self, request: ApiRequest, delivery_id: str) -> Response:
        rows = deliveries_shown().filter(environment_id=request.caller.environment_id)
        found = rows.filter(id=object_id("dlv", delivery_id)).first()
        if found is None:
            raise NotFound(f"There is no delivery {delivery_id}.")
        return Response(WebhookDeliveryShow(found).data)


class WebhookDeliveryRetry(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookDeliveryShow

    @extend_schema(
        operation_id="webhook_deliveries_retry",
        tags=_TAG,
        summary="Retry a delivery",
        description="At once; one that was given up has all its attempts before it again.",
        request=None,
        responses={202: WebhookDeliveryShow},
        extensions={"x-problems": ["conflict"]},
        examples=[SHOWN_DELIVERY],
    )
    @idempotent()
    def post(self, request: ApiRequest, delivery_id: str) -> Response:
        (delivery,) = deliveries_retry(
            caller=request.caller, delivery_ids=[object_id("dlv", delivery_id)], now=request.now
        )
        return Response(WebhookDeliveryShow(delivery).data, status=202)


def event_named(request: ApiRequest, event_id: str) -> OutboxEvent:
    """The event in the path, of the caller's environment."""
    rows = OutboxEvent.objects.filter(environment_id=request.caller.environment_id)
    found = rows.filter(id=object_id("msg", event_id)).first()
    if found is None:
        raise NotFound(f"There is no webhook event {event_id}.")
    return found


def _event_after(request: ApiRequest, text: str) -> OutboxEvent:
    try:
        return event_named(request, text)
    except NotFound:
        message = "Must be the id of a webhook event, or 0."
        raise ValidationFailed(errors=[FieldError("after", "invalid-after", message)]) from None
