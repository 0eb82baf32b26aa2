from django.urls import path

from benchmarks.naive.api import BalanceView, EntitlementView, UsageView

_CUSTOMER = "v1/customer-by-external-id/<str:external_id>"

urlpatterns = [
    path("v1/usage", UsageView.as_view()),
    path(f"{_CUSTOMER}/entitlements/<str:metric_key>", EntitlementView.as_view()),
    path(f"{_CUSTOMER}/credits", BalanceView.as_view()),
]
