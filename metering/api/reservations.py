"""`/v1/reserve` and what becomes of a reservation: hot, one round trip each. And a customer's list of them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from billing.errors import ReservationNotFound
from billing.models import HoldState
from customers.api.fields import InstantField, UnitsField
from customers.api.hot import HotAnswer, Operation, decode, hot, respond
from customers.api.hot_fields import customer_member, key_header, object_member, refuse, units_member
from customers.api.requests import ApiRequest, EdgeRequest
from customers.api.views import Endpoint
from customers.kernel.amounts import units_shown
from customers.kernel.ids import typeid, typeid_parse
from customers.kernel.instants import instant_text
from customers.services.customers import By, customer_resolve
from metering.models import Reservation
from metering.selectors.reservations import reservations_of, reservations_standing
from metering.services import reservations as service
from metering.services.reservations import Reserved, ReserveInput

_TTL_SECONDS: Final = 300
#: Committing as estimated and releasing need nothing said.
_NO_BODY: Final = b"{}"


class ReserveCreate(msgspec.Struct, forbid_unknown_fields=True):
    """What to reserve for. Exactly one of `customer_id` and `external_customer_id` names the customer."""

    billable_metric_key: str
    estimated_units: int | Decimal
    customer_id: str | None = None
    external_customer_id: str | None = None
    ttl_seconds: int | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class ReservationCommit(msgspec.Struct, forbid_unknown_fields=True):
    """What was really used; left out: as estimated."""

    actual_units: int | Decimal | None = None


class ReservationRelease(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing need be said."""


class ReservationExtend(msgspec.Struct, forbid_unknown_fields=True):
    """How much longer, from now."""

    ttl_seconds: int


class ReservationAnswer(msgspec.Struct):
    """A reservation, and its customer's balances. Amounts in mc."""

    reservation_id: str
    #: active, committed, released or expired.
    status: str
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    #: The version that prices it, pinned when it was reserved.
    metering_rule_id: str
    estimated_units: int | str
    reserved_amount: int
    actual_units: int | str | None
    #: What the commit debited.
    cost: int | None
    #: What went back when it ended.
    released_amount: int | None
    event_id: str | None
    ledger_entry_id: str | None
    expires_at: str
    created_at: str
    ended_at: str | None
    properties: msgspec.Raw
    metadata: msgspec.Raw
    balance: int
    reserved_balance: int
    effective_balance: int
    duplicate: bool


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def reserve(request: EdgeRequest) -> HotAnswer:
    wish = decode(request.body, type=ReserveCreate)
    by, reference = customer_member(wish.customer_id, wish.external_customer_id)
    reserved = service.reservation_create(
        caller=request.caller,
        config_version=request.key.config_version,
        wish=ReserveInput(
            by=by,
            reference=reference,
            metric_key=wish.billable_metric_key,
            estimated_units=units_member("estimated_units", wish.estimated_units),
            ttl_seconds=_ttl(_TTL_SECONDS if wish.ttl_seconds is None else wish.ttl_seconds),
            key=key_header(request),
            properties=object_member("properties", wish.properties),
            metadata=object_member("metadata", wish.metadata),
        ),
        now=request.now,
    )
    return _answer(201, reserved)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def reservation_commit(request: EdgeRequest, reservation_id: str) -> HotAnswer:
    wish = decode(request.body or _NO_BODY, type=ReservationCommit)
    units = wish.actual_units
    reserved = service.reservation_commit(
        caller=request.caller,
        config_version=request.key.config_version,
        reservation_id=_id(reservation_id),
        actual_units=None if units is None else units_member("actual_units", units, zero=True),
        key=key_header(request),
        now=request.now,
    )
    return _answer(200, reserved)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def reservation_release(request: EdgeRequest, reservation_id: str) -> HotAnswer:
    decode(request.body or _NO_BODY, type=ReservationRelease)
    reserved = service.reservation_release(
        caller=request.caller,
        config_version=request.key.config_version,
        reservation_id=_id(reservation_id),
        key=key_header(request),
        now=request.now,
    )
    return _answer(200, reserved)


@hot(methods=("POST",), scope="usage:write", bucket="usage")
def reservation_extend(request: EdgeRequest, reservation_id: str) -> HotAnswer:
    wish = decode(request.body, type=ReservationExtend)
    reserved = service.reservation_extend(
        caller=request.caller,
        config_version=request.key.config_version,
        reservation_id=_id(reservation_id),
        ttl_seconds=_ttl(wish.ttl_seconds),
        key=key_header(request),
        now=request.now,
    )
    return _answer(200, reserved)


