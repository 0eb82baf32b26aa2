from __future__ import annotations

from django.urls import URLPattern

from customers.api.paths import customer_paths
from subscriptions.api import wind_down

urlpatterns: list[URLPattern] = [
    *customer_paths("wind-down", wind_down.CustomerWindDown.as_view(), name="wind-down"),
]
