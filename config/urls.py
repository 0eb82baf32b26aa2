"""All paths. Apps in the order of the stack: the customers' own routes take what is left of a path, so come last."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from config import faults, health
from config.openapi import DocsView, ReferenceView, openapi_document
from customers.admin import single_sign_on
from customers.api import problem_pages
from customers.api.webhook_catalogue import webhooks_page

handler400 = faults.bad_request
handler404 = faults.not_found
handler500 = faults.server_error

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("docs", DocsView.as_view(), name="docs"),
    path("docs/webhooks", webhooks_page, name="webhooks-page"),
    path("redoc", ReferenceView.as_view(), name="redoc"),
    path("problems", problem_pages.problem_index, name="problems"),
    path("problems/<slug:code>", problem_pages.problem_page, name="problem"),
    path("v1/openapi.json", openapi_document, name="openapi"),
    path("admin/login/single-sign-on/", single_sign_on.begin, name="single_sign_on"),
    path("admin/login/single-sign-on/answer/", single_sign_on.answer, name="single_sign_on_answer"),
    path("admin/", admin.site.urls),
    path("", include("subscriptions.api.urls")),
    path("", include("metering.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("customers.api.urls")),
    re_path(r"^v1/", csrf_exempt(faults.no_such_path)),
]
