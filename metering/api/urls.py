from __future__ import annotations

from django.urls import URLPattern, path

from customers.api.paths import customer_paths
from metering.api import (
    entitlements,
    entitlements_many,
    events,
    metrics,
    previews,
    reservations,
    rules,
    usage,
    usage_queries,
)

urlpatterns: list[URLPattern] = [
    path("v1/billable-metrics", metrics.Metrics.as_view(), name="billable-metrics"),
    path("v1/billable-metrics/<str:key>", metrics.MetricDetail.as_view(), name="billable-metric"),
    path("v1/metrics", metrics.Metrics.as_view(), name="metrics"),
    path("v1/metrics/<str:key>", metrics.MetricDetail.as_view(), name="metric"),
    path("v1/metering-rules", rules.Rules.as_view(), name="metering-rules"),
    path("v1/metering-rules/preview", previews.RulePreview.as_view(), name="metering-rule-preview"),
    path("v1/metering-rules/<str:rule_id>", rules.RuleDetail.as_view(), name="metering-rule"),
    path("v1/usage", usage.usage_create, name="usage"),
    path("v1/usage/batch", usage.usage_batch, name="usage-batch"),
    path("v1/events", events.Events.as_view(), name="events"),
    path("v1/events/batch", events.events_batch, name="events-batch"),
    path("v1/events/backfill", events.events_backfill, name="events-backfill"),
    path("v1/events/<str:event_id>", events.EventDetail.as_view(), name="event"),
    path("v1/events/<str:event_id>/void", events.EventVoidView.as_view(), name="event-void"),
    path("v1/reserve", reservations.reserve, name="reserve"),
    path("v1/reserve/<str:reservation_id>", reservations.reservation_show, name="reservation"),
    path(
        "v1/reserve/<str:reservation_id>/commit", reservations.reservation_commit, name="reservation-commit"
    ),
    path(
        "v1/reserve/<str:reservation_id>/release",
        reservations.reservation_release,
        name="reservation-release",
    ),
    path(
        "v1/reserve/<str:reservation_id>/extend", reservations.reservation_extend, name="reservation-extend"
    ),
    *customer_paths("reservations", reservations.CustomerReservations.as_view(), name="reservations"),
    path("v1/usage/summary", usage_queries.usage_summary_show, name="usage-summary"),
    path("v1/usage/compute", usage_queries.usage_compute_show, name="usage-compute"),
    *customer_paths("usage", usage_queries.customer_usage_show, name="customer-usage"),
    path("v1/entitlements/query", entitlements_many.entitlements_show, name="entitlements-query"),
    *customer_paths("entitlements/<str:metric_key>", entitlements.entitlement_show, name="entitlement"),
]
