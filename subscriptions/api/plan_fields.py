"""Plans, variants and credit grants as they are read and shown."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.fields import CurrencyField
from billing.models import BlockSource
from customers.api.fields import (
    InstantField,
    McField,
    MetadataField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from customers.kernel.ids import typeid
from subscriptions.api.offers import PricePlanIdField
from subscriptions.models import (
    BillingCycle,
    BillingMode,
    CreditGrantTemplate,
    GrantInterval,
    GrantType,
    Plan,
    PlanVariant,
)
from subscriptions.services.plans import features_refusal

#: A hundred years.
_LIFE_MAX_SECONDS = 100 * 366 * 24 * 3600
INTERVAL_END = "interval_end"


@extend_schema_field(
    {
        "type": "object",
        "description": "What the plan includes beside credits: true or false, a number, or a text.",
        "additionalProperties": {"type": ["boolean", "number", "string"]},
        "example": {"sso": True, "seats": 5, "support": "email"},
    }
)
class FeaturesField(MetadataField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        features = super().to_internal_value(data)
        refusal = features_refusal(features)
        if refusal is not None:
            raise serializers.ValidationError(refusal, code="invalid")
        return features


class PlanInput(StrictSerializer):
    name = TextField(max_length=200)
    description = TextField(max_length=1000, required=False, allow_blank=True)
    features = FeaturesField(required=False)
    metadata = MetadataField(required=False)


class VariantInput(StrictSerializer):
    name = TextField(max_length=200)
    description = TextField(max_length=1000, required=False, allow_blank=True)
    billing_cycle = serializers.ChoiceField(choices=BillingCycle.choices)
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices)
    renewal_due_days = StrictIntegerField(
        min_value=0,
        max_value=366,
        required=False,
        help_text="Prepaid: how long before a period's end its renewal is due.",
    )
    grace_period_days = StrictIntegerField(
        min_value=0,
        max_value=366,
        required=False,
        help_text="Prepaid: how long an overdue subscription waits.",
    )
    allow_usage_while_overdue = StrictBooleanField(required=False)
    trial_days = StrictIntegerField(min_value=0, max_value=366, required=False)
    price = McField(
        source="price_minor",
        required=False,
        allow_null=True,
        help_text="Of one period, in the currency's minor unit.",
    )
    currency = CurrencyField(required=False, allow_null=True)
    fallback_variant_id = TypeIdField(
        "pvr",
        required=False,
        allow_null=True,
        help_text="That customers are subscribed to when this one expires or is canceled.",
    )
    price_plan_id = PricePlanIdField(
        required=False,
        allow_null=True,
        help_text="What usage costs in money beside what it grants in credits. Of the same billing period.",
    )
    price_plan_version = StrictIntegerField(
        min_value=1, required=False, allow_null=True, help_text="Default: the newest."
    )
    metadata = MetadataField(required=False)


class CreditGrantInput(StrictSerializer):
    name = TextField(max_length=200, required=False, allow_blank=True)
    credits = McField(source="credits_mc", min_value=1, help_text="Of each grant, in mc.")
    grant_type = serializers.ChoiceField(choices=GrantType.choices, default=GrantType.RECURRING)
    grant_interval = serializers.ChoiceField(
        choices=GrantInterval.choices, default=GrantInterval.BILLING_CYCLE
    )
    interval_seconds = StrictIntegerField(
        min_value=1, max_value=_LIFE_MAX_SECONDS, required=False, allow_null=True, help_text="Of `custom`."
    )
    source = serializers.ChoiceField(choices=BlockSource.choices, default=BlockSource.PLAN_GRANT)  # type: ignore[assignment]
    priority = StrictIntegerField(min_value=0, max_value=100, default=10)
    expires_after_seconds = StrictIntegerField(
        min_value=1, max_value=_LIFE_MAX_SECONDS, required=False, allow_null=True
    )
    expires = serializers.ChoiceField(choices=[INTERVAL_END], required=False, allow_null=True)
    rollover_percentage = StrictIntegerField(min_value=0, max_value=100, required=False)
    accumulation_cap = McField(
        source="accumulation_cap_mc",
        required=False,
        allow_null=True,
        help_text="In mc: a new grant and what rolls over beside it stay within this.",
    )
    metadata = MetadataField(required=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        terms: dict[str, Any] = super().to_internal_value(data)
        if "expires" in terms:
            terms["expires_at_interval_end"] = terms.pop("expires") == INTERVAL_END
        return terms


class CreditGrantOutput(serializers.Serializer[CreditGrantTemplate]):
    id = serializers.CharField(source="public_id")
    plan_variant_id = TypeIdField("pvr", source="variant_id")
    name = serializers.CharField()
    credits = serializers.IntegerField(source="credits_mc")
    grant_type = serializers.ChoiceField(choices=GrantType.choices)
    grant_interval = serializers.ChoiceField(choices=GrantInterval.choices)
    interval_seconds = serializers.IntegerField(allow_null=True)
    source = serializers.ChoiceField(choices=BlockSource.choices)  # type: ignore[assignment]
    priority = serializers.IntegerField()
    expires_after_seconds = serializers.IntegerField(allow_null=True)
    expires = serializers.SerializerMethodField()
    rollover_percentage = serializers.IntegerField()
    accumulation_cap = serializers.IntegerField(source="accumulation_cap_mc", allow_null=True)
    metadata = serializers.DictField()
    archived_at = InstantField(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()

    @extend_schema_field({"type": ["string", "null"], "enum": [INTERVAL_END, None]})
    def get_expires(self, grant: CreditGrantTemplate) -> str | None:
        return INTERVAL_END if grant.expires_at_interval_end else None


class VariantOutput(serializers.Serializer[PlanVariant]):
    id = serializers.CharField(source="public_id")
    plan_id = TypeIdField("plan")
    version = serializers.IntegerField()
    current_version_id = serializers.SerializerMethodField()
    name = serializers.CharField()
    description = serializers.CharField()
    billing_cycle = serializers.ChoiceField(choices=BillingCycle.choices)
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices)
    renewal_due_days = serializers.IntegerField()
    grace_period_days = serializers.IntegerField()
    allow_usage_while_overdue = serializers.BooleanField()
    trial_days = serializers.IntegerField()
    price = serializers.IntegerField(source="price_minor", allow_null=True)
    currency = serializers.CharField(allow_null=True)
    fallback_variant_id = TypeIdField("pvr", allow_null=True)
    price_plan_id = serializers.CharField(
        source="price_plan_version.price_plan.key", allow_null=True, default=None
    )
    price_plan_version = serializers.IntegerField(
        source="price_plan_version.version", allow_null=True, default=None
    )
    credit_grants = CreditGrantOutput(source="grants_shown", many=True)
    metadata = serializers.DictField()
    superseded_at = InstantField(allow_null=True)
    archived_at = InstantField(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()

    def get_current_version_id(self, variant: PlanVariant) -> str:
        facts: Any = variant
        return typeid("pvr", facts.current_version)


class PlanOutput(serializers.Serializer[Plan]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    features = FeaturesField()
    metadata = serializers.DictField()
    archived_at = InstantField(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()


class PlanWithVariants(PlanOutput):
    variants = VariantOutput(source="variants_shown", many=True)
