"""`/v1/test-clock`: a test environment's own time."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.kernel.clock import system_now
from customers.services.test_clock import (
    Advanced,
    ClockState,
    clock_advance,
    clock_advance_to_next,
    clock_remove,
    clock_set,
    clock_show,
)

#: A clock beyond these leaves no room for the periods and expiries that are counted from it.
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2999


class ClockInstantField(InstantField):
    """An instant that a clock can show."""

    default_error_messages = {"out-of-range": f"Must lie between {_FIRST_YEAR} and {_LAST_YEAR}."}

    def to_internal_value(self, data: Any) -> Any:
        instant = super().to_internal_value(data)
        if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
            self.fail("out-of-range")
        return instant


class ClockInput(StrictSerializer):
    frozen_time = ClockInstantField(help_text="Where time stands still from now on.")
    reason = TextField(max_length=1000, required=False, help_text="For the audit.")


class AdvanceInput(StrictSerializer):
    to = ClockInstantField(help_text="Not before the clock's present instant.")
    reason = TextField(max_length=1000, required=False, help_text="For the audit.")


class ToNextInput(StrictSerializer):
    reason = TextField(max_length=1000, required=False, help_text="For the audit.")


class DueOutput(serializers.Serializer[Any]):
    type = serializers.CharField(source="source", help_text="Which part of the product waits for it.")
    at = InstantField()
    what = serializers.CharField(help_text="Whose it is.")


class ClockOutput(serializers.Serializer[ClockState]):
    frozen_time = InstantField(allow_null=True, help_text="Null: the environment goes by the system's time.")
    now = InstantField(help_text="The environment's present.")
    due = DueOutput(many=True, help_text="The next thing of each source, the soonest first.")


class AdvancedOutput(serializers.Serializer[Advanced]):
    frozen_time = InstantField(help_text="Where the clock stands.")
    advanced_from = InstantField(help_text="Where it stood before.")
    instants = serializers.IntegerField(help_text="At how many instants something was due.")
    done = serializers.DictField(
        child=serializers.IntegerField(), help_text="How much was done, by source: subscriptions, credits."
    )
    next_due_at = InstantField(allow_null=True, help_text="When something is due next.")


_AFTER: dict[str, Any] = {
    "frozen_time": "2027-01-01T00:00:00Z",
    "advanced_from": "2026-01-01T00:00:00Z",
    "instants": 24,
    "done": {"subscriptions": 12, "credits": 12},
    "next_due_at": "2027-01-31T00:00:00Z",
}
_ADVANCED = OpenApiExample("A year later", _AFTER, response_only=True)
_SET = OpenApiExample(
    "Where it stands",
    {**_AFTER, "frozen_time": "2026-01-01T00:00:00Z", "instants": 0, "done": {}, "next_due_at": None},
    response_only=True,
)
_SHOWN = OpenApiExample(
    "A clock",
    {
        "frozen_time": "2026-01-01T00:00:00Z",
        "now": "2026-01-01T00:00:00Z",
        "due": [{"type": "credits", "at": "2026-01-31T00:00:00Z", "what": "the credits of user_quickstart"}],
    },
    response_only=True,
)


class TestClock(Endpoint):
    #: It exists to let subscriptions live, so it goes with them.
    resource = "subscriptions"
    serializer_class = ClockOutput

    @extend_schema(
        operation_id="test_clock_get",
        tags=["test clock"],
        summary="Read the test clock",
        description="The environment's present, and what is due next. Test environments only.",
        responses=ClockOutput,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        state = clock_show(
            environment_id=request.caller.environment_id,
            kind=request.key.kind,
            frozen_at=request.key.frozen_at,
            now=request.now,
        )
        return Response(ClockOutput(state).data)

    @extend_schema(
        operation_id="test_clock_set",
        tags=["test clock"],
        summary="Set the test clock",
        description="From now on time stands still in this environment, for every process and every key. What is due "
        "by then is done before the answer, each thing at its own instant. A time before something that happened "
        "already is refused.",
        request=ClockInput,
        responses=AdvancedOutput,
        examples=[
            OpenApiExample("New Year", {"frozen_time": "2026-01-01T00:00:00Z"}, request_only=True),
            _SET,
        ],
    )
    @idempotent(stepwise=True)
    def post(self, request: ApiRequest) -> Response:
        done = clock_set(caller=request.caller, **self.read(ClockInput), now=request.now)
        return Response(AdvancedOutput(done).data)

    @extend_schema(
        operation_id="test_clock_remove",
        tags=["test clock"],
        summary="Remove the test clock",
        description="The environment goes by the system's time again. Refused when something happened after it.",
        responses={204: None},
    )
    def delete(self, request: ApiRequest) -> Response:
        clock_remove(caller=request.caller, wall_now=system_now(), now=request.now)
        return Response(status=204)


class TestClockAdvance(Endpoint):
    resource = "subscriptions"
    serializer_class = AdvancedOutput

    @extend_schema(
        operation_id="test_clock_advance",
        tags=["test clock"],
        summary="Advance the test clock",
        description="Everything due up to and including `to` happens before the answer, in order, each thing at its "
        "own instant: renewals, grants, expiries, contracts, ends of reservations; webhook events are recorded with "
        "those instants. It is done instant by instant: after a lost answer send the call again, and it goes on.",
        request=AdvanceInput,
        responses=AdvancedOutput,
        examples=[OpenApiExample("A year", {"to": "2027-01-01T00:00:00Z"}, request_only=True), _ADVANCED],
    )
    @idempotent(stepwise=True)
    def post(self, request: ApiRequest) -> Response:
        done = clock_advance(caller=request.caller, **self.read(AdvanceInput), now=request.now)
        return Response(AdvancedOutput(done).data)


class TestClockAdvanceToNext(Endpoint):
    resource = "subscriptions"
    serializer_class = AdvancedOutput

    @extend_schema(
        operation_id="test_clock_advance_to_next",
        tags=["test clock"],
        summary="Advance the test clock to the next event",
        description="To the next instant at which anything is due, which is done; the clock stays where it is when "
        "nothing is. Send an Idempotency-Key, so that a retry goes no further.",
        request=ToNextInput,
        responses=AdvancedOutput,
        examples=[OpenApiExample("The next thing", {}, request_only=True), _ADVANCED],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        done = clock_advance_to_next(caller=request.caller, **self.read(ToNextInput), now=request.now)
        return Response(AdvancedOutput(done).data)
