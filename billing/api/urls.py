from __future__ import annotations

from django.urls import URLPattern

from billing.api import balance, credits
from customers.api.paths import customer_paths

urlpatterns: list[URLPattern] = [
    *customer_paths("credits/grant", credits.CreditsGrant.as_view(), name="credits-grant"),
    *customer_paths("credits/adjust", credits.CreditsAdjust.as_view(), name="credits-adjust"),
    *customer_paths("credits/history", credits.CreditsHistory.as_view(), name="credits-history"),
    *customer_paths("credits", balance.credits_show, name="credits"),
]
