"""API keys: issued and shown once, listed by hint, revoked for good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, instant_shown
from customers.admin.fields import InstantInput
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.models import ApiKey
from customers.services.api_keys import SCOPES, api_key_issue, api_key_revoke


class ApiKeyForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="Who uses it, or for what.")
    scopes = forms.MultipleChoiceField(
        required=False,
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: everything.",
    )
    expires_at = InstantInput(required=False, label="Expires (UTC)", help_text="Empty: never.")


class KeyStateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("working", "Working"), ("revoked", "Revoked"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = system_now()
        if self.value() == "revoked":
            return queryset.filter(revoked_at__isnull=False)
        if self.value() == "expired":
            return queryset.filter(revoked_at__isnull=True, expires_at__lte=now)
        if self.value() == "working":
            return queryset.filter(
                Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True
            )
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(RecordAdmin):
    noun, nouns = "API key", "API keys"
    id_prefix = "key"
    icon = "key"
    list_display = ("name_shown", "hint_shown", "state", "scopes_shown", "used", "expires", "created")
    list_display_links = ("name_shown",)
    list_filter = (KeyStateFilter,)
    search_fields = ("name",)
    search_help_text = "Name, last four letters or id (key_…)"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return super().search(request, rows, term) | rows.filter(
            Q(name__icontains=term) | Q(hint__endswith=term)
        )

    @admin.display(description="Name")
    def name_shown(self, key: ApiKey) -> str:
        return key.name

    @admin.display(description="Key")
    def hint_shown(self, key: ApiKey) -> SafeString:
        return code(key.hint)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        return state_badge(key, system_now())

    @admin.display(description="Scopes")
    def scopes_shown(self, key: ApiKey) -> str:
        return f"{len(key.scopes)} of {len(SCOPES)}" if key.scopes else "Everything"

    @admin.display(description="Last used")
    def used(self, key: ApiKey) -> SafeString:
        return instant_shown(key.last_used_at)

    @admin.display(description="Expires")
    def expires(self, key: ApiKey) -> SafeString:
        return instant_shown(key.expires_at)

    @admin.display(description="Created")
    def created(self, key: ApiKey) -> SafeString:
        return instant_shown(key.created_at)

    def page(self, request: HttpRequest, record: ApiKey) -> Page:
        scopes = format_html_join(" ", "{}", ((badge(scope),) for scope in record.scopes)) or "Everything"
        facts = [
            Fact("Name", record.name),
            Fact("Id", copyable(record.public_id)),
            Fact("Key", code(record.hint), "the secret was shown once and is not stored"),
            Fact("Scopes", scopes),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Last used", instant_shown(record.last_used_at), "to the minute"),
            Fact("Expires", instant_shown(record.expires_at)),
            Fact("Revoked", instant_shown(record.revoked_at)),
        ]
        return Page(
            heading=record.name,
            kind="API key",
            badges=[state_badge(record, system_now())],
            sections=[Section("API key", facts)],
            buttons=self._buttons(request, record),
        )

    def _buttons(self, request: HttpRequest, key: ApiKey) -> list[Button]:
        if key.revoked_at or not request.user.has_perm("customers.change_apikey"):
            return []
        url = reverse("admin:customers_apikey_revoke", args=[key.public_id])
        return [Button("Revoke", url, icon="block", tone="danger", opens_dialog=True)]

    # --- Issue

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.add_apikey") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="Issue an API key",
            submit="Issue key",
            form=ApiKeyForm,
            deed=partial(_issue, request),
            family="api_key.issue",
            back=list_url(ApiKey),
            subject=str(environment_of(request)),
            intro="The secret is shown once, on the next screen. Only a hash of it is stored.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    # --- Revoke

    def further_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<str:object_id>/revoke/", view, name="customers_apikey_revoke")]

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.found_or_404(request, object_id)
        dialog = Dialog(
            title="Revoke API key",
            submit="Revoke key",
            form=ReasonForm,
            deed=partial(_revoke, request, key),
            family="api_key.revoke",
            back=record_url(ApiKey, key.public_id),
            subject=f"{key.name} {key.hint}",
            intro="Whatever uses this key stops working within seconds. It cannot be undone; issue a new key first.",
            is_danger=True,
        )
        return self.dialog_answer(request, dialog, allowed=request.user.has_perm("customers.change_apikey"))


def state_badge(key: ApiKey, now: datetime) -> SafeString:
    """By the wall clock, as keys live."""
    if key.revoked_at:
        return badge("Revoked", "bad")
    return (
        badge("Expired", "warning") if key.expires_at and key.expires_at <= now else badge("Working", "good")
    )


def _issue(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    issued = api_key_issue(
        caller=caller_of(request),
        name=data["name"],
        scopes=data["scopes"],
        expires_at=data["expires_at"],
        now=of_admin(request).now,
    )
    return Outcome(
        message=f"The key {issued.key.name} was issued.",
        effect_id=issued.key.id,
        url=record_url(ApiKey, issued.key.public_id),
        secrets={issued.key.name: issued.secret},
    )


def _revoke(request: HttpRequest, key: ApiKey, data: Mapping[str, Any], _key: str) -> Outcome:
    api_key_revoke(caller=caller_of(request), key_id=key.id, reason=data["reason"], now=of_admin(request).now)
    return Outcome(message=f"The key {key.name} is revoked.", effect_id=key.id)
