"""`/v1/price-plans`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from billing.api.fields import CurrencyField
from customers.api.fields import (
    InstantField,
    MetadataField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    UnitsField,
)
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import NotFound
from customers.kernel.clock import system_now
from subscriptions.api.offers import PricePlanIdField
from subscriptions.api.price_plan_examples import (
    CHARGE_SCHEMA,
    ENTITLEMENTS_SCHEMA,
    PRICE_PLAN_ASKED,
    PRICE_PLAN_SHOWN,
)
from subscriptions.api.subscription_documents import WarningOutput
from subscriptions.models import BillingCycle, PricePlanStatus, PricePlanVersion
from subscriptions.selectors.price_plans import (
    price_plan_version_get,
    price_plan_versions,
    price_plans_newest,
)
from subscriptions.selectors.priced_twice import priced_twice
from subscriptions.services.plan_migrations import price_plan_migrate
from subscriptions.services.price_plans import (
    PriceTerms,
    price_plan_archive,
    price_plan_create,
    price_plan_deprecate,
    price_plan_unarchive,
    price_plan_update,
)
from subscriptions.services.sales import PricePlanNamed

_ASKED = OpenApiExample("A price plan", PRICE_PLAN_ASKED, request_only=True)
_SHOWN = OpenApiExample("A price plan", PRICE_PLAN_SHOWN, response_only=True)


@extend_schema_field(CHARGE_SCHEMA)
class ChargesField(serializers.Field[list[Any], Any, Any, Any]):
    """A list of charges; what each says is read by the engine."""

    default_error_messages = {"invalid": "Must be a list of charges."}

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("invalid")
        assert isinstance(data, list)  # noqa: S101 - fail() raises
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(ENTITLEMENTS_SCHEMA)
class EntitlementsField(MetadataField):
    """Features by their keys; what each says is read by the engine."""


class PricePlanInput(StrictSerializer):
    id = PricePlanIdField(help_text="Of your choice. The same id again makes the next version.")
    name = TextField(max_length=200)
    currency = CurrencyField(help_text="ISO 4217, in any case.")
    billing_period = serializers.ChoiceField(choices=BillingCycle.choices)
    charges = ChargesField()
    entitlements = EntitlementsField(required=False)
    minimum = UnitsField(
        required=False,
        allow_null=True,
        help_text="Of each period, in major units: a period that comes to less is made up for.",
    )
    changelog = TextField(max_length=1000, required=False, allow_blank=True)
    metadata = MetadataField(required=False)

    def validate_currency(self, value: str) -> str:
        if value.lower() == "mc":
            raise serializers.ValidationError("Invoices are in money.", code="unknown-currency")
        return value


class PricePlanLabels(StrictSerializer):
    name = TextField(max_length=200, required=False)
    metadata = MetadataField(required=False)
    status = serializers.ChoiceField(
        choices=[PricePlanStatus.ACTIVE.value, PricePlanStatus.DEPRECATED.value],
        required=False,
        help_text="Of the newest version. Nobody comes to a deprecated one any more; `active` takes that back.",
    )


class VersionStatus(StrictSerializer):
    status = serializers.ChoiceField(
        choices=[PricePlanStatus.ACTIVE.value, PricePlanStatus.DEPRECATED.value],
        help_text="`active` takes a deprecation back; a version that is not the newest is `superseded` then.",
    )


class PricePlanMigrateInput(StrictSerializer):
    to_plan_id = PricePlanIdField(required=False, help_text="Default: this price plan.")
    to_plan_version = StrictIntegerField(min_value=1, required=False, help_text="Default: the newest.")
    from_versions = serializers.ListField(
        child=StrictIntegerField(min_value=1), max_length=100, required=False, help_text="Default: all."
    )
    effective = serializers.ChoiceField(choices=("period_end", "immediate"), required=False)
    prorate = StrictBooleanField(required=False)
    preview = StrictBooleanField(required=False)
    reason = TextField(max_length=1000, allow_blank=True, required=False)


class PricePlanOutput(serializers.Serializer[PricePlanVersion]):
    """One version, with its price plan's labels."""

    id = serializers.CharField(source="price_plan.key")
    version = serializers.IntegerField()
    name = serializers.CharField(source="price_plan.name")
    status = serializers.ChoiceField(choices=PricePlanStatus.choices)
    currency = serializers.CharField()
    billing_period = serializers.ChoiceField(choices=BillingCycle.choices)
    charges = ChargesField()
    entitlements = EntitlementsField()
    minimum = serializers.IntegerField(
        source="minimum_minor", allow_null=True, help_text="In the currency's minor unit."
    )
    changelog = serializers.CharField()
    metadata = serializers.DictField(source="price_plan.metadata")
    archived_at = InstantField(source="price_plan.archived_at", allow_null=True)
    created_at = InstantField(help_text="Of the version.")


