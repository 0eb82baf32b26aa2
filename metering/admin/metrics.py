"""Billable metrics: defined, renamed, switched off; never deleted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, instant_shown, text_or_nothing
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from metering.admin.rule_text import version_rows
from metering.models import Aggregation, BillableMetric, MetricStatus, UsageEvent
from metering.selectors.rules import rules_list
from metering.services.metrics import metric_create, metric_update


class MetricForm(forms.Form):
    key = forms.CharField(
        max_length=64,
        help_text="Permanent: letters a–z, digits, _ . and -, such as chat_message.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "p-mono"}),
    )
    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    aggregation = forms.ChoiceField(
        choices=Aggregation.choices,
        initial=Aggregation.SUM,
        help_text="How a period's events become one quantity on an invoice. Credits are charged per event in any case.",
    )
    aggregation_property = forms.CharField(
        required=False,
        max_length=255,
        label="Property",
        help_text="Only for unique count: the property whose values count.",
    )
    percentile = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=100,
        max_digits=13,
        decimal_places=10,
        help_text="Only for percentile.",
    )


class MetricChangeForm(forms.Form):
    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    status = forms.ChoiceField(
        choices=MetricStatus.choices, help_text="Inactive: no new events. What there is stays."
    )


@admin.register(BillableMetric)
class BillableMetricAdmin(RecordAdmin):
    noun, nouns = "metric", "metrics"
    id_prefix = "met"
    icon = "speed"
    list_display = ("key_shown", "name_shown", "aggregation_shown", "status_shown", "created")
    list_display_links = ("key_shown",)
    list_filter = ("status", "aggregation")
    search_fields = ("key",)
    search_help_text = "Key, name or id (met_…)"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return (
            super().search(request, rows, term)
            | rows.filter(key__icontains=term)
            | rows.filter(name__icontains=term)
        )

    @admin.display(description="Metric")
    def key_shown(self, metric: BillableMetric) -> SafeString:
        return code(metric.key)

    @admin.display(description="Name")
    def name_shown(self, metric: BillableMetric) -> str:
        return metric.name

    @admin.display(description="Aggregation")
    def aggregation_shown(self, metric: BillableMetric) -> str:
        return metric.get_aggregation_display()

    @admin.display(description="Status")
    def status_shown(self, metric: BillableMetric) -> SafeString:
        return status_badge(metric)

    @admin.display(description="Created")
    def created(self, metric: BillableMetric) -> SafeString:
        return instant_shown(metric.created_at)

    def page(self, request: HttpRequest, record: BillableMetric) -> Page:
        facts = [
            Fact("Key", copyable(record.key), "permanent"),
            Fact("Name", record.name),
            Fact("Description", text_or_nothing(record.description)),
            Fact("Aggregation", record.get_aggregation_display(), "on invoices"),
            Fact("Id", copyable(record.public_id)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Updated", instant_shown(record.updated_at)),
        ]
        rules = Section(
            "Metering rules", html=rules_html(request, record), hint="What it costs in credits, newest first."
        )
        return Page(
            heading=record.name,
            kind="Metric",
            badges=[status_badge(record)],
            sections=[Section("Metric", facts), rules],
            buttons=list(self._buttons(request, record)),
        )

    def _buttons(self, request: HttpRequest, metric: BillableMetric) -> list[Button]:
        buttons = [Button("Usage events", list_url(UsageEvent, metric=metric.key), icon="bolt")]
        if request.user.has_perm("metering.add_meteringrule"):
            url = f"{reverse('admin:metering_meteringrule_add')}?metric={metric.key}"
            buttons.append(Button("New rule", url, icon="sell", tone="primary", opens_dialog=True))
        if request.user.has_perm("metering.change_billablemetric"):
            url = reverse("admin:metering_billablemetric_edit", args=[metric.public_id])
            buttons.append(Button("Edit", url, icon="edit", opens_dialog=True))
        return buttons

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("metering.add_billablemetric") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="New metric",
            submit="Create metric",
            form=MetricForm,
            deed=partial(_create, request),
            family="metric.create",
            back=list_url(BillableMetric),
            intro="Something you count. What it costs is said by a metering rule.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    def further_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.edit_view)
        return [path("<str:object_id>/edit/", view, name="metering_billablemetric_edit")]

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = self.found_or_404(request, object_id)
        dialog = Dialog(
            title="Edit metric",
            submit="Save",
            form=MetricChangeForm,
            deed=partial(_update, request, metric),
            family="metric.update",
            back=record_url(BillableMetric, metric.public_id),
            subject=metric.key,
            initial={"name": metric.name, "description": metric.description, "status": metric.status},
        )
        return self.dialog_answer(
            request, dialog, allowed=request.user.has_perm("metering.change_billablemetric")
        )


def status_badge(metric: BillableMetric) -> SafeString:
    return badge(metric.get_status_display(), "good" if metric.status == MetricStatus.ACTIVE else "neutral")


def rules_html(request: HttpRequest, metric: BillableMetric) -> str:
    """All versions of all rules of a metric."""
    rules = rules_list(now=of_admin(request).now).filter(metric=metric).order_by("-id")[:50]
    return render_to_string("admin/purser/rule_versions.html", {"rows": version_rows(rules)})


def _create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    metric = metric_create(
        caller=caller_of(request),
        key=data["key"],
        name=data["name"],
        description=data["description"],
        aggregation=data["aggregation"],
        aggregation_property=data["aggregation_property"] or None,
        percentile=data["percentile"],
        now=of_admin(request).now,
    )
    return Outcome(
        message=f"The metric {metric.key} was created.",
        effect_id=metric.id,
        url=record_url(BillableMetric, metric.public_id),
    )


def _update(request: HttpRequest, metric: BillableMetric, data: Mapping[str, Any], _key: str) -> Outcome:
    metric_update(
        caller=caller_of(request),
        key=metric.key,
        name=data["name"],
        description=data["description"],
        status=data["status"],
        now=of_admin(request).now,
    )
    return Outcome(message="Saved.")
