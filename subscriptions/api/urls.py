from __future__ import annotations

from typing import Final

from django.urls import URLPattern, path

from customers.api.paths import customer_paths
from subscriptions.api import credit_grants, plan_variants, plans, wind_down

_PLAN: Final = "v1/plans/<str:plan_id>"
_VARIANT: Final = f"{_PLAN}/variants/<str:variant_id>"
_GRANT: Final = f"{_VARIANT}/credit-grants/<str:grant_id>"

urlpatterns: list[URLPattern] = [
    path("v1/plans", plans.Plans.as_view(), name="plans"),
    path(_PLAN, plans.PlanDetail.as_view(), name="plan"),
    path(f"{_PLAN}/archive", plans.PlanArchive.as_view(), name="plan-archive"),
    path(f"{_PLAN}/variants", plan_variants.PlanVariants.as_view(), name="plan-variants"),
    path(_VARIANT, plan_variants.PlanVariantDetail.as_view(), name="plan-variant"),
    path(f"{_VARIANT}/archive", plan_variants.PlanVariantArchive.as_view(), name="plan-variant-archive"),
    path(f"{_VARIANT}/credit-grants", credit_grants.CreditGrants.as_view(), name="credit-grants"),
    path(_GRANT, credit_grants.CreditGrantDetail.as_view(), name="credit-grant"),
    path(f"{_GRANT}/archive", credit_grants.CreditGrantArchive.as_view(), name="credit-grant-archive"),
    *customer_paths("wind-down", wind_down.CustomerWindDown.as_view(), name="wind-down"),
]