@hot(methods=("GET",), scope="usage:read", bucket="other", asks_time=True)
def reservation_show(request: EdgeRequest, reservation_id: str) -> HotAnswer:
    found = service.reservation_read(
        environment_id=request.key.environment_id, reservation_id=_id(reservation_id), now=request.now
    )
    return _answer(200, Reserved(reservation=found, duplicate=False))


def _id(text: str) -> UUID:
    found = typeid_parse("res", text)
    if found is None:
        raise ReservationNotFound
    return found


def _ttl(seconds: int) -> int:
    longest = settings.RESERVATION_TTL_MAX_SECONDS
    if not 1 <= seconds <= longest:
        refuse("ttl_seconds", f"Must be from 1 to {longest}.")
    return seconds


def _answer(status: int, reserved: Reserved) -> HotAnswer:
    found = reserved.reservation
    answer = ReservationAnswer(
        reservation_id=typeid("res", found.id),
        status=found.state,
        customer_id=found.customer_id,
        external_customer_id=found.external_customer_id,
        billable_metric_key=found.metric_key,
        metering_rule_id=typeid("rul", found.rule_id),
        estimated_units=units_shown(found.estimated_units),
        reserved_amount=found.reserved_mc,
        actual_units=None if found.actual_units is None else units_shown(found.actual_units),
        cost=found.cost_mc,
        released_amount=_released(found.state, found.reserved_mc, found.cost_mc),
        event_id=typeid("evt", found.event_id) if found.event_id else None,
        ledger_entry_id=typeid("led", found.entry_id) if found.entry_id else None,
        expires_at=instant_text(found.expires_at),
        created_at=instant_text(found.created_at),
        ended_at=instant_text(found.ended_at) if found.ended_at else None,
        properties=found.properties,
        metadata=found.metadata,
        balance=found.balance_mc,
        reserved_balance=found.account_reserved_mc,
        effective_balance=found.balance_mc - found.account_reserved_mc,
        duplicate=reserved.duplicate,
    )
    return respond(status, answer, replayed=reserved.duplicate)


def _released(state: str, reserved_mc: int, cost_mc: int | None) -> int | None:
    return None if state == "active" else max(reserved_mc - (cost_mc or 0), 0)


class ReservationFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=HoldState.choices, method="by_status", label="As it stands now.")
    billable_metric_key = filters.CharFilter(field_name="metric__key", max_length=64)

    class Meta:
        model = Reservation
        fields: tuple[str, ...] = ()

    def by_status(self, queryset: Any, _name: str, value: str) -> Any:
        return reservations_standing(queryset, state=value, now=self.request.now)


class ReservationShow(serializers.Serializer[Reservation]):
    """One of the list: without balances, which are of one instant."""

    reservation_id = serializers.CharField(source="public_id")
    status = serializers.CharField(source="state")
    billable_metric_key = serializers.CharField(source="metric.key")
    metering_rule_id = serializers.SerializerMethodField()
    estimated_units = UnitsField()
    reserved_amount = serializers.IntegerField(source="hold.amount_mc")
    actual_units = UnitsField(allow_null=True)
    cost = serializers.IntegerField(source="hold.committed_mc", allow_null=True)
    event_id = serializers.SerializerMethodField()
    ledger_entry_id = serializers.SerializerMethodField()
    expires_at = InstantField(source="hold.expires_at")
    created_at = InstantField()
    ended_at = InstantField(source="hold.ended_at", allow_null=True)
    metadata = serializers.DictField(source="hold.metadata")

    def get_metering_rule_id(self, reservation: Reservation) -> str:
        return typeid("rul", reservation.rule_id)

    def get_event_id(self, reservation: Any) -> str | None:
        return typeid("evt", reservation.event_id) if reservation.event_id else None

    def get_ledger_entry_id(self, reservation: Any) -> str | None:
        return typeid("led", reservation.entry_id) if reservation.entry_id else None


