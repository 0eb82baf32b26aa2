"""What may be asked of a subscription: `POST /v1/subscriptions/{id}/<action>`, each with a preview."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import (
    InstantField,
    MetadataField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from customers.api.idempotency import idempotent, key_of
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from subscriptions.api.offers import OFFER_FIELDS, PricePlanIdField, offer_in
from subscriptions.api.outcomes import acted, previewed
from subscriptions.api.subscription_documents import OUTCOME_EXAMPLE, SUBSCRIPTION_EXAMPLE, OutcomeOutput
from subscriptions.models import SubscriptionPeriod
from subscriptions.services.actions import (
    subscription_cancel,
    subscription_pause,
    subscription_resume,
    subscription_uncancel,
)
from subscriptions.services.changes import subscription_change
from subscriptions.services.contracts import subscription_extend
from subscriptions.services.locking import Outcome
from subscriptions.services.renewals import subscription_renew
from subscriptions.services.subscriptions import subscription_get, subscription_retry

_CONFLICTS = ["subscription-not-found", "subscription-state-conflict", "subscription-parked"]
_DONE = OpenApiExample("Done", OUTCOME_EXAMPLE, response_only=True)
_PREVIEW = "With `preview` the same is done and undone, and nothing of it stays."


class ActionInput(StrictSerializer):
    reason = TextField(max_length=1000, allow_blank=True, required=False)
    preview = StrictBooleanField(default=False, help_text="Show what it would do.")


class PauseInput(ActionInput):
    resumes_at = InstantField(required=False, allow_null=True, help_text="Null: until it is resumed.")


class CancelInput(ActionInput):
    cancel_immediately = StrictBooleanField(required=False, help_text="Default: at the period's end.")


class ChangeInput(ActionInput):
    plan_variant_id = TypeIdField("pvr", required=False, allow_null=True)
    plan_id = PricePlanIdField(
        required=False, allow_null=True, help_text="A price plan's id, instead of a plan variant's."
    )
    plan_version = StrictIntegerField(min_value=1, required=False, allow_null=True)
    effective = serializers.ChoiceField(choices=("immediate", "period_end"), required=False)
    prorate = StrictBooleanField(
        required=False,
        help_text="Default: fees of the present period are shared by the second. False: they change with the next.",
    )


class ExtendInput(ActionInput):
    contract_end = InstantField()
    metadata = MetadataField(required=False)


class RenewInput(ActionInput):
    external_payment_id = TextField(max_length=255, required=False, allow_null=True)


class SubscriptionAction(Endpoint):
    """`perform` calls the service with what was read."""

    resource = "subscriptions"
    serializer_class = OutcomeOutput
    input_class: ClassVar[type[serializers.BaseSerializer[Any]]] = ActionInput
    service: ClassVar[Callable[..., Outcome]]
    names: ClassVar[dict[str, str]] = {}

    def act(self, request: ApiRequest, subscription_id: str) -> Response:
        if self.read(self.input_class).get("preview"):
            return Response(previewed(partial(self.perform, request, subscription_id)))
        do: Any = self.done
        return cast(Response, do(request, subscription_id=subscription_id))

    @idempotent()
    def done(self, request: ApiRequest, subscription_id: str) -> Response:
        return Response(acted(self.perform(request, subscription_id)))

    def perform(self, request: ApiRequest, subscription_id: str, **more: Any) -> Outcome:
        given = self.read(self.input_class)
        given.pop("preview", None)
        arguments = self.arguments(given)
        return type(self).service(
            caller=request.caller,
            subscription_id=object_id("sub", subscription_id),
            now=request.now,
            **arguments,
            **more,
        )

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the service is told of the body."""
        return {self.names.get(name, name): value for name, value in given.items()}


