"""How subscriptions look on the wire."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers

from customers.api.fields import InstantField
from subscriptions.events import plan_shown, price_plan_shown, variant_shown
from subscriptions.models import PriceTerm, Subscription, SubscriptionChange, SubscriptionPeriod


class SubscriptionOutput(serializers.Serializer[Subscription]):
    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id", allow_null=True)
    plan_id = serializers.SerializerMethodField(help_text="The plan's, or the price plan's sold by itself.")
    plan_version = serializers.SerializerMethodField(help_text="The one of the price plan that it is on.")
    plan_variant_id = serializers.SerializerMethodField(help_text="Null: a price plan is sold by itself.")
    price_plan_id = serializers.SerializerMethodField(help_text="By which usage costs money.")
    billing_mode = serializers.CharField(source="variant.billing_mode")
    billing_cycle = serializers.CharField(source="variant.billing_cycle")
    status = serializers.CharField()
    start_date = InstantField(source="started_at")
    started_at = InstantField()
    current_period_start = InstantField()
    current_period_end = InstantField()
    trial_ends_at = InstantField(allow_null=True)
    contract_start = InstantField(allow_null=True)
    contract_end = InstantField(allow_null=True)
    contract_ending_soon_days = serializers.IntegerField()
    is_renewed = serializers.BooleanField(help_text="Prepaid: the next period is renewed.")
    cancel_at_period_end = serializers.BooleanField()
    canceled_at = InstantField(allow_null=True)
    ended_at = InstantField(allow_null=True)
    paused_at = InstantField(allow_null=True)
    resumes_at = InstantField(allow_null=True)
    pending_plan_variant_id = serializers.SerializerMethodField()
    pending_price_plan_id = serializers.SerializerMethodField()
    pending_price_plan_version = serializers.SerializerMethodField()
    invoices_automatically = serializers.BooleanField()
    follows_subscription_id = serializers.CharField(source="follows.public_id", allow_null=True, default=None)
    external_subscription_id = serializers.CharField(allow_null=True)
    next_due_at = InstantField(allow_null=True, help_text="When time next changes anything about it.")
    failed_at = InstantField(allow_null=True, help_text="Since when its due work is parked.")
    failure = serializers.CharField()
    metadata = serializers.DictField()
    created_at = InstantField()
    updated_at = InstantField()

    def get_plan_id(self, subscription: Subscription) -> str:
        return plan_shown(subscription.variant)

    def get_plan_version(self, subscription: Subscription) -> int | None:
        version: int | None = price_plan_shown(subscription.variant)["price_plan_version"]
        return version

    def get_plan_variant_id(self, subscription: Subscription) -> str | None:
        return variant_shown(subscription.variant)

    def get_price_plan_id(self, subscription: Subscription) -> str | None:
        key: str | None = price_plan_shown(subscription.variant)["price_plan_id"]
        return key

    def get_pending_plan_variant_id(self, subscription: Subscription) -> str | None:
        pending = subscription.pending_variant
        return None if pending is None else variant_shown(pending)

    def get_pending_price_plan_id(self, subscription: Subscription) -> str | None:
        pending = subscription.pending_variant
        return None if pending is None else price_plan_shown(pending)["price_plan_id"]

    def get_pending_price_plan_version(self, subscription: Subscription) -> int | None:
        pending = subscription.pending_variant
        return None if pending is None else price_plan_shown(pending)["price_plan_version"]


class WarningOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    metric_key = serializers.CharField()
    message = serializers.CharField()


class OutcomeOutput(SubscriptionOutput):
    """A subscription after an action, with what the action did to the customer's credits."""

    preview = serializers.BooleanField()
    credits_granted = serializers.IntegerField(help_text="By this call, in mc.")
    balance = serializers.IntegerField()
    effective_balance = serializers.IntegerField()
    warnings = WarningOutput(
        many=True, help_text="Metrics for which the customer pays in credits and in money."
    )


