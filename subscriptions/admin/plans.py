"""Plans: named, sold in variants, archived; never deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import copyable, credits_text, instant_shown, json_shown, text_or_nothing
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from subscriptions.admin.plan_forms import PlanForm, VariantForm
from subscriptions.admin.terms_text import (
    billing_text,
    plan_badge,
    price_shown,
    variant_badge,
    when_text,
)
from subscriptions.models import Plan, PlanVariant
from subscriptions.selectors.catalogue import variants_shown, variants_sold
from subscriptions.selectors.subscribers import plans_with_subscribers, variants_with_subscribers
from subscriptions.services.plan_variants import variant_create
from subscriptions.services.plans import plan_archive, plan_create, plan_unarchive, plan_update


class SoldFilter(admin.SimpleListFilter):
    """Of plans, and of variants."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("sold", "Sold"), ("archived", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in {"sold", "archived"}:
            return queryset.filter(archived_at__isnull=self.value() == "sold")
        return queryset


@admin.register(Plan)
class PlanAdmin(RecordAdmin):
    noun, nouns = "plan", "plans"
    id_prefix = "plan"
    icon = "inventory_2"
    list_display = ("name_shown", "variants_shown", "subscribers_shown", "status_shown", "created")
    list_display_links = ("name_shown",)
    list_filter = (SoldFilter,)
    search_fields = ("name",)
    search_help_text = "Name or id (plan_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return plans_with_subscribers(super().get_queryset(request).filter(price_plan=None))

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return super().search(request, rows, term) | rows.filter(name__icontains=term)

    @admin.display(description="Plan")
    def name_shown(self, plan: Plan) -> str:
        return plan.name

    @admin.display(description="Variants")
    def variants_shown(self, plan: Any) -> str:
        return f"{plan.variants_sold:,}"

    @admin.display(description="Subscribers")
    def subscribers_shown(self, plan: Any) -> str:
        return f"{plan.subscribers:,}"

    @admin.display(description="Status")
    def status_shown(self, plan: Plan) -> SafeString:
        return plan_badge(plan)

    @admin.display(description="Created")
    def created(self, plan: Plan) -> SafeString:
        return instant_shown(plan.created_at)

    def page(self, request: HttpRequest, record: Any) -> Page:
        facts = [
            Fact("Name", record.name),
            Fact("Description", text_or_nothing(record.description)),
            Fact("Id", copyable(record.public_id)),
            Fact("Subscribers", f"{record.subscribers:,}", "on any version"),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Updated", instant_shown(record.updated_at)),
        ]
        return Page(
            heading=record.name,
            kind="Plan",
            badges=[plan_badge(record)],
            sections=[
                Section("Plan", facts),
                Section("Variants", html=_variants_html(record), hint="On what terms it is sold."),
                *_json_sections(record),
            ],
            buttons=self._buttons(request, record),
        )

    def _buttons(self, request: HttpRequest, plan: Plan) -> list[Button]:
        if not self._may_change(request):
            return []
        edit = Button("Edit", self._url("edit", plan), icon="edit", opens_dialog=True)
        if plan.archived_at:
            return [
                edit,
                Button("Sell again", self._url("unarchive", plan), icon="unarchive", opens_dialog=True),
            ]
        return [
            Button("New variant", self._url("sell", plan), icon="add", tone="primary", opens_dialog=True),
            edit,
            Button("Archive", self._url("archive", plan), icon="archive", tone="danger", opens_dialog=True),
        ]

    def _url(self, deed: str, plan: Plan) -> str:
        return reverse(f"admin:subscriptions_plan_{deed}", args=[plan.public_id])

    def _may_change(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("subscriptions.change_plan"))

    # --- Deeds

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.add_plan") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="New plan",
            submit="Create plan",
            form=PlanForm,
            deed=partial(_create, request),
            family="plan.create",
            back=list_url(Plan),
            intro="A name under which something is sold. On what terms is said by its variants.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, _DEEDS)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        plan = self.found_or_404(request, object_id)
        title, submit, form, act = _DEEDS[deed]
        dialog = Dialog(
            title=title,
            submit=submit,
            form=partial(VariantForm, fallbacks=fallbacks(request)) if deed == "sell" else form,
            deed=partial(act, request, plan),
            family=f"plan.{deed}",
            back=record_url(Plan, plan.public_id),
            subject=plan.name,
            is_danger=deed == "archive",
            initial={} if deed == "sell" else _initial(plan),
        )
        return self.dialog_answer(request, dialog, allowed=self._may_change(request))


