"""`/v1/subscriptions`: subscribe, list, look, label."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
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
from customers.api.idempotency import idempotent
from customers.api.paths import customer_named_in
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.kernel.ids import typeid_parse
from customers.services.customers import By, customer_resolve
from subscriptions.api.offers import OFFER_FIELDS, PricePlanIdField, offer_in
from subscriptions.api.outcomes import acted
from subscriptions.api.subscription_documents import (
    CHANGE_EXAMPLE,
    OUTCOME_EXAMPLE,
    PERIOD_EXAMPLE,
    PRICE_TERM_EXAMPLE,
    SUBSCRIPTION_EXAMPLE,
    ChangeOutput,
    OutcomeOutput,
    PeriodOutput,
    PriceTermOutput,
    SubscriptionOutput,
)
from subscriptions.models import (
    PriceTerm,
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionState,
)
from subscriptions.services.subscriptions import (
    RELATED,
    subscription_create,
    subscription_read,
    subscription_update,
    subscriptions_settle,
)

_SHOWN = OpenApiExample("A subscription", SUBSCRIPTION_EXAMPLE, response_only=True)


class SubscriptionInput(StrictSerializer):
    """Exactly one of `customer_id` and `external_customer_id` names the customer, who must exist."""

    customer_id = TextField(required=False, allow_null=True)
    external_customer_id = TextField(required=False, allow_null=True)
    plan_variant_id = TypeIdField("pvr", required=False, allow_null=True)
    plan_id = PricePlanIdField(
        required=False, allow_null=True, help_text="A price plan's id, instead of a plan variant's."
    )
    plan_version = StrictIntegerField(
        min_value=1, required=False, allow_null=True, help_text="Of the price plan; default: the newest."
    )
    start_date = InstantField(required=False, allow_null=True, help_text="Now, or in the past.")
    contract_end = InstantField(required=False, allow_null=True)
    contract_ending_soon_days = StrictIntegerField(min_value=0, max_value=3650, required=False)
    external_subscription_id = TextField(max_length=255, required=False, allow_null=True)
    invoices_automatically = StrictBooleanField(
        required=False, help_text="Each period is invoiced by itself when it is over."
    )
    metadata = MetadataField(required=False)


class SubscriptionLabels(StrictSerializer):
    external_subscription_id = TextField(max_length=255, required=False, allow_null=True)
    metadata = MetadataField(required=False)


class SubscriptionFilter(filters.FilterSet):
    status = filters.MultipleChoiceFilter(choices=SubscriptionState.choices)
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    plan_id = filters.CharFilter(method="of_plan")
    plan_variant_id = filters.CharFilter(method="of_variant")
    external_subscription_id = filters.CharFilter()
    due_before = filters.IsoDateTimeFilter(field_name="next_due_at", lookup_expr="lt")
    failed = filters.BooleanFilter(field_name="failed_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Subscription
        fields: tuple[str, ...] = ()

    def of_plan(self, rows: QuerySet[Subscription], name: str, value: str) -> QuerySet[Subscription]:
        named = Q(variant__price_plan_version__price_plan__key=value)
        return rows.filter(named | Q(variant__plan_id=typeid_parse("plan", value)))

    def of_variant(self, rows: QuerySet[Subscription], name: str, value: str) -> QuerySet[Subscription]:
        variant_id = typeid_parse("pvr", value)
        return rows.filter(variant_id=variant_id) if variant_id else rows.none()


class Subscriptions(Endpoint):
    resource = "subscriptions"
    filterset_class = SubscriptionFilter
    queryset = Subscription.objects.none()
    serializer_class = SubscriptionOutput

    @extend_schema(
        operation_id="subscriptions_list",
        tags=["subscriptions"],
        summary="List subscriptions, newest first",
        responses=SubscriptionOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        rows = Subscription.objects.filter(environment_id=request.caller.environment_id)
        return _page(self, rows, request)

    @extend_schema(
        operation_id="subscriptions_create",
        tags=["subscriptions"],
        summary="Subscribe a customer to a plan variant or a price plan",
        description="By `plan_variant_id`, or by `plan_id` (and `plan_version`) to a price plan. The present period "
        "begins now, or, with a `start_date` in the past, is counted from there; its templates fire. A customer has "
        "one live credit subscription: another is refused with 409. Of subscriptions to price plans a customer may "
        "have several; of one with a `start_date` in the past every period since then can be invoiced.",
        request=SubscriptionInput,
        responses={201: OutcomeOutput},
        extensions={
            "x-problems": [
                "subscription-exists",
                "plan-variant-not-found",
                "plan-variant-archived",
                "price-plan-not-found",
                "price-plan-archived",
                "price-plan-deprecated",
                "external-subscription-id-taken",
                "start-date-refused",
                "contract-end-refused",
            ]
        },
        examples=[
            OpenApiExample(
                "With a contract",
                {
                    "external_customer_id": "acme_corp",
                    "plan_variant_id": SUBSCRIPTION_EXAMPLE["plan_variant_id"],
                    "contract_end": "2027-04-13T00:00:00Z",
                    "contract_ending_soon_days": 30,
                    "external_subscription_id": "your_contract_ref_123",
                    "metadata": {"account_manager": "jane@yourcompany.com"},
                },
                request_only=True,
            ),
            OpenApiExample(
                "To a price plan",
                {
                    "customer_id": "cust_acme",
                    "plan_id": "plan_growth",
                    "start_date": "2026-04-01T00:00:00Z",
                },
                request_only=True,
            ),
            OpenApiExample("Subscribed", OUTCOME_EXAMPLE, response_only=True),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        given = self.read(SubscriptionInput)
        by, reference = customer_named_in(given)
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        terms = {
            name: value
            for name, value in given.items()
            if name not in ("customer_id", "external_customer_id", *OFFER_FIELDS)
        }
        outcome = subscription_create(
            caller=request.caller,
            customer=customer,
            offer=offer_in(given),
            now=request.now,
            **terms,
        )
        return Response(acted(outcome), status=201)


class SubscriptionDetail(Endpoint):
    resource = "subscriptions"
    serializer_class = SubscriptionOutput

    @extend_schema(
        operation_id="subscriptions_get",
        tags=["subscriptions"],
        summary="Get a subscription",
        responses=SubscriptionOutput,
        extensions={"x-problems": ["subscription-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, subscription_id: str) -> Response:
        return Response(SubscriptionOutput(_found(request, subscription_id)).data)

    @extend_schema(
        operation_id="subscriptions_update",
        tags=["subscriptions"],
        summary="Label a subscription",
        description="What it costs and gives is changed by its actions.",
        request=SubscriptionLabels,
        responses=SubscriptionOutput,
        extensions={"x-problems": ["subscription-not-found", "external-subscription-id-taken"]},
        examples=[
            OpenApiExample(
                "A label", {"metadata": {"account_manager": "joe@yourcompany.com"}}, request_only=True
            ),
            _SHOWN,
        ],
    )
    @idempotent()
    def patch(self, request: ApiRequest, subscription_id: str) -> Response:
        subscription = subscription_update(
            caller=request.caller,
            subscription_id=object_id("sub", subscription_id),
            labels=self.read(SubscriptionLabels, partial=True),
            now=request.now,
        )
        return Response(SubscriptionOutput(subscription).data)


class SubscriptionPeriods(Endpoint):
    resource = "subscriptions"
    queryset = SubscriptionPeriod.objects.none()
    serializer_class = PeriodOutput

    @extend_schema(
        operation_id="subscriptions_periods",
        tags=["subscriptions"],
        summary="List a subscription's periods, newest first",
        description="Each with its usage summary, once it is over.",
        responses=PeriodOutput(many=True),
        extensions={"x-problems": ["subscription-not-found"]},
        examples=[OpenApiExample("A period", PERIOD_EXAMPLE, response_only=True)],
    )
    def get(self, request: ApiRequest, subscription_id: str) -> Response:
        periods = _found(request, subscription_id).periods.select_related(
            "variant__price_plan_version__price_plan"
        )
        return self.page(periods.order_by("-id"), PeriodOutput)


class SubscriptionPriceTerms(Endpoint):
    resource = "subscriptions"
    queryset = PriceTerm.objects.none()
    serializer_class = PriceTermOutput

    @extend_schema(
        operation_id="subscriptions_price_terms",
        tags=["subscriptions"],
        summary="List which price plans held for a subscription, newest first",
        description="From when until when usage and fees are priced by which version; none for a subscription that "
        "costs no money.",
        responses=PriceTermOutput(many=True),
        extensions={"x-problems": ["subscription-not-found"]},
        examples=[OpenApiExample("A term", PRICE_TERM_EXAMPLE, response_only=True)],
    )
    def get(self, request: ApiRequest, subscription_id: str) -> Response:
        terms = _found(request, subscription_id).price_terms.select_related("version__price_plan")
        return self.page(terms.order_by("-id"), PriceTermOutput)


class SubscriptionChanges(Endpoint):
    resource = "subscriptions"
    queryset = SubscriptionChange.objects.none()
    serializer_class = ChangeOutput

    @extend_schema(
        operation_id="subscriptions_changes",
        tags=["subscriptions"],
        summary="List what happened to a subscription, newest first",
        responses=ChangeOutput(many=True),
        extensions={"x-problems": ["subscription-not-found"]},
        examples=[OpenApiExample("A change", CHANGE_EXAMPLE, response_only=True)],
    )
    def get(self, request: ApiRequest, subscription_id: str) -> Response:
        return self.page(_found(request, subscription_id).changes.order_by("-id"), ChangeOutput)


class CustomerSubscriptions(Endpoint):
    resource = "subscriptions"
    queryset = Subscription.objects.none()
    serializer_class = SubscriptionOutput

    @extend_schema(
        operation_id="customers_subscriptions",
        tags=["subscriptions"],
        summary="List a customer's subscriptions, newest first",
        responses=SubscriptionOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, by: By, reference: str) -> Response:
        customer = customer_resolve(environment_id=request.caller.environment_id, by=by, reference=reference)
        rows = Subscription.objects.filter(customer_id=customer.id)
        return _page(self, rows, request)


def _found(request: ApiRequest, subscription_id: str) -> Subscription:
    wanted: UUID = object_id("sub", subscription_id)
    return subscription_read(
        environment_id=request.caller.environment_id, subscription_id=wanted, now=request.now
    )


def _page(view: Endpoint, rows: QuerySet[Subscription], request: ApiRequest) -> Response:
    """What is due on those of the page is done first; the page is then read again."""
    rows = rows.select_related(*RELATED)
    shown = view.page(rows, SubscriptionOutput)
    ids = [object_id("sub", row["id"]) for row in shown.data["data"] if row["next_due_at"]]
    if subscriptions_settle(rows.filter(id__in=ids), now=request.now):
        return view.page(rows, SubscriptionOutput)
    return shown