class CustomerReservations(Endpoint):
    """`GET …/reservations`."""

    resource = "usage"
    filterset_class = ReservationFilter
    queryset = Reservation.objects.none()
    serializer_class = ReservationShow
    cursor_field = "hold_id"

    @extend_schema(
        operation_id="reservations_list",
        tags=["reservations"],
        summary="List a customer's reservations, newest first",
        responses=ReservationShow(many=True),
        examples=[
            OpenApiExample(
                "A reservation",
                {
                    "reservation_id": "res_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "status": "active",
                    "billable_metric_key": "gpu_second",
                    "metering_rule_id": "rul_01k7x3s9c5ef6v8b2n4m6q8r0t",
                    "estimated_units": 100,
                    "reserved_amount": 5000,
                    "actual_units": None,
                    "cost": None,
                    "event_id": None,
                    "ledger_entry_id": None,
                    "expires_at": "2026-04-03T09:06:00Z",
                    "created_at": "2026-04-03T09:01:00Z",
                    "ended_at": None,
                    "metadata": {},
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        return self.page(reservations_of(customer_id=customer.id, now=request.now), ReservationShow)


_EXAMPLE: Final[Mapping[str, Any]] = {
    "reservation_id": "res_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "status": "active",
    "customer_id": "019d6258-07ba-7418-83be-58f5fde53e4e",
    "external_customer_id": "user_quickstart",
    "billable_metric_key": "gpu_second",
    "metering_rule_id": "rul_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "estimated_units": 100,
    "reserved_amount": 5000,
    "actual_units": None,
    "cost": None,
    "released_amount": None,
    "event_id": None,
    "ledger_entry_id": None,
    "expires_at": "2026-04-03T09:06:00Z",
    "created_at": "2026-04-03T09:01:00Z",
    "ended_at": None,
    "properties": None,
    "metadata": {},
    "balance": 99000,
    "reserved_balance": 5000,
    "effective_balance": 94000,
    "duplicate": False,
}
_COMMITTED: Final[Mapping[str, Any]] = {
    **_EXAMPLE,
    "status": "committed",
    "actual_units": 80,
    "cost": 4000,
    "released_amount": 1000,
    "event_id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "ledger_entry_id": "led_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "ended_at": "2026-04-03T09:03:00Z",
    "balance": 95000,
    "reserved_balance": 0,
    "effective_balance": 95000,
}
_RESERVATION_ID: Final = (
    {"name": "reservation_id", "in": "path", "required": True, "schema": {"type": "string"}},
)
_STEP_PROBLEMS: Final = (
    "reservation-not-found",
    "reservation-ended",
    "reservation-expired",
    "idempotency-key-missing",
    "idempotency-key-reused",
)


def _operation(end: str, **facts: Any) -> Operation:
    return Operation(
        path="/v1/reserve/{reservation_id}" + end,
        tag="reservations",
        parameters=_RESERVATION_ID,
        responses={200: ReservationAnswer},
        **facts,
    )


OPERATIONS: Final = (
    Operation(
        path="/v1/reserve",
        method="post",
        operation_id="reserve",
        summary="Reserve credits for usage that is under way",
        tag="reservations",
        description="Sets the price of the estimated units aside, in burn order, until it is committed or released, or "
        "until `expires_at`. The rule version of this moment prices the commit. Exactly once for its Idempotency-Key. "
        "An unknown customer is created, unless the call is refused.",
        scope="usage:write",
        request=ReserveCreate,
        responses={201: ReservationAnswer},
        request_example={
            "external_customer_id": "user_quickstart",
            "billable_metric_key": "gpu_second",
            "estimated_units": 100,
            "ttl_seconds": 300,
        },
        response_example=_EXAMPLE,
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
    _operation(
        "",
        method="get",
        operation_id="reservation_show",
        summary="Get a reservation",
        description="As it stands now, whether or not a sweep has noticed that it expired.",
        scope="usage:read",
        response_example=_EXAMPLE,
        problems=("reservation-not-found",),
    ),
    _operation(
        "/commit",
        method="post",
        operation_id="reservation_commit",
        summary="Debit what was really used",
        description="At the pinned price. Less than reserved: the rest goes back. More: from the rest of the effective "
        "balance; if that is short, the policy `allow` overdraws and `block` answers 402, and the hold stays. Writes a "
        "usage event. Possible until five seconds after `expires_at`.",
        scope="usage:write",
        request=ReservationCommit,
        request_example={"actual_units": 80},
        response_example=_COMMITTED,
        problems=("insufficient-credits", *_STEP_PROBLEMS),
    ),
    _operation(
        "/release",
        method="post",
        operation_id="reservation_release",
        summary="Give the reserved credits back",
        description="Needs no body.",
        scope="usage:write",
        request=ReservationRelease,
        request_example={},
        response_example={
            **_EXAMPLE,
            "status": "released",
            "released_amount": 5000,
            "ended_at": "2026-04-03T09:03:00Z",
            "reserved_balance": 0,
            "effective_balance": 99000,
        },
        problems=_STEP_PROBLEMS,
    ),
    _operation(
        "/extend",
        method="post",
        operation_id="reservation_extend",
        summary="Keep a reservation longer",
        description="Until `ttl_seconds` from now; never shorter than it had.",
        scope="usage:write",
        request=ReservationExtend,
        request_example={"ttl_seconds": 600},
        response_example={**_EXAMPLE, "expires_at": "2026-04-03T09:13:00Z"},
        problems=_STEP_PROBLEMS,
    ),
)
