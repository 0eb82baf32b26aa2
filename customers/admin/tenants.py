"""Tenants and their two environments. These lists show all of them: they are what one chooses from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from customers.admin import test_clock
from customers.admin.dialogs import Dialog, Outcome
from customers.admin.display import badge, copyable, instant_shown
from customers.admin.records import Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import address_of, of_admin
from customers.kernel.clock import system_now
from customers.models import Environment, EnvironmentKind, Tenant
from customers.services.tenants import tenant_create


class TenantForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="The company that sells something.")


@admin.register(Tenant)
class TenantAdmin(RecordAdmin):
    noun, nouns = "tenant", "tenants"
    icon = "apartment"
    list_display = ("name_shown", "environments_shown", "created")
    list_display_links = ("name_shown",)
    search_fields = ("name",)
    search_help_text = "Name"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        rows: QuerySet[Tenant] = super().get_queryset(request).prefetch_related("environments")
        return rows

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(name__icontains=term)

    @admin.display(description="Tenant")
    def name_shown(self, tenant: Tenant) -> str:
        return tenant.name

    @admin.display(description="Environments")
    def environments_shown(self, tenant: Tenant) -> SafeString:
        return format_html_join(" ", "{}", ((kind_badge(one),) for one in tenant.environments.all()))

    @admin.display(description="Created")
    def created(self, tenant: Tenant) -> SafeString:
        return instant_shown(tenant.created_at)

    def page(self, request: HttpRequest, record: Tenant) -> Page:
        facts = [
            Fact("Name", record.name),
            Fact("Id", copyable(str(record.id))),
            Fact("Environments", self.environments_shown(record)),
            Fact("Created", instant_shown(record.created_at)),
        ]
        return Page(heading=record.name, kind="Tenant", sections=[Section("Tenant", facts)])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.add_tenant")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="New tenant",
            submit="Create tenant",
            form=TenantForm,
            deed=partial(_tenant_create, request),
            family="tenant.create",
            back=list_url(Tenant),
            intro="Makes a live and a test environment, fully apart, and one API key for each.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))


def _tenant_create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    made = tenant_create(
        actor=f"user:{of_admin(request).user.get_username()}",
        name=data["name"],
        request_id=of_admin(request).request_id,
        address=address_of(request),
        now=system_now(),
    )
    return Outcome(
        message=f"{made.tenant.name} was created, with a key for each environment.",
        effect_id=made.tenant.id,
        url=record_url(Tenant, made.tenant.id),
        secrets={"Test key": made.test_key.secret, "Live key": made.live_key.secret},
    )


def kind_badge(environment: Environment) -> SafeString:
    """`Live` or `Test`, in their colours."""
    is_live = environment.kind == EnvironmentKind.LIVE
    return badge(environment.get_kind_display(), "live" if is_live else "test")


@admin.register(Environment)
class EnvironmentAdmin(RecordAdmin):
    noun, nouns = "environment", "environments"
    icon = "lan"
    list_display = ("name_shown", "kind_shown", "clock", "config_version", "created")
    list_display_links = ("name_shown",)
    list_select_related = ("tenant",)
    ordering = ("tenant__name", "kind")

    def further_urls(self) -> list[URLPattern]:
        return test_clock.urls(self.admin_site.admin_view)

    @admin.display(description="Tenant")
    def name_shown(self, environment: Environment) -> str:
        return environment.tenant.name

    @admin.display(description="Environment")
    def kind_shown(self, environment: Environment) -> SafeString:
        return kind_badge(environment)

    @admin.display(description="Test clock")
    def clock(self, environment: Environment) -> SafeString:
        return instant_shown(environment.frozen_at)

    @admin.display(description="Created")
    def created(self, environment: Environment) -> SafeString:
        return instant_shown(environment.created_at)

    def page(self, request: HttpRequest, record: Environment) -> Page:
        facts = [
            Fact("Tenant", record.tenant.name),
            Fact("Environment", kind_badge(record)),
            Fact("Id", copyable(str(record.id))),
            Fact("Test clock", instant_shown(record.frozen_at), "none: the system's clock"),
            Fact(
                "Configuration version",
                record.config_version,
                "goes up with every change of keys, metrics and rules",
            ),
            Fact("Created", instant_shown(record.created_at)),
        ]
        return Page(heading=str(record), kind="Environment", sections=[Section("Environment", facts)])