class SubscriptionPause(SubscriptionAction):
    input_class = PauseInput
    service = staticmethod(subscription_pause)

    @extend_schema(
        operation_id="subscriptions_pause",
        tags=["subscriptions"],
        summary="Pause a subscription",
        description=f"Its clock and its grants stand still and usage is refused, until it is resumed. {_PREVIEW}",
        request=PauseInput,
        responses=OutcomeOutput,
        extensions={"x-problems": [*_CONFLICTS, "resumes-at-refused"]},
        examples=[
            OpenApiExample("Over the holidays", {"resumes_at": "2027-01-07T00:00:00Z"}, request_only=True),
            _DONE,
        ],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionResume(SubscriptionAction):
    service = staticmethod(subscription_resume)

    @extend_schema(
        operation_id="subscriptions_resume",
        tags=["subscriptions"],
        summary="Resume a paused subscription",
        description=f"The period's end, and every grant to come, is shifted by the pause's length. {_PREVIEW}",
        request=ActionInput,
        responses=OutcomeOutput,
        extensions={"x-problems": _CONFLICTS},
        examples=[OpenApiExample("Resume", {"reason": "customer is back"}, request_only=True), _DONE],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionCancel(SubscriptionAction):
    input_class = CancelInput
    service = staticmethod(subscription_cancel)
    names: ClassVar[dict[str, str]] = {"cancel_immediately": "immediately"}

    @extend_schema(
        operation_id="subscriptions_cancel",
        tags=["subscriptions"],
        summary="Cancel a subscription",
        description="At the period's end, until which it can be uncanceled, or at once. Granted credits live to their "
        f"own expiry. {_PREVIEW}",
        request=CancelInput,
        responses=OutcomeOutput,
        extensions={"x-problems": _CONFLICTS},
        examples=[OpenApiExample("At once", {"cancel_immediately": True}, request_only=True), _DONE],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionUncancel(SubscriptionAction):
    service = staticmethod(subscription_uncancel)

    @extend_schema(
        operation_id="subscriptions_uncancel",
        tags=["subscriptions"],
        summary="Take a planned cancellation back",
        description=_PREVIEW,
        request=ActionInput,
        responses=OutcomeOutput,
        extensions={"x-problems": _CONFLICTS},
        examples=[OpenApiExample("Stay", {"reason": "they stay"}, request_only=True), _DONE],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionChangeVariant(SubscriptionAction):
    input_class = ChangeInput
    service = staticmethod(subscription_change)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in given.items() if name not in OFFER_FIELDS}
        return {**rest, "offer": offer_in(given)}

    @extend_schema(
        operation_id="subscriptions_change",
        tags=["subscriptions"],
        summary="Move a subscription to another plan variant or price plan",
        description="`immediate` (the default) grants the difference that the new variant gives for the rest of the "
        "period, if it is positive, and never takes anything back; `period_end` plans the change. The period keeps "
        "its end; another cycle counts from there. A subscription to a price plan moves to another one, or another "
        "version, by `plan_id` and `plan_version`: at once, its usage is split at the instant and its fees by the "
        f"second, unless `prorate` is false. {_PREVIEW}",
        request=ChangeInput,
        responses=OutcomeOutput,
        extensions={
            "x-problems": [
                *_CONFLICTS,
                "plan-variant-not-found",
                "plan-variant-archived",
                "price-plan-not-found",
                "price-plan-archived",
                "price-plan-deprecated",
                "same-plan-variant",
                "plan-kind-differs",
                "billing-period-differs",
            ]
        },
        examples=[
            OpenApiExample(
                "Look first",
                {
                    "plan_variant_id": SUBSCRIPTION_EXAMPLE["plan_variant_id"],
                    "effective": "immediate",
                    "preview": True,
                },
                request_only=True,
            ),
            _DONE,
        ],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionExtend(SubscriptionAction):
    input_class = ExtendInput
    service = staticmethod(subscription_extend)

    @extend_schema(
        operation_id="subscriptions_extend",
        tags=["subscriptions"],
        summary="Extend a subscription's contract",
        description="One that had ended is active again: a new period begins now, and its templates fire. "
        f"{_PREVIEW}",
        request=ExtendInput,
        responses=OutcomeOutput,
        extensions={"x-problems": [*_CONFLICTS, "contract-end-refused", "subscription-exists"]},
        examples=[
            OpenApiExample(
                "Another year",
                {
                    "contract_end": "2028-04-13T00:00:00Z",
                    "reason": "annual renewal signed",
                    "metadata": {"amendment_id": "AMD-2027-001"},
                },
                request_only=True,
            ),
            _DONE,
        ],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)


class SubscriptionRetry(SubscriptionAction):
    service = staticmethod(subscription_retry)

    @extend_schema(
        operation_id="subscriptions_retry",
        tags=["subscriptions"],
        summary="Try a parked subscription's due work again",
        description="For one whose `failed_at` is set, once the cause is gone.",
        request=None,
        responses=OutcomeOutput,
        extensions={"x-problems": ["subscription-not-found", "subscription-parked"]},
        examples=[_DONE],
    )
    @idempotent()
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        outcome = subscription_retry(
            caller=request.caller, subscription_id=object_id("sub", subscription_id), now=request.now
        )
        return Response(acted(outcome))


class SubscriptionRenew(SubscriptionAction):
    input_class = RenewInput
    service = staticmethod(subscription_renew)

    @extend_schema(
        operation_id="subscriptions_renew",
        tags=["subscriptions"],
        summary="Renew a prepaid subscription",
        description="From `renewal_due_days` before the period's end on. The next period starts when the present one "
        "ends, and only then are its credits granted and `subscription.renewed` sent; for an overdue one that is now. "
        f"An `external_payment_id` renews one period, once. {_PREVIEW}",
        request=RenewInput,
        responses=OutcomeOutput,
        extensions={
            "x-problems": [
                *_CONFLICTS,
                "not-prepaid",
                "renewal-not-due",
                "already-renewed",
                "payment-already-used",
            ]
        },
        examples=[OpenApiExample("Paid", {"external_payment_id": "pi_123"}, request_only=True), _DONE],
    )
    def post(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.act(request, subscription_id)

    @idempotent(family="subscriptions/renew", required=True, again="renewed_again", made="renewed")
    def done(self, request: ApiRequest, subscription_id: str) -> Response:
        outcome = self.perform(request, subscription_id, idempotency_key=key_of(request))
        effect = self.renewed(request, key_of(request) or "")
        if effect is not None:
            request.idempotency_effect(effect)
        return Response(acted(outcome))

    def renewed(self, request: ApiRequest, key: str) -> UUID | None:
        periods = SubscriptionPeriod.objects.filter(environment_id=request.caller.environment_id)
        return periods.filter(idempotency_key=key).values_list("id", flat=True).first()

    def renewed_again(self, request: ApiRequest, effect_id: UUID, subscription_id: str) -> Response:
        period = SubscriptionPeriod.objects.get(id=effect_id)
        subscription = subscription_get(
            environment_id=request.caller.environment_id, subscription_id=period.subscription_id
        )
        return Response({**acted(Outcome(subscription=subscription)), "duplicate": True})
