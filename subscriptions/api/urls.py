from __future__ import annotations

from typing import Final

from django.urls import URLPattern, path

from customers.api.paths import customer_paths
from subscriptions.api import (
    credit_grants,
    features,
    invoice_explanations,
    invoices,
    plan_migrations,
    plan_variants,
    plans,
    price_plans,
    pricing,
    subscriptions,
    wind_down,
)
from subscriptions.api import subscription_actions as actions

_PLAN: Final = "v1/plans/<str:plan_id>"
_VARIANT: Final = f"{_PLAN}/variants/<str:variant_id>"
_GRANT: Final = f"{_VARIANT}/credit-grants/<str:grant_id>"
_PRICE_PLAN: Final = "v1/price-plans/<str:plan_id>"
_INVOICE: Final = "v1/invoices/<str:invoice_id>"
_ONE: Final = "v1/subscriptions/<str:subscription_id>"

urlpatterns: list[URLPattern] = [
    path("v1/plans", plans.Plans.as_view(), name="plans"),
    path(_PLAN, plans.PlanDetail.as_view(), name="plan"),
    path(f"{_PLAN}/migrate", plan_migrations.PlanMigrate.as_view(), name="plan-migrate"),
    path(f"{_PLAN}/archive", plans.PlanArchive.as_view(), name="plan-archive"),
    path(f"{_PLAN}/unarchive", plans.PlanUnarchive.as_view(), name="plan-unarchive"),
    path(f"{_PLAN}/variants", plan_variants.PlanVariants.as_view(), name="plan-variants"),
    path(_VARIANT, plan_variants.PlanVariantDetail.as_view(), name="plan-variant"),
    path(f"{_VARIANT}/archive", plan_variants.PlanVariantArchive.as_view(), name="plan-variant-archive"),
    path(
        f"{_VARIANT}/unarchive", plan_variants.PlanVariantUnarchive.as_view(), name="plan-variant-unarchive"
    ),
    path(f"{_VARIANT}/credit-grants", credit_grants.CreditGrants.as_view(), name="credit-grants"),
    path(_GRANT, credit_grants.CreditGrantDetail.as_view(), name="credit-grant"),
    path(f"{_GRANT}/archive", credit_grants.CreditGrantArchive.as_view(), name="credit-grant-archive"),
    path("v1/entitlements", features.Entitlements.as_view(), name="entitlements"),
    path("v1/entitlements/check", features.EntitlementCheck.as_view(), name="entitlement-check"),
    path("v1/price-plans", price_plans.PricePlans.as_view(), name="price-plans"),
    path(_PRICE_PLAN, price_plans.PricePlanDetail.as_view(), name="price-plan"),
    path(f"{_PRICE_PLAN}/archive", price_plans.PricePlanArchive.as_view(), name="price-plan-archive"),
    path(f"{_PRICE_PLAN}/unarchive", price_plans.PricePlanUnarchive.as_view(), name="price-plan-unarchive"),
    path(f"{_PRICE_PLAN}/migrate", price_plans.PricePlanMigrate.as_view(), name="price-plan-migrate"),
    path(f"{_PRICE_PLAN}/versions", price_plans.PricePlanVersions.as_view(), name="price-plan-versions"),
    path(
        f"{_PRICE_PLAN}/versions/<str:version>",
        price_plans.PricePlanVersionDetail.as_view(),
        name="price-plan-version",
    ),
    path(f"{_PRICE_PLAN}/what-if", pricing.PricePlanWhatIf.as_view(), name="price-plan-what-if"),
    path("v1/pricing/calculate", pricing.PricingCalculate.as_view(), name="pricing-calculate"),
    path("v1/pricing/preview", pricing.PricingPreview.as_view(), name="pricing-preview"),
    path("v1/invoices", invoices.Invoices.as_view(), name="invoices"),
    path("v1/invoices/bulk", invoices.InvoicesBulk.as_view(), name="invoices-bulk"),
    path(f"{_INVOICE}/explain", invoice_explanations.InvoiceExplain.as_view(), name="invoice-explain"),
    path(
        f"{_INVOICE}/lines/<str:line_id>/events",
        invoice_explanations.InvoiceLineEvents.as_view(),
        name="invoice-line-events",
    ),
    path("v1/subscriptions", subscriptions.Subscriptions.as_view(), name="subscriptions"),
    path(_ONE, subscriptions.SubscriptionDetail.as_view(), name="subscription"),
    path(f"{_ONE}/periods", subscriptions.SubscriptionPeriods.as_view(), name="subscription-periods"),
    path(
        f"{_ONE}/price-terms",
        subscriptions.SubscriptionPriceTerms.as_view(),
        name="subscription-price-terms",
    ),
    path(f"{_ONE}/changes", subscriptions.SubscriptionChanges.as_view(), name="subscription-changes"),
    path(f"{_ONE}/renew", actions.SubscriptionRenew.as_view(), name="subscription-renew"),
    path(f"{_ONE}/pause", actions.SubscriptionPause.as_view(), name="subscription-pause"),
    path(f"{_ONE}/resume", actions.SubscriptionResume.as_view(), name="subscription-resume"),
    path(f"{_ONE}/cancel", actions.SubscriptionCancel.as_view(), name="subscription-cancel"),
    path(f"{_ONE}/uncancel", actions.SubscriptionUncancel.as_view(), name="subscription-uncancel"),
    path(f"{_ONE}/change", actions.SubscriptionChangeVariant.as_view(), name="subscription-change"),
    path(f"{_ONE}/extend", actions.SubscriptionExtend.as_view(), name="subscription-extend"),
    path(f"{_ONE}/retry", actions.SubscriptionRetry.as_view(), name="subscription-retry"),
    *customer_paths(
        "subscriptions", subscriptions.CustomerSubscriptions.as_view(), name="customer-subscriptions"
    ),
    *customer_paths("wind-down", wind_down.CustomerWindDown.as_view(), name="wind-down"),
]
