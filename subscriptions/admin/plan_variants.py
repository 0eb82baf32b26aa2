"""Plan variants: their terms, their credit grants and their versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import (
    NOTHING,
    copyable,
    credits_shown,
    credits_text,
    instant_shown,
    json_shown,
    link,
    text_or_nothing,
)
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, record_url
from customers.admin.requests import of_admin
from customers.kernel.ids import typeid, typeid_parse
from metering.admin.rule_text import price_text
from metering.models import MeteringRule
from metering.selectors.rules import rules_list
from subscriptions.admin.plan_forms import CreditGrantForm, VariantForm, grant_initial, variant_initial
from subscriptions.admin.plans import SoldFilter, fallbacks
from subscriptions.admin.price_plan_text import price_plan_link
from subscriptions.admin.terms_text import (
    billing_text,
    expiry_text,
    price_shown,
    rollover_text,
    variant_badge,
    when_text,
)
from subscriptions.models import CreditGrantTemplate, Plan, PlanVariant
from subscriptions.selectors.catalogue import variant_is_used, variants_of_family
from subscriptions.selectors.subscribers import subscribers_of, variants_with_subscribers
from subscriptions.services.credit_grants import (
    credit_grant_archive,
    credit_grant_create,
    credit_grant_update,
)
from subscriptions.services.plan_variants import variant_archive, variant_unarchive, variant_update
from subscriptions.services.variant_versions import Written

_VERSIONS_NOTE: Final = (
    "Somebody is or was on these terms: other terms make a new version, and nobody is moved."
)


@admin.register(PlanVariant)
class PlanVariantAdmin(RecordAdmin):
    noun, nouns = "plan variant", "plan variants"
    id_prefix = "pvr"
    icon = "sell"
    list_display = ("name_shown", "plan_shown", "billing", "price", "version_shown", "subscribers", "status")
    list_display_links = ("name_shown",)
    list_filter = (SoldFilter, "billing_mode", "billing_cycle")
    list_select_related = ("plan",)
    search_fields = ("name",)
    search_help_text = "Name of the variant or its plan, or id (pvr_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return variants_with_subscribers(super().get_queryset(request).filter(plan__price_plan=None))

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .page_queryset(request)
            .select_related("plan", "fallback_variant__plan", "price_plan_version__price_plan")
        )

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return (
            super().search(request, rows, term)
            | rows.filter(name__icontains=term)
            | rows.filter(plan__name__icontains=term)
        )

    @admin.display(description="Variant")
    def name_shown(self, variant: PlanVariant) -> str:
        return variant.name

    @admin.display(description="Plan")
    def plan_shown(self, variant: PlanVariant) -> SafeString:
        return link(record_url(Plan, variant.plan.public_id), variant.plan.name)

    @admin.display(description="Billing")
    def billing(self, variant: PlanVariant) -> str:
        return billing_text(variant)

    @admin.display(description="Price")
    def price(self, variant: PlanVariant) -> object:
        return price_shown(variant)

    @admin.display(description="Version")
    def version_shown(self, variant: PlanVariant) -> str:
        return f"v{variant.version}"

    @admin.display(description="Subscribers")
    def subscribers(self, variant: Any) -> str:
        return f"{variant.subscribers:,}"

    @admin.display(description="Status")
    def status(self, variant: PlanVariant) -> SafeString:
        return variant_badge(variant)

    def page(self, request: HttpRequest, record: Any) -> Page:
        may_change = self._may(request) and not record.superseded_at
        may = may_change and not record.archived_at
        facts = [
            Fact("Plan", self.plan_shown(record)),
            *(Fact(label, value) for label, value in _terms(record).items()),
            Fact("Version", record.version),
            Fact("Subscribers", f"{record.subscribers:,}", "on this version"),
            Fact("Id", copyable(record.public_id)),
            Fact("Created", instant_shown(record.created_at)),
            *_past(record),
        ]
        metadata = [Section("Metadata", html=json_shown(record.metadata))] if record.metadata else []
        return Page(
            heading=f"{record.plan.name} · {record.name}, version {record.version}",
            kind="Plan variant",
            badges=[variant_badge(record)],
            sections=[
                Section("Terms", facts, hint=_VERSIONS_NOTE if may and variant_is_used(record) else ""),
                Section(
                    "Credit grants", html=_grants_html(record, may=may), hint="What subscribers are given."
                ),
                Section("Versions", html=_versions_html(record)),
                Section(
                    "Metering rules", html=_rules_html(request, record), hint="Prices of this variant only."
                ),
                *metadata,
            ],
            buttons=self._buttons(record) if may_change else [],
        )

    def _buttons(self, variant: PlanVariant) -> list[Button]:
        if variant.plan.archived_at:
            return []
        if variant.archived_at:
            return [Button("Sell again", _url("unarchive", variant), icon="unarchive", opens_dialog=True)]
        new = Button(
            "New credit grant", _url("grant", variant), icon="add", tone="primary", opens_dialog=True
        )
        rule = f"{reverse('admin:metering_meteringrule_add')}?plan_variant={variant.public_id}"
        return [
            new,
            Button("New rule", rule, icon="sell", opens_dialog=True),
            Button("Edit", _url("edit", variant), icon="edit", opens_dialog=True),
            Button("Archive", _url("archive", variant), icon="archive", tone="danger", opens_dialog=True),
        ]

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("subscriptions.change_plan"))

    # --- Deeds

    def further_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "subscriptions_planvariant"
        one = "<str:object_id>"
        grant = f"{one}/grants/<str:grant_id>"
        return [
            path(f"{one}/edit/", wrap(self.edit_view), name=f"{name}_edit"),
            path(f"{one}/archive/", wrap(self.archive_view), name=f"{name}_archive"),
            path(f"{one}/unarchive/", wrap(self.unarchive_view), name=f"{name}_unarchive"),
            path(f"{one}/grants/add/", wrap(self.grant_view), name=f"{name}_grant"),
            path(f"{grant}/edit/", wrap(self.grant_edit_view), name=f"{name}_grant_edit"),
            path(f"{grant}/archive/", wrap(self.grant_archive_view), name=f"{name}_grant_archive"),
        ]

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        form = partial(
            VariantForm,
            fallbacks=fallbacks(request, except_for=variant),
            present=variant.price_plan_version,
        )
        deed, initial = partial(_edit, request, variant), variant_initial(variant)
        return self._answer(request, variant, "Edit variant", "Save", form, deed, initial=initial)

    def archive_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        deed = partial(_archive, request, variant)
        return self._answer(request, variant, "Archive variant", "Archive", ReasonForm, deed, is_danger=True)

    def unarchive_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        deed = partial(_unarchive, request, variant)
        return self._answer(request, variant, "Sell variant again", "Sell again", ReasonForm, deed)

    def grant_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        deed = partial(_grant_create, request, variant)
        return self._answer(request, variant, "New credit grant", "Add credit grant", CreditGrantForm, deed)

    def grant_edit_view(self, request: HttpRequest, object_id: str, grant_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        grant = _grant_or_404(variant, grant_id)
        deed, initial = partial(_grant_edit, request, variant, grant), grant_initial(grant)
        return self._answer(
            request, variant, "Edit credit grant", "Save", CreditGrantForm, deed, initial=initial
        )

    def grant_archive_view(self, request: HttpRequest, object_id: str, grant_id: str) -> HttpResponse:
        variant = self.found_or_404(request, object_id)
        deed = partial(_grant_archive, request, variant, _grant_or_404(variant, grant_id))
        return self._answer(
            request, variant, "Archive credit grant", "Archive", ReasonForm, deed, is_danger=True
        )

    def _answer(
        self,
        request: HttpRequest,
        variant: PlanVariant,
        title: str,
        submit: str,
        form: Callable[..., forms.Form],
        deed: Callable[..., Outcome],
        *,
        initial: Mapping[str, Any] | None = None,
        is_danger: bool = False,
    ) -> HttpResponse:
        dialog = Dialog(
            title=title,
            submit=submit,
            form=form,
            deed=deed,
            family=f"plan_variant.{title.lower().replace(' ', '_')}",
            back=record_url(PlanVariant, variant.public_id),
            subject=f"{variant.plan.name} · {variant}",
            intro=_VERSIONS_NOTE if title != "Archive variant" and variant_is_used(variant) else "",
            is_danger=is_danger,
            has_preview=True,
            initial=initial or {},
        )
        return self.dialog_answer(request, dialog, allowed=self._may(request))


def _url(deed: str, variant: PlanVariant, *further: str) -> str:
    return reverse(f"admin:subscriptions_planvariant_{deed}", args=[variant.public_id, *further])


def _grant_or_404(variant: PlanVariant, grant_id: str) -> CreditGrantTemplate:
    key = typeid_parse("cgt", grant_id)
    found = variant.credit_grants.filter(id=key).first() if key else None
    if found is None:
        raise Http404(f"There is no credit grant {grant_id} on this variant.")
    return found


# --- How terms are shown


def _terms(variant: PlanVariant) -> dict[str, object]:
    """What a variant says, by its label: for its page, and for what a change would change."""
    fallback = variant.fallback_variant
    prepaid = {
        "Renewal due": f"{variant.renewal_due_days} days before the end",
        "Grace": f"{variant.grace_period_days} days",
        "While overdue": "Credits can be spent" if variant.allow_usage_while_overdue else "Usage is refused",
    }
    return {
        "Name": variant.name,
        "Description": text_or_nothing(variant.description),
        "Billing": billing_text(variant),
        "Price": price_shown(variant),
        "Price plan": price_plan_link(variant.price_plan_version) if variant.price_plan_version else NOTHING,
        **(prepaid if variant.is_prepaid else {}),
        "Trial": f"{variant.trial_days} days" if variant.trial_days else NOTHING,
        "Falls back to": f"{fallback.plan.name} · {fallback}" if fallback else NOTHING,
    }


def _past(variant: PlanVariant) -> list[Fact]:
    """Since when it is not sold any more."""
    both = (("Superseded", variant.superseded_at), ("Archived", variant.archived_at))
    return [Fact(label, instant_shown(instant)) for label, instant in both if instant]


def _grant_terms(grant: CreditGrantTemplate) -> dict[str, object]:
    return {
        "Name": text_or_nothing(grant.name),
        "Credits": credits_text(grant.credits_mc),
        "When": when_text(grant),
        "Expires": expiry_text(grant),
        "Rolls over": rollover_text(grant),
        "Priority": grant.priority,
        "Source": grant.get_source_display(),
    }


def _grants_html(variant: PlanVariant, *, may: bool) -> str:
    rows = [
        {
            "grant": grant,
            "credits": credits_shown(grant.credits_mc),
            "when": when_text(grant),
            "expires": expiry_text(grant),
            "rollover": rollover_text(grant),
            "edit": _url("grant_edit", variant, grant.public_id) if may else "",
            "archive": _url("grant_archive", variant, grant.public_id) if may else "",
        }
        for grant in variant.credit_grants.filter(archived_at=None).order_by("id")
    ]
    return render_to_string("admin/purser/credit_grants.html", {"rows": rows})


def _versions_html(variant: PlanVariant) -> str:
    versions = variants_with_subscribers(variants_of_family(variant))[:50]
    rows = [
        {
            "variant": version,
            "url": record_url(PlanVariant, version.public_id),
            "is_this": version.id == variant.id,
            "since": instant_shown(version.created_at),
            "until": instant_shown(version.superseded_at),
            "badge": variant_badge(version),
        }
        for version in versions
    ]
    return render_to_string("admin/purser/variant_versions.html", {"rows": rows})


def _rules_html(request: HttpRequest, variant: PlanVariant) -> str:
    rules = rules_list(now=of_admin(request).now).filter(plan_variant_id=variant.id).order_by("-id")[:50]
    rows = [
        {
            "rule": rule,
            "url": record_url(MeteringRule, rule.public_id),
            "price": price_text(rule.definition),
            "since": instant_shown(rule.effective_from),
        }
        for rule in rules
    ]
    return render_to_string("admin/purser/variant_rules.html", {"rows": rows})


# --- What is done


def _edit(request: HttpRequest, variant: PlanVariant, data: Mapping[str, Any], _key: str) -> Outcome:
    fallback = data["fallback_variant_id"]
    written = variant_update(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        terms={**data, "fallback_variant_id": UUID(fallback) if fallback else None},
        now=of_admin(request).now,
    )
    changes = _changes(_terms(variant), _terms(written.row))
    return _outcome(variant, written, written.row, "Saved.", changes)


def _archive(request: HttpRequest, variant: PlanVariant, data: Mapping[str, Any], _key: str) -> Outcome:
    variant_archive(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        reason=data["reason"],
        now=of_admin(request).now,
    )
    stay = f"{_customers(subscribers_of(variant.id))} on it."
    return Outcome(message=f"{variant.name} is sold no more.", effect_id=variant.id, notes=(stay,))


def _unarchive(request: HttpRequest, variant: PlanVariant, data: Mapping[str, Any], _key: str) -> Outcome:
    variant_unarchive(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        reason=data["reason"],
        now=of_admin(request).now,
    )
    return Outcome(message=f"{variant.name} is sold again.", effect_id=variant.id)


def _grant_create(request: HttpRequest, variant: PlanVariant, data: Mapping[str, Any], _key: str) -> Outcome:
    written = credit_grant_create(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        terms=data,
        now=of_admin(request).now,
    )
    changes = _changes({}, _grant_terms(written.row))
    return _outcome(variant, written, written.row.variant, "The credit grant was added.", changes)


def _grant_edit(
    request: HttpRequest,
    variant: PlanVariant,
    grant: CreditGrantTemplate,
    data: Mapping[str, Any],
    _key: str,
) -> Outcome:
    written = credit_grant_update(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        grant_id=grant.id,
        terms=data,
        now=of_admin(request).now,
    )
    changes = _changes(_grant_terms(grant), _grant_terms(written.row))
    return _outcome(variant, written, written.row.variant, "Saved.", changes)


def _grant_archive(
    request: HttpRequest,
    variant: PlanVariant,
    grant: CreditGrantTemplate,
    data: Mapping[str, Any],
    _key: str,
) -> Outcome:
    written = credit_grant_archive(
        caller=caller_of(request),
        plan_id=variant.plan_id,
        variant_id=variant.id,
        grant_id=grant.id,
        reason=data["reason"],
        now=of_admin(request).now,
    )
    return _outcome(variant, written, written.row.variant, "It is granted no more.", [])


def _outcome(
    before: PlanVariant, written: Written[Any], after: PlanVariant, message: str, changes: list[Change]
) -> Outcome:
    """Where it was written to, and who stays where they are."""
    notes: tuple[str, ...] = ()
    if written.is_new_version:
        message = f"{message} Version {after.version} is sold from now on."
        stay = f"{_customers(subscribers_of(before.id))} on version {before.version}."
        notes = (f"Makes version {after.version} of {after.name}.", stay)
    return Outcome(
        message=message,
        effect_id=written.row.id,
        url=record_url(PlanVariant, typeid("pvr", after.id)),
        changes=changes,
        notes=notes,
    )


def _customers(number: int) -> str:
    return "1 customer stays" if number == 1 else f"{number:,} customers stay"


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[Change]:
    return [
        Change(label=label, before=before.get(label, ""), after=value)
        for label, value in after.items()
        if before.get(label, "") != value
    ]
