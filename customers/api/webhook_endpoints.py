"""/v1/webhook-endpoints: whom to tell of what."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField, TypeIdField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.errors import NotFound
from customers.models import DeliveryState, EndpointStatus, WebhookDelivery, WebhookEndpoint
from customers.services.webhook_endpoints import (
    EndpointSecret,
    endpoint_create,
    endpoint_delete,
    endpoint_resume,
    endpoint_rotate_secret,
    endpoint_test,
    endpoint_update,
    endpoints_of,
)

_TAG: Final = ["Webhooks"]


class _Attributes(StrictSerializer):
    url = TextField(max_length=2000, help_text="http or https, with a public address.")
    events = serializers.ListField(
        child=TextField(max_length=60),
        required=False,
        min_length=1,
        max_length=100,
        help_text='Names such as `credit.granted`, groups such as `credit.*`, or `["*"]`, the default.',
    )
    description = TextField(max_length=500, required=False, allow_blank=True)
    status = serializers.ChoiceField(
        choices=EndpointStatus.choices,
        required=False,
        help_text="`paused` keeps what comes and sends it later; `disabled` keeps nothing.",
    )


class WebhookEndpointCreate(_Attributes):
    pass


class WebhookEndpointUpdate(_Attributes):
    url = TextField(max_length=2000, required=False)


class WebhookEndpointResume(StrictSerializer):
    redeliver_from = InstantField(
        required=False,
        allow_null=True,
        help_text="Also queue again, in order, what was recorded since then and never arrived.",
    )


class WebhookEndpointShow(serializers.Serializer[WebhookEndpoint]):
    id = TypeIdField("whe")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    status = serializers.ChoiceField(choices=EndpointStatus.choices)
    status_reason = serializers.CharField(help_text="`gone` or `failing` when it was disabled by itself.")
    consecutive_failures = serializers.IntegerField(source="failures")
    failing_since = InstantField(allow_null=True)
    circuit_open_until = InstantField(source="open_until", allow_null=True)
    last_success_at = InstantField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    previous_secret_until = InstantField(source="previous_until", allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()


class WebhookEndpointWithSecret(WebhookEndpointShow):
    secret = serializers.CharField(allow_null=True, help_text="`whsec_…`; shown in this answer only.")
    duplicate = serializers.BooleanField(required=False)


class WebhookEndpointResumed(WebhookEndpointShow):
    queued = serializers.IntegerField(help_text="How many events were queued again.")


class WebhookAttemptShow(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    started_at = InstantField()
    url = serializers.CharField()
    request_headers = serializers.DictField(child=serializers.CharField())
    body_sha256 = serializers.CharField()
    response_status = serializers.IntegerField(allow_null=True)
    response_head = serializers.CharField(help_text="The first 2 KiB of the answer.")
    latency_ms = serializers.IntegerField()
    error = serializers.CharField(help_text="Why there was no answer.")


class WebhookDeliveryShow(serializers.Serializer[Any]):
    id = TypeIdField("dlv")
    event_id = TypeIdField("msg")
    event = serializers.CharField(source="event.event")
    webhook_endpoint_id = TypeIdField("whe", source="endpoint_id")
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    attempt_count = serializers.IntegerField(source="attempts")
    next_attempt_at = InstantField(allow_null=True)
    created_at = InstantField()
    finished_at = InstantField(allow_null=True)
    attempts = WebhookAttemptShow(source="attempt_rows", many=True)


class DeliveryFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=DeliveryState.choices)
    event = filters.CharFilter(field_name="event__event", max_length=60, label="Exactly this event's name.")

    class Meta:
        model = WebhookDelivery
        fields: tuple[str, ...] = ()


_EXAMPLE: Final[dict[str, Any]] = {
    "id": "whe_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "url": "https://example.com/purser",
    "events": ["*"],
    "description": "Production backend",
    "status": "active",
    "status_reason": "",
    "consecutive_failures": 0,
    "failing_since": None,
    "circuit_open_until": None,
    "last_success_at": "2026-04-03T09:01:00Z",
    "latency_ms": 84,
    "previous_secret_until": None,
    "created_at": "2026-04-03T09:00:00Z",
    "updated_at": "2026-04-03T09:00:00Z",
}
DELIVERY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "dlv_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "event_id": "msg_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "event": "credit.granted",
    "webhook_endpoint_id": "whe_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "state": "delivered",
    "attempt_count": 1,
    "next_attempt_at": None,
    "created_at": "2026-04-03T09:01:00Z",
    "finished_at": "2026-04-03T09:01:00.084Z",
    "attempts": [
        {
            "number": 1,
            "started_at": "2026-04-03T09:01:00Z",
            "url": "https://example.com/purser",
            "request_headers": {
                "webhook-id": "msg_01k7x3s9c5ef6v8b2n4m6q8r0t",
                "webhook-timestamp": "1775206860",
            },
            "body_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "response_status": 200,
            "response_head": "ok",
            "latency_ms": 84,
            "error": "",
        }
    ],
}
_SHOWN: Final = OpenApiExample("An endpoint", value=_EXAMPLE, response_only=True)
_SECRET_SHOWN: Final = OpenApiExample(
    "With its secret",
    value={**_EXAMPLE, "secret": "whsec_<32 letters and digits>"},
    response_only=True,
)
SHOWN_DELIVERY: Final = OpenApiExample(
    "A delivery", value=DELIVERY_EXAMPLE, response_only=True, status_codes=["200", "202"]
)


class WebhookEndpoints(Endpoint):
    resource = "webhooks"
    queryset = WebhookEndpoint.objects.none()
    serializer_class = WebhookEndpointShow

    @extend_schema(
        operation_id="webhook_endpoints_list",
        tags=_TAG,
        summary="List webhook endpoints",
        description="Newest first, without the deleted ones. Secrets are never shown again.",
        responses=WebhookEndpointShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(endpoints_of(request.caller.environment_id), WebhookEndpointShow)

    @extend_schema(
        operation_id="webhook_endpoints_create",
        tags=_TAG,
        summary="Create a webhook endpoint",
        description=(
            "Its URL is sent the events it wants from now on. The secret is shown once: the same Idempotency-Key "
            "again shows the endpoint without it. What is sent, and how to verify it: `/docs/webhooks`."
        ),
        request=WebhookEndpointCreate,
        responses={201: WebhookEndpointWithSecret},
        extensions={"x-problems": ["conflict"]},
        examples=[
            _SECRET_SHOWN,
            OpenApiExample(
                "Everything",
                value={"url": "https://example.com/purser", "events": ["*"]},
                request_only=True,
            ),
        ],
    )
    @idempotent(again="shown_again", secret=True)
    def post(self, request: ApiRequest) -> Response:
        made = endpoint_create(caller=request.caller, now=request.now, **self.read(WebhookEndpointCreate))
        request.idempotency_effect(made.endpoint.id)
        return _with_secret(made, status=201)

    def shown_again(self, request: ApiRequest, effect_id: UUID) -> Response:
        return _without_secret(effect_id, status=201)


class WebhookEndpointDetail(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookEndpointShow

    @extend_schema(
        operation_id="webhook_endpoints_get",
        tags=_TAG,
        summary="Get a webhook endpoint",
        responses=WebhookEndpointShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, endpoint_id: str) -> Response:
        return Response(WebhookEndpointShow(endpoint_named(request, endpoint_id)).data)

    @extend_schema(
        operation_id="webhook_endpoints_update",
        tags=_TAG,
        summary="Change a webhook endpoint",
        description="Only the members that are sent change. A new URL or status also closes the circuit.",
        request=WebhookEndpointUpdate,
        responses=WebhookEndpointShow,
        examples=[_SHOWN, OpenApiExample("Pause", value={"status": "paused"}, request_only=True)],
    )
    @idempotent()
    def patch(self, request: ApiRequest, endpoint_id: str) -> Response:
        changed = endpoint_update(
            caller=request.caller,
            endpoint_id=object_id("whe", endpoint_id),
            attributes=self.read(WebhookEndpointUpdate, partial=True),
            now=request.now,
        )
        return Response(WebhookEndpointShow(changed).data)

    @extend_schema(
        operation_id="webhook_endpoints_delete",
        tags=_TAG,
        summary="Delete a webhook endpoint",
        description="What waits for it is skipped. A second time is 204 too.",
        responses={204: None},
    )
    def delete(self, request: ApiRequest, endpoint_id: str) -> Response:
        endpoint_delete(caller=request.caller, endpoint_id=object_id("whe", endpoint_id), now=request.now)
        return Response(status=204)


class WebhookEndpointRotateSecret(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookEndpointShow

    @extend_schema(
        operation_id="webhook_endpoints_rotate_secret",
        tags=_TAG,
        summary="Rotate a webhook endpoint's secret",
        description="For 24 hours messages carry two signatures, of the new and of the old secret.",
        request=None,
        responses=WebhookEndpointWithSecret,
        examples=[_SECRET_SHOWN],
    )
    @idempotent(again="shown_again", secret=True)
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        made = endpoint_rotate_secret(
            caller=request.caller, endpoint_id=object_id("whe", endpoint_id), now=request.now
        )
        request.idempotency_effect(made.endpoint.id)
        return _with_secret(made, status=200)

    def shown_again(self, request: ApiRequest, effect_id: UUID, endpoint_id: str) -> Response:
        return _without_secret(effect_id, status=200)


class WebhookEndpointTest(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookDeliveryShow

    @extend_schema(
        operation_id="webhook_endpoints_test",
        tags=_TAG,
        summary="Send a test event",
        description="`webhook.test` to this endpoint and no other; look at the delivery a moment later.",
        request=None,
        responses={202: WebhookDeliveryShow},
        extensions={"x-problems": ["conflict"]},
        examples=[
            OpenApiExample(
                "On its way",
                value={**DELIVERY_EXAMPLE, "event": "webhook.test", "state": "pending", "attempts": []},
                response_only=True,
                status_codes=["202"],
            )
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        delivery = endpoint_test(
            caller=request.caller, endpoint_id=object_id("whe", endpoint_id), now=request.now
        )
        return Response(WebhookDeliveryShow(delivery).data, status=202)


class WebhookEndpointResumeView(Endpoint):
    resource = "webhooks"
    serializer_class = WebhookEndpointShow

    @extend_schema(
        operation_id="webhook_endpoints_resume",
        tags=_TAG,
        summary="Resume a webhook endpoint",
        description="Active again; what waits is tried at once, and what was missed can be queued again in order.",
        request=WebhookEndpointResume,
        responses=WebhookEndpointResumed,
        examples=[
            OpenApiExample("Resumed", value={**_EXAMPLE, "queued": 17}, response_only=True),
            OpenApiExample(
                "Repair a gap", value={"redeliver_from": "2026-04-03T09:00:00Z"}, request_only=True
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        queued = endpoint_resume(
            caller=request.caller,
            endpoint_id=object_id("whe", endpoint_id),
            redeliver_from=self.read(WebhookEndpointResume).get("redeliver_from"),
            now=request.now,
        )
        shown = WebhookEndpointShow(endpoint_named(request, endpoint_id)).data
        return Response({**shown, "queued": queued})


class WebhookEndpointDeliveries(Endpoint):
    resource = "webhooks"
    queryset = WebhookDelivery.objects.none()
    filterset_class = DeliveryFilter
    serializer_class = WebhookDeliveryShow

    @extend_schema(
        operation_id="webhook_endpoints_deliveries",
        tags=_TAG,
        summary="List an endpoint's deliveries",
        description="Newest first, each with its attempts: request, response, time.",
        responses=WebhookDeliveryShow(many=True),
        examples=[SHOWN_DELIVERY],
    )
    def get(self, request: ApiRequest, endpoint_id: str) -> Response:
        endpoint = endpoint_named(request, endpoint_id)
        return self.page(deliveries_shown().filter(endpoint_id=endpoint.id), WebhookDeliveryShow)


def endpoint_named(request: ApiRequest, endpoint_id: str) -> WebhookEndpoint:
    """The endpoint in the path, of the caller's environment."""
    rows = endpoints_of(request.caller.environment_id)
    found: WebhookEndpoint | None = rows.filter(id=object_id("whe", endpoint_id)).first()
    if found is None:
        raise NotFound(f"There is no webhook endpoint {endpoint_id}.")
    return found


def deliveries_shown() -> Any:
    """With what a page of them shows, in three queries."""
    return WebhookDelivery.objects.select_related("event").prefetch_related("attempt_rows")


def _with_secret(made: EndpointSecret, *, status: int) -> Response:
    return Response({**WebhookEndpointShow(made.endpoint).data, "secret": made.secret}, status=status)


def _without_secret(effect_id: UUID, *, status: int) -> Response:
    shown = WebhookEndpointShow(WebhookEndpoint.objects.get(id=effect_id)).data
    return Response({**shown, "secret": None, "duplicate": True}, status=status)