class PeriodOutput(serializers.Serializer[SubscriptionPeriod]):
    start = InstantField(source="starts_at")
    end = InstantField(source="ends_at")
    plan_variant_id = serializers.SerializerMethodField()
    price_plan_id = serializers.SerializerMethodField()
    price_plan_version = serializers.SerializerMethodField()
    renewed_at = InstantField(allow_null=True)
    external_payment_id = serializers.CharField(allow_null=True)
    opening_balance = serializers.IntegerField(
        source="opening_balance_mc", allow_null=True, help_text="After its grants; null before it begins."
    )
    usage_summary = serializers.DictField(
        allow_null=True, help_text="Of credits, once it is over; null for a price plan's."
    )
    closed_at = InstantField(allow_null=True)
    invoice_failure = serializers.SerializerMethodField(
        help_text="Why it could not be invoiced by itself; null once it is on an invoice."
    )

    def get_invoice_failure(self, period: SubscriptionPeriod) -> str | None:
        return period.invoice_failure or None

    def get_plan_variant_id(self, period: SubscriptionPeriod) -> str | None:
        return variant_shown(period.variant)

    def get_price_plan_id(self, period: SubscriptionPeriod) -> str | None:
        key: str | None = price_plan_shown(period.variant)["price_plan_id"]
        return key

    def get_price_plan_version(self, period: SubscriptionPeriod) -> int | None:
        version: int | None = price_plan_shown(period.variant)["price_plan_version"]
        return version


class PriceTermOutput(serializers.Serializer[PriceTerm]):
    plan_id = serializers.CharField(source="version.price_plan.key")
    plan_version = serializers.IntegerField(source="version.version")
    start = InstantField(source="starts_at")
    end = InstantField(source="ends_at", allow_null=True)
    prorates = serializers.BooleanField(
        help_text="Fees of the period that it began in are shared by the second with the term before; else that one "
        "keeps them."
    )


class ChangeOutput(serializers.Serializer[SubscriptionChange]):
    what = serializers.CharField()
    status_before = serializers.CharField()
    status_after = serializers.CharField()
    actor = serializers.CharField()
    reason = serializers.CharField()
    details = serializers.DictField()
    occurred_at = InstantField()


SUBSCRIPTION_EXAMPLE: Final[dict[str, Any]] = {
    "id": "sub_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_customer_id": "acme_corp",
    "plan_id": "plan_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "plan_version": None,
    "plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "price_plan_id": None,
    "billing_mode": "postpaid",
    "billing_cycle": "monthly",
    "status": "active",
    "start_date": "2026-04-13T00:00:00Z",
    "started_at": "2026-04-13T00:00:00Z",
    "current_period_start": "2026-04-13T00:00:00Z",
    "current_period_end": "2026-05-13T00:00:00Z",
    "trial_ends_at": None,
    "contract_start": "2026-04-13T00:00:00Z",
    "contract_end": "2027-04-13T00:00:00Z",
    "contract_ending_soon_days": 30,
    "is_renewed": False,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "ended_at": None,
    "paused_at": None,
    "resumes_at": None,
    "pending_plan_variant_id": None,
    "pending_price_plan_id": None,
    "pending_price_plan_version": None,
    "invoices_automatically": False,
    "follows_subscription_id": None,
    "external_subscription_id": "your_contract_ref_123",
    "next_due_at": "2026-05-13T00:00:00Z",
    "failed_at": None,
    "failure": "",
    "metadata": {"account_manager": "jane@yourcompany.com"},
    "created_at": "2026-04-13T00:00:00Z",
    "updated_at": "2026-04-13T00:00:00Z",
}
OUTCOME_EXAMPLE: Final[dict[str, Any]] = {
    **SUBSCRIPTION_EXAMPLE,
    "preview": False,
    "credits_granted": 100000000,
    "balance": 100000000,
    "effective_balance": 100000000,
    "warnings": [],
}
PERIOD_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-04-13T00:00:00Z",
    "end": "2026-05-13T00:00:00Z",
    "plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "price_plan_id": None,
    "price_plan_version": None,
    "renewed_at": None,
    "external_payment_id": None,
    "opening_balance": 100000000,
    "usage_summary": {
        "total_credits_consumed": 12500000,
        "net_balance_at_cycle_start": 100000000,
        "net_balance_at_cycle_end": 87500000,
        "by_billable_metric": {"api_call": {"units": 15000, "credits": 12500000}},
    },
    "closed_at": "2026-05-13T00:00:00Z",
}
PRICE_TERM_EXAMPLE: Final[dict[str, Any]] = {
    "plan_id": "plan_growth",
    "plan_version": 1,
    "start": "2026-04-01T00:00:00Z",
    "end": None,
    "prorates": True,
}
CHANGE_EXAMPLE: Final[dict[str, Any]] = {
    "what": "paused",
    "status_before": "active",
    "status_after": "paused",
    "actor": "user:operator",
    "reason": "asked by phone",
    "details": {"resumes_at": None},
    "occurred_at": "2026-04-20T09:01:00Z",
}
