"""The limits above which a deed needs a second person: a table of roles and deeds, and a form to change one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from customers.admin.dialogs import Change, Dialog, Outcome, dialog_response
from customers.admin.fields import ReasonField
from customers.admin.records import Button, Page, Section
from customers.admin.requests import environment_of, of_admin
from customers.models import Approval
from customers.services.approval_deeds import UNLIMITED, ApprovalDeed, deeds
from customers.services.approval_limits import limit_set, limits_said

VIEW: Final = "customers.view_approval"
CHANGE: Final = "customers.change_approvallimit"
_AMOUNT, _ANY, _DEFAULT = "amount", "any", "default"
_HINT: Final = (
    "Up to which amount a role does a deed alone. Above it asks for approval. Of several roles the highest counts; "
    "superusers count as owners."
)


class LimitForm(forms.Form):
    role = forms.ChoiceField()
    deed = forms.ChoiceField(label="Deed")
    rule = forms.ChoiceField(
        label="Limit",
        choices=((_AMOUNT, "Up to the amount"), (_ANY, "Any amount"), (_DEFAULT, "The default again")),
    )
    amount = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=18,
        decimal_places=3,
        help_text="In credits, or in the main unit of the currency at hand. 0: always asks.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}),
    )
    reason = ReasonField()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        roles: Any = self.fields["role"]
        known: Any = self.fields["deed"]
        roles.choices = [(name, name) for name in _roles()]
        known.choices = [(deed.name, deed.label) for deed in deeds()]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("rule") == _AMOUNT and data.get("amount") is None and "amount" not in self.errors:
            self.add_error("amount", "Write the amount.")
        return data


def limit_urls(site: AdminSite) -> list[URLPattern]:
    pages = _Pages(site)
    return [
        path("limits/", site.admin_view(pages.table), name="customers_approval_limits"),
        path("limits/set/", site.admin_view(pages.change), name="customers_approval_limit_set"),
    ]


class _Pages:
    def __init__(self, site: AdminSite) -> None:
        self.site = site

    def table(self, request: HttpRequest) -> HttpResponse:
        environment = environment_of(request)
        if environment is None or not request.user.has_perm(VIEW):
            raise PermissionDenied
        may = request.user.has_perm(CHANGE)
        said = limits_said(environment_id=environment.id)
        roles = _roles()
        context = {
            "roles": roles,
            "rows": [
                {"deed": deed, "cells": [_cell(said, role, deed, may) for role in roles]} for deed in deeds()
            ],
        }
        page = Page(
            heading="Approval limits",
            kind=str(environment),
            sections=[
                Section(
                    "Limits", html=render_to_string("admin/purser/approval_limits.html", context), hint=_HINT
                )
            ],
            buttons=_buttons(may),
        )
        shown = {
            **self.site.each_context(request),
            "title": page.heading,
            "opts": Approval._meta,
            "page": page,
        }
        return TemplateResponse(request, "admin/purser/record.html", shown)

    def change(self, request: HttpRequest) -> HttpResponse:
        dialog = Dialog(
            title="Set a limit",
            submit="Set the limit",
            form=LimitForm,
            deed=lambda data, _key: _set(request, data),
            family="approval_limit.set",
            back=reverse("admin:customers_approval_limits"),
            subject=str(environment_of(request) or ""),
            intro="It counts from the next form on. Requests that wait already go on waiting.",
            has_preview=True,
            initial={"role": request.GET.get("role", ""), "deed": request.GET.get("deed", "")},
        )
        allowed = environment_of(request) is not None and request.user.has_perm(CHANGE)
        context = {**self.site.each_context(request), "opts": Approval._meta}
        return dialog_response(request, dialog, allowed=allowed, context=context)


def _roles() -> list[str]:
    return list(Group.objects.order_by("id").values_list("name", flat=True))


def _buttons(may: bool) -> list[Button]:
    if not may:
        return []
    url = reverse("admin:customers_approval_limit_set")
    return [Button("Set a limit", url, icon="edit", tone="primary", opens_dialog=True)]


def _limit(said: Mapping[tuple[str, str], Decimal], role: str, deed: ApprovalDeed) -> Decimal:
    return said.get((role, deed.name), deed.limits.get(role, Decimal(0)))


def _cell(
    said: Mapping[tuple[str, str], Decimal], role: str, deed: ApprovalDeed, may: bool
) -> dict[str, object]:
    asked = urlencode({"role": role, "deed": deed.name})
    return {
        "text": _text(_limit(said, role, deed)),
        "is_said": (role, deed.name) in said,
        "url": f"{reverse('admin:customers_approval_limit_set')}?{asked}" if may else "",
        "label": f"{deed.label}, {role}",
    }


def _text(limit: Decimal) -> str:
    if limit == UNLIMITED:
        return "any"
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:,f}"


def _set(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    asked = of_admin(request)
    deed = next(one for one in deeds() if one.name == data["deed"])
    before = _limit(limits_said(environment_id=asked.caller.environment_id), data["role"], deed)
    chosen = {_AMOUNT: data["amount"], _ANY: UNLIMITED, _DEFAULT: None}[data["rule"]]
    limit_set(
        caller=asked.caller,
        role=data["role"],
        deed=deed.name,
        amount=chosen,
        reason=data["reason"],
        now=asked.now,
    )
    after = _limit(limits_said(environment_id=asked.caller.environment_id), data["role"], deed)
    label = f"{deed.label}, {data['role']}"
    return Outcome(
        message=f"{label}: {_text(after)} {deed.unit} at once.",
        changes=[Change(label=label, before=_text(before), after=_text(after))],
        notes=tuple(_notes(deed)),
    )


def _notes(deed: ApprovalDeed) -> Iterator[str]:
    yield f"Counted in {deed.unit}, for each deed."
