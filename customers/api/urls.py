from __future__ import annotations

from django.urls import URLPattern, path

from customers.api import api_keys, customers, imports, jobs, test_clock, webhook_endpoints, webhook_events
from customers.api.paths import customer_paths

urlpatterns: list[URLPattern] = [
    path("v1/api-keys", api_keys.ApiKeys.as_view(), name="api-keys"),
    path("v1/api-keys/<str:key_id>", api_keys.ApiKeyDetail.as_view(), name="api-key"),
    path("v1/api-keys/<str:key_id>/revoke", api_keys.ApiKeyRevoke.as_view(), name="api-key-revoke"),
    path("v1/admin/api-keys", api_keys.ApiKeys.as_view(), name="admin-api-keys"),
    path("v1/admin/api-keys/<str:key_id>", api_keys.ApiKeyDetail.as_view(), name="admin-api-key"),
    path(
        "v1/admin/api-keys/<str:key_id>/revoke", api_keys.ApiKeyRevoke.as_view(), name="admin-api-key-revoke"
    ),
    path("v1/imports", imports.Imports.as_view(), name="imports"),
    path("v1/imports/<str:import_id>", imports.ImportDetail.as_view(), name="import"),
    path("v1/imports/<str:import_id>/rows", imports.ImportRows.as_view(), name="import-rows"),
    path("v1/imports/<str:import_id>/start", imports.ImportStart.as_view(), name="import-start"),
    path("v1/imports/<str:import_id>/reverse", imports.ImportReverse.as_view(), name="import-reverse"),
    path("v1/jobs", jobs.Jobs.as_view(), name="jobs"),
    path("v1/jobs/<str:job_id>", jobs.JobDetail.as_view(), name="job"),
    path("v1/jobs/<str:job_id>/results", jobs.JobResults.as_view(), name="job-results"),
    path("v1/jobs/<str:job_id>/cancel", jobs.JobCancel.as_view(), name="job-cancel"),
    path("v1/jobs/<str:job_id>/pause", jobs.JobPause.as_view(), name="job-pause"),
    path("v1/jobs/<str:job_id>/resume", jobs.JobResume.as_view(), name="job-resume"),
    path("v1/test-clock", test_clock.TestClock.as_view(), name="test-clock"),
    path("v1/test-clock/advance", test_clock.TestClockAdvance.as_view(), name="test-clock-advance"),
    path(
        "v1/test-clock/advance-to-next",
        test_clock.TestClockAdvanceToNext.as_view(),
        name="test-clock-advance-to-next",
    ),
    path("v1/webhook-endpoints", webhook_endpoints.WebhookEndpoints.as_view(), name="webhook-endpoints"),
    *(
        path(
            f"v1/webhook-endpoints/<str:endpoint_id>{ending}", view.as_view(), name=f"webhook-endpoint{name}"
        )
        for ending, view, name in (
            ("", webhook_endpoints.WebhookEndpointDetail, ""),
            ("/rotate-secret", webhook_endpoints.WebhookEndpointRotateSecret, "-rotate-secret"),
            ("/test", webhook_endpoints.WebhookEndpointTest, "-test"),
            ("/resume", webhook_endpoints.WebhookEndpointResumeView, "-resume"),
            ("/deliveries", webhook_endpoints.WebhookEndpointDeliveries, "-deliveries"),
        )
    ),
    path("v1/webhook-events", webhook_events.WebhookEvents.as_view(), name="webhook-events"),
    *(
        path(f"v1/webhook-{place}", view.as_view(), name=f"webhook-{name}")
        for place, view, name in (
            ("events/<str:event_id>", webhook_events.WebhookEventDetail, "event"),
            ("events/<str:event_id>/redeliver", webhook_events.WebhookEventRedeliver, "event-redeliver"),
            ("events/<str:event_id>/deliveries", webhook_events.WebhookEventDeliveries, "event-deliveries"),
            ("deliveries/<str:delivery_id>", webhook_events.WebhookDeliveryDetail, "delivery"),
            ("deliveries/<str:delivery_id>/retry", webhook_events.WebhookDeliveryRetry, "delivery-retry"),
        )
    ),
    path("v1/customers", customers.Customers.as_view(), name="customers"),
    # Last of all apps' routes: this reference takes whatever is left of a path.
    *customer_paths("", customers.CustomerDetail.as_view(), name="customer"),
]