def fallbacks(request: HttpRequest, *, except_for: PlanVariant | None = None) -> list[tuple[str, str]]:
    """The variants that one may fall back to, by id, for a choice."""
    sold = variants_sold(environment_id=caller_of(request).environment_id)
    if except_for is not None:
        sold = sold.exclude(family=except_for.family)
    return [(str(variant.id), f"{variant.plan.name} · {variant}") for variant in sold]


def _variants_html(plan: Plan) -> str:
    variants: QuerySet[PlanVariant] = variants_shown(environment_id=plan.environment_id)
    present = variants_with_subscribers(variants.filter(plan_id=plan.id, superseded_at=None)).order_by("id")
    return render_to_string(
        "admin/purser/plan_variants.html", {"rows": [_variant_row(variant) for variant in present]}
    )


def _variant_row(variant: Any) -> dict[str, Any]:
    return {
        "variant": variant,
        "url": record_url(PlanVariant, variant.public_id),
        "billing": billing_text(variant),
        "price": price_shown(variant),
        "grants": [
            {"credits": credits_text(grant.credits_mc), "when": when_text(grant)}
            for grant in variant.grants_shown
        ],
        "older": variant.subscribers_in_all - variant.subscribers,
        "badge": variant_badge(variant),
    }


def _json_sections(plan: Plan) -> list[Section]:
    """What the tenant wrote of the plan, if anything."""
    both = (
        ("Features", plan.features, "What it includes beside credits."),
        ("Metadata", plan.metadata, ""),
    )
    return [Section(title, html=json_shown(value), hint=hint) for title, value, hint in both if value]


def _initial(plan: Plan) -> dict[str, Any]:
    return {"name": plan.name, "description": plan.description, "features": plan.features or ""}


def _create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    plan = plan_create(caller=caller_of(request), terms=data, now=of_admin(request).now)
    return Outcome(
        message=f"The plan {plan.name} was created.",
        effect_id=plan.id,
        url=record_url(Plan, plan.public_id),
    )


def _edit(request: HttpRequest, plan: Plan, data: Mapping[str, Any], _key: str) -> Outcome:
    plan_update(caller=caller_of(request), plan_id=plan.id, terms=data, now=of_admin(request).now)
    return Outcome(message="Saved.", effect_id=plan.id)


def _archive(request: HttpRequest, plan: Plan, data: Mapping[str, Any], _key: str) -> Outcome:
    plan_archive(caller=caller_of(request), plan_id=plan.id, reason=data["reason"], now=of_admin(request).now)
    return Outcome(message=f"{plan.name} is sold no more.", effect_id=plan.id)


def _unarchive(request: HttpRequest, plan: Plan, data: Mapping[str, Any], _key: str) -> Outcome:
    plan_unarchive(
        caller=caller_of(request), plan_id=plan.id, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(message=f"{plan.name} is sold again.", effect_id=plan.id)


def _sell(request: HttpRequest, plan: Plan, data: Mapping[str, Any], _key: str) -> Outcome:
    variant = variant_create(
        caller=caller_of(request), plan_id=plan.id, terms=data, now=of_admin(request).now
    )
    return Outcome(
        message=f"{plan.name} is sold as {variant.name}.",
        effect_id=variant.id,
        url=record_url(PlanVariant, variant.public_id),
    )


_Deed = Callable[[HttpRequest, Plan, Mapping[str, Any], str], Outcome]
_DEEDS: Final[Mapping[str, tuple[str, str, Callable[..., forms.Form], _Deed]]] = {
    "edit": ("Edit plan", "Save", PlanForm, _edit),
    "archive": ("Archive plan", "Archive", ReasonForm, _archive),
    "unarchive": ("Sell the plan again", "Sell again", ReasonForm, _unarchive),
    "sell": ("New variant", "Create variant", VariantForm, _sell),
}