class PricePlanShown(PricePlanOutput):
    warnings = WarningOutput(many=True, help_text="Metrics that a metering rule charges credits for as well.")


class PricePlanFilter(filters.FilterSet):
    archived = filters.BooleanFilter(
        field_name="price_plan__archived_at",
        lookup_expr="isnull",
        exclude=True,
        label="Archived ones, or the others.",
    )
    status = filters.ChoiceFilter(choices=PricePlanStatus.choices)
    currency = filters.CharFilter(lookup_expr="iexact")
    billing_period = filters.ChoiceFilter(choices=BillingCycle.choices)

    class Meta:
        model = PricePlanVersion
        fields: tuple[str, ...] = ()


class PricePlans(Endpoint):
    resource = "catalog"
    filterset_class = PricePlanFilter
    queryset = PricePlanVersion.objects.none()
    serializer_class = PricePlanOutput

    @extend_schema(
        operation_id="price_plans_list",
        tags=["Price plans"],
        summary="List price plans",
        description="Each in its newest version, the latest change first.",
        responses=PricePlanOutput(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(price_plans_newest(environment_id=request.caller.environment_id), PricePlanOutput)

    @extend_schema(
        operation_id="price_plans_create",
        tags=["Price plans"],
        summary="Create a price plan, or its next version",
        description="What usage, and each period, costs in money. Prices, fees and the minimum are in the currency's "
        "**major** unit (49.00, 0.0001); every amount that comes back is in **minor** units. The same `id` again makes "
        "the next version: versions never change, and subscriptions stay on theirs until they are moved.",
        request=PricePlanInput,
        responses={201: PricePlanShown},
        extensions={"x-problems": ["invalid-price-plan", "price-plan-archived"]},
        examples=[_ASKED, _SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest) -> Response:
        given = self.read(PricePlanInput)
        key, name, metadata = given.pop("id"), given.pop("name"), given.pop("metadata", None)
        version = price_plan_create(
            caller=request.caller,
            key=key,
            name=name,
            metadata=metadata,
            terms=PriceTerms(**given),
            now=request.now,
        )
        return Response(_shown(version), status=201)


class PricePlanDetail(Endpoint):
    resource = "catalog"
    serializer_class = PricePlanShown

    @extend_schema(
        operation_id="price_plans_get",
        tags=["Price plans"],
        summary="Get a price plan in its newest version",
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str) -> Response:
        version = price_plan_version_get(environment_id=request.caller.environment_id, key=plan_id)
        return Response(_shown(version))

    @extend_schema(
        operation_id="price_plans_update",
        tags=["Price plans"],
        summary="Label a price plan, or deprecate it",
        description="Other prices are a new version: post the price plan again under its id.",
        request=PricePlanLabels,
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[OpenApiExample("Nobody new", {"status": "deprecated"}, request_only=True), _SHOWN],
    )
    @idempotent()
    def patch(self, request: ApiRequest, plan_id: str) -> Response:
        labels = self.read(PricePlanLabels, partial=True)
        status = labels.pop("status", None)
        version = price_plan_update(caller=request.caller, key=plan_id, labels=labels, now=request.now)
        if status is not None:
            version = _set_status(request, plan_id, version.version, status)
        return Response(_shown(version))


class PricePlanArchive(Endpoint):
    resource = "catalog"
    serializer_class = PricePlanShown

    @extend_schema(
        operation_id="price_plans_archive",
        tags=["Price plans"],
        summary="Archive a price plan",
        description="It takes no new versions and no new subscriptions; those who have it keep it. Archiving it again "
        "changes nothing.",
        request=None,
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        version = price_plan_archive(caller=request.caller, key=plan_id, now=request.now)
        return Response(_shown(version))


class PricePlanUnarchive(Endpoint):
    resource = "catalog"
    serializer_class = PricePlanShown

    @extend_schema(
        operation_id="price_plans_unarchive",
        tags=["Price plans"],
        summary="Sell an archived price plan again",
        description="Its versions have the status they had. Of a price plan that is not archived it changes nothing.",
        request=None,
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        version = price_plan_unarchive(caller=request.caller, key=plan_id, now=request.now)
        return Response(_shown(version))


class PricePlanVersions(Endpoint):
    resource = "catalog"
    queryset = PricePlanVersion.objects.none()
    serializer_class = PricePlanOutput

    @extend_schema(
        operation_id="price_plans_versions",
        tags=["Price plans"],
        summary="List a price plan's versions, newest first",
        description="With the `changelog` of each.",
        responses=PricePlanOutput(many=True),
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str) -> Response:
        newest = price_plan_version_get(environment_id=request.caller.environment_id, key=plan_id)
        versions: QuerySet[PricePlanVersion] = price_plan_versions(environment_id=newest.environment_id)
        return self.page(versions.filter(price_plan_id=newest.price_plan_id), PricePlanOutput)


class PricePlanVersionDetail(Endpoint):
    resource = "catalog"
    serializer_class = PricePlanShown

    @extend_schema(
        operation_id="price_plans_version_get",
        tags=["Price plans"],
        summary="Get a version of a price plan",
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, plan_id: str, version: str) -> Response:
        found = price_plan_version_get(
            environment_id=request.caller.environment_id, key=plan_id, version=_number(version)
        )
        return Response(_shown(found))

    @extend_schema(
        operation_id="price_plans_version_update",
        tags=["Price plans"],
        summary="Deprecate a version of a price plan",
        description="Nobody comes to it any more; those who are on it stay.",
        request=VersionStatus,
        responses=PricePlanShown,
        extensions={"x-problems": ["price-plan-not-found"]},
        examples=[OpenApiExample("Nobody new", {"status": "deprecated"}, request_only=True), _SHOWN],
    )
    @idempotent()
    def patch(self, request: ApiRequest, plan_id: str, version: str) -> Response:
        status = self.read(VersionStatus)["status"]
        return Response(_shown(_set_status(request, plan_id, _number(version), status)))


class PricePlanMigrate(Endpoint):
    resource = "subscriptions"
    serializer_class = JobShow

    @extend_schema(
        operation_id="price_plans_migrate",
        tags=["Price plans"],
        summary="Move a price plan's subscribers to another version or price plan",
        description="A job (202), done at once for few: each live subscription to the price plan, or to "
        "`from_versions`, is moved for itself, with its next period (`period_end`, the default) or `immediate`ly. A "
        "row for each is at `/v1/jobs/{id}/results`; the job can be paused, resumed and canceled. With `preview` "
        "everybody is moved and moved back: the rows tell what would happen.",
        request=PricePlanMigrateInput,
        responses={202: JobShow},
        extensions={"x-problems": ["price-plan-not-found", "price-plan-archived", "price-plan-deprecated"]},
        examples=[
            OpenApiExample("Look first", {"from_versions": [1], "preview": True}, request_only=True),
            OpenApiExample(
                "A job",
                {**JOB_EXAMPLE, "kind": "subscriptions.migrate"},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    @idempotent()
    def post(self, request: ApiRequest, plan_id: str) -> Response:
        given = self.read(PricePlanMigrateInput)
        to = PricePlanNamed(key=given.pop("to_plan_id", plan_id), version=given.pop("to_plan_version", None))
        job = price_plan_migrate(caller=request.caller, key=plan_id, to=to, clock=system_now, **given)
        return Response(JobShow(job).data, status=202)


def _set_status(request: ApiRequest, key: str, version: int, status: str) -> PricePlanVersion:
    return price_plan_deprecate(
        caller=request.caller,
        key=key,
        version=version,
        deprecated=status == PricePlanStatus.DEPRECATED,
        now=request.now,
    )


def _number(text: str) -> int:
    """A version in a path; what is none names nothing."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound(f"There is no version {text}.")
    return int(text)


def _shown(version: PricePlanVersion) -> Mapping[str, Any]:
    return {**PricePlanOutput(version).data, "warnings": priced_twice(version)}
