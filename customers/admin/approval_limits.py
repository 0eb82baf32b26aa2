"""The limits above which a deed needs a second person: a table of roles and deeds, and a form to change one."""

from __future__ import annotations

import re
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
from customers.services.approval_limits import limit_for, limit_set, limits_said

VIEW: Final = "customers.view_approval"
CHANGE: Final = "customers.change_approvallimit"
_AMOUNT, _ANY, _DEFAULT = "amount", "any", "default"
_CURRENCY: Final = re.compile("[a-z]{3}")
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
    currency = forms.CharField(
        required=False,
        max_length=3,
        help_text="For deeds with money: such as EUR. Empty: every currency that has no limit of its own.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = ReasonField()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        roles: Any = self.fields["role"]
        known: Any = self.fields["deed"]
        roles.choices = [(name, name) for name in _roles()]
        known.choices = [(deed.name, deed.label) for deed in deeds()]

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"].strip().lower()
        if currency and not _CURRENCY.fullmatch(currency):
            raise forms.ValidationError("Write a currency's three letters.", code="invalid")
        return currency

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
            "rows": [_row(said, roles, deed, currency, may) for deed, currency in _lines(said)],
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
            initial={name: request.GET.get(name, "") for name in ("role", "deed", "currency")},
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


_Said = Mapping[tuple[str, str, str], Decimal]


def _lines(said: _Said) -> Iterator[tuple[ApprovalDeed, str]]:
    """Each deed, and then the currencies that somebody has said something for."""
    for deed in deeds():
        yield deed, ""
        for currency in sorted({key[2] for key in said if key[1] == deed.name and key[2]}):
            yield deed, currency


def _row(said: _Said, roles: list[str], deed: ApprovalDeed, currency: str, may: bool) -> dict[str, object]:
    return {
        "label": deed.label,
        "unit": deed.unit_in(currency),
        "cells": [_cell(said, role, deed, currency, may) for role in roles],
    }


def _cell(said: _Said, role: str, deed: ApprovalDeed, currency: str, may: bool) -> dict[str, object]:
    asked = urlencode({"role": role, "deed": deed.name, "currency": currency.upper()})
    return {
        "text": _text(limit_for(said, role, deed, currency)),
        "is_said": (role, deed.name, currency) in said,
        "standing": "as for all" if currency else "default",
        "url": f"{reverse('admin:customers_approval_limit_set')}?{asked}" if may else "",
        "label": f"{deed.label}, {role}{', ' if currency else ''}{currency.upper()}",
    }


def _text(limit: Decimal) -> str:
    if limit == UNLIMITED:
        return "any"
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:,f}"


def _set(request: HttpRequest, data: Mapping[str, Any]) -> Outcome:
    asked = of_admin(request)
    deed = next(one for one in deeds() if one.name == data["deed"])
    role, currency = data["role"], data["currency"]

    def standing() -> str:
        return _text(limit_for(limits_said(environment_id=asked.caller.environment_id), role, deed, currency))

    before = standing()
    limit_set(
        caller=asked.caller,
        role=role,
        deed=deed.name,
        currency=currency,
        amount={_AMOUNT: data["amount"], _ANY: UNLIMITED, _DEFAULT: None}[data["rule"]],
        reason=data["reason"],
        now=asked.now,
    )
    after, label = standing(), f"{deed.label}, {role}"
    return Outcome(
        message=f"{label}: {after} {deed.unit_in(currency)} at once.",
        changes=[Change(label=label, before=before, after=after)],
        notes=(f"Counted in {deed.unit_in(currency)}, for each deed.",),
    )
