"""Price plans: made version by version, with who is on each; never deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing.engine.currencies import currency_exponent
from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import NOTHING, copyable, instant_shown, json_shown, text_or_nothing
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.models import Job
from subscriptions.admin.plans import SoldFilter
from subscriptions.admin.price_plan_forms import (
    LabelForm,
    MoveForm,
    PricePlanForm,
    PriceTermsForm,
    terms_initial,
)
from subscriptions.admin.price_plan_text import charge_rows, charges_text, status_badge
from subscriptions.admin.price_plan_trials import (
    InvoiceAllForm,
    WhatIfForm,
    invoice_all,
    what_if_initial,
    what_if_try,
)
from subscriptions.admin.subscription_text import variant_link
from subscriptions.admin.terms_text import money_text
from subscriptions.engine.charges import charges_parse
from subscriptions.models import PlanVariant, PricePlan, PricePlanStatus, PricePlanVersion
from subscriptions.selectors.priced_twice import priced_twice
from subscriptions.selectors.subscribers import price_plan_subscribers
from subscriptions.services.plan_migrations import price_plan_migrate
from subscriptions.services.price_plans import (
    PriceTerms,
    price_plan_archive,
    price_plan_create,
    price_plan_deprecate,
    price_plan_unarchive,
    price_plan_update,
)
from subscriptions.services.sales import PricePlanNamed

_TERMS: Final = ("currency", "billing_period", "charges", "minimum", "entitlements", "changelog")


@admin.register(PricePlan)
class PricePlanAdmin(RecordAdmin):
    """A client of the services of price plans."""

    noun, nouns = "price plan", "price plans"
    icon = "request_quote"
    list_display = ("name_shown", "charges_shown", "billing", "version_shown", "status_shown")
    list_display_links = ("name_shown",)
    list_filter = (SoldFilter,)
    search_fields = ("name",)
    search_help_text = "Name or id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        versions = PricePlanVersion.objects.select_related("price_plan").order_by("-version")
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("versions", queryset=versions, to_attr="versions_shown"))

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return super().search(request, rows, term) | rows.filter(name__icontains=term) | rows.filter(key=term)

    @admin.display(description="Price plan")
    def name_shown(self, plan: PricePlan) -> SafeString:
        return format_html('{}<span class="p-second">{}</span>', plan.name, plan.key)

    @admin.display(description="Charges")
    def charges_shown(self, plan: Any) -> str:
        return charges_text(_newest(plan))

    @admin.display(description="Billed")
    def billing(self, plan: Any) -> str:
        return f"{_newest(plan).get_billing_period_display()}, {_newest(plan).currency.upper()}"

    @admin.display(description="Version")
    def version_shown(self, plan: Any) -> str:
        return f"v{_newest(plan).version}"

    @admin.display(description="Status")
    def status_shown(self, plan: Any) -> SafeString:
        return status_badge(_newest(plan))

    # --- One price plan

    def page(self, request: HttpRequest, record: Any) -> Page:
        version = _version_asked(record, request.GET.get("version", ""))
        return Page(
            heading=record.name
            if version == _newest(record)
            else f"{record.name}, version {version.version}",
            kind="Price plan",
            badges=[status_badge(version)],
            sections=[
                *_warnings(version),
                Section("Price plan", list(_facts(record, version))),
                Section(
                    "Charges", html=_charges_html(version), hint=f"Prices in {version.currency.upper()}."
                ),
                *_json_sections(record, version),
                Section("Versions", html=_versions_html(record, version)),
                *_variants_section(record),
            ],
            buttons=self._buttons(request, record),
        )

    def _buttons(self, request: HttpRequest, plan: Any) -> list[Button]:
        if not self._may_change(request):
            return []
        edit = Button("Edit", self._url("edit", plan), icon="edit", opens_dialog=True)
        bill = Button(
            "Invoice customers", self._url("invoice", plan), icon="request_quote", opens_dialog=True
        )
        billing = [bill] if self._may_invoice(request) else []
        if plan.archived_at:
            again = Button("Sell again", self._url("unarchive", plan), icon="unarchive", opens_dialog=True)
            return [*billing, edit, again]
        is_deprecated = _newest(plan).status == PricePlanStatus.DEPRECATED
        sell, stop = ("sell", "Sell again") if is_deprecated else ("deprecate", "Deprecate")
        return [
            Button("New version", self._url("version", plan), icon="add", tone="primary", opens_dialog=True),
            Button("Move subscribers", self._url("move", plan), icon="moving", opens_dialog=True),
            Button("Try other prices", self._url("try", plan), icon="science", opens_dialog=True),
            *billing,
            edit,
            Button(stop, self._url(sell, plan), icon="block", opens_dialog=True),
            Button("Archive", self._url("archive", plan), icon="archive", tone="danger", opens_dialog=True),
        ]

    def _url(self, deed: str, plan: PricePlan) -> str:
        return reverse(f"admin:subscriptions_priceplan_{deed}", args=[str(plan.id)])

    def _may_invoice(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("billing.change_invoice"))

    def _may_change(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("subscriptions.change_plan"))

    # --- Deeds

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.add_plan") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="New price plan",
            submit="Create price plan",
            form=PricePlanForm,
            deed=partial(_create, request),
            family="price_plan.create",
            back=list_url(PricePlan),
            intro="What usage, and each period, costs in money.",
            has_preview=True,
            initial={"sample": "1000"},
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, _DEEDS)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        plan = self.found_or_404(request, object_id)
        title, submit, act = _DEEDS[deed]
        dialog = Dialog(
            title=title,
            submit=submit,
            form=_form_of(deed, plan),
            deed=partial(act, request, plan),
            family=f"price_plan.{deed}",
            back=record_url(PricePlan, plan.id),
            subject=f"{plan.name} ({plan.key})",
            is_danger=deed in {"archive", "deprecate"},
            has_preview=deed in {"version", "move", "try"},
            initial=_initial(deed, plan, of_admin(request).now),
        )
        allowed = self._may_change(request) and (deed != "invoice" or self._may_invoice(request))
        return self.dialog_answer(request, dialog, allowed=allowed, original=plan)


def _newest(plan: Any) -> PricePlanVersion:
    newest: PricePlanVersion = plan.versions_shown[0]
    return newest


def _version_asked(plan: Any, number: str) -> PricePlanVersion:
    """The one in the address, or the newest."""
    found: Iterator[PricePlanVersion] = (each for each in plan.versions_shown if str(each.version) == number)
    return next(found, _newest(plan))


# --- How it is shown


def _facts(plan: PricePlan, version: PricePlanVersion) -> Iterator[Fact]:
    yield Fact("Name", plan.name)
    yield Fact("Id", copyable(plan.key))
    yield Fact("Version", version.version, version.changelog)
    yield Fact("Billed", version.get_billing_period_display())
    yield Fact("Minimum", _minimum(version), "of each period")
    yield Fact("Created", instant_shown(version.created_at))
    if plan.archived_at is not None:
        yield Fact("Archived", instant_shown(plan.archived_at))


def _minimum(version: PricePlanVersion) -> object:
    return NOTHING if version.minimum_minor is None else money_text(version.minimum_minor, version.currency)


def _warnings(version: PricePlanVersion) -> list[Section]:
    found = priced_twice(version)
    if not found:
        return []
    lines = ((warning["message"],) for warning in found)
    html = format_html_join("", '<p class="p-notice p-notice-warning">{}</p>', lines)
    return [Section("Priced twice", html=html, hint="Both apply to customers who are subject to both.")]


def _charges_html(version: PricePlanVersion) -> str:
    return render_to_string("admin/purser/price_plan_charges.html", {"rows": charge_rows(version)})


def _json_sections(plan: PricePlan, version: PricePlanVersion) -> list[Section]:
    both = (
        ("Entitlements", version.entitlements, "What its customers may do."),
        ("Metadata", plan.metadata, ""),
    )
    return [Section(title, html=json_shown(value), hint=hint) for title, value, hint in both if value]


def _versions_html(plan: Any, shown: PricePlanVersion) -> str:
    subscribers = price_plan_subscribers(plan)
    rows = [
        {
            "version": version,
            "url": f"{record_url(PricePlan, plan.id)}?version={version.version}",
            "is_this": version == shown,
            "since": instant_shown(version.created_at),
            "changelog": text_or_nothing(version.changelog),
            "subscribers": f"{subscribers.get(version.id, 0):,}",
            "badge": status_badge(version),
        }
        for version in plan.versions_shown
    ]
    return render_to_string("admin/purser/price_plan_versions.html", {"rows": rows})


def _variants_section(plan: PricePlan) -> list[Section]:
    """Plan variants that carry it: credits and money in one subscription."""
    carrying = PlanVariant.objects.filter(
        price_plan_version__price_plan_id=plan.id, superseded_at=None, archived_at=None
    ).exclude(plan_id=plan.plan_id)
    rows = carrying.select_related("plan", "price_plan_version__price_plan").order_by("id")[:50]
    links = format_html_join("", "<li>{}</li>", ((variant_link(variant),) for variant in rows))
    return [Section("Plan variants with it", html=format_html("<ul>{}</ul>", links))] if links else []


# --- What is done


def _form_of(deed: str, plan: Any) -> Callable[..., Any]:
    if deed == "move":
        return partial(MoveForm, versions=plan.versions_shown)
    forms = {"version": PriceTermsForm, "edit": LabelForm, "try": WhatIfForm, "invoice": InvoiceAllForm}
    return forms.get(deed, ReasonForm)


def _initial(deed: str, plan: Any, now: datetime) -> dict[str, Any]:
    newest = _newest(plan)
    if deed == "version":
        return terms_initial(newest, _major(newest.minimum_minor, newest.currency))
    if deed == "try":
        return what_if_initial(newest, _major(newest.minimum_minor, newest.currency), now)
    if deed == "move":
        return {"to_version": str(newest.version), "prorate": True}
    return {"name": plan.name, "metadata": plan.metadata or ""} if deed == "edit" else {}


def _major(minor: int | None, currency: str) -> str:
    exponent = currency_exponent(currency)
    return "" if minor is None else f"{Decimal(minor).scaleb(-exponent):.{exponent}f}"


def _create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    return _made(request, None, data["key"], data["name"], data)


def _version(request: HttpRequest, plan: Any, data: Mapping[str, Any], _key: str) -> Outcome:
    return _made(request, _newest(plan), plan.key, plan.name, data)


def _made(
    request: HttpRequest, before: PricePlanVersion | None, key: str, name: str, data: Mapping[str, Any]
) -> Outcome:
    terms = PriceTerms(**{field: data[field] for field in _TERMS})
    version = price_plan_create(
        caller=caller_of(request), key=key, name=name, terms=terms, now=of_admin(request).now
    )
    stay = () if before is None else ("Nobody is moved: subscribers stay on their version.",)
    warnings = tuple(warning["message"] for warning in priced_twice(version))
    return Outcome(
        message=f"Version {version.version} of {version.price_plan.name} is sold from now on.",
        effect_id=version.id,
        url=record_url(PricePlan, version.price_plan_id),
        changes=list(_samples(before, version, data["sample"])),
        notes=(f"Makes version {version.version}.", *stay, *warnings),
    )


def _samples(
    before: PricePlanVersion | None, after: PricePlanVersion, sample: Decimal | None
) -> Iterator[Change]:
    """What a quantity costs, charge by charge; fees once."""
    quantity = Decimal(1) if sample is None else sample
    old, new = _costs(before, quantity) if before else {}, _costs(after, quantity)
    for label in dict.fromkeys([*new, *old]):
        yield Change(label=label, before=old.get(label, ""), after=new.get(label, ""))


def _costs(version: PricePlanVersion, quantity: Decimal) -> dict[str, str]:
    costs: dict[str, str] = {}
    for charge in charges_parse(version.charges, currency=version.currency):
        amount = charge.rate(Decimal(1) if charge.is_fee else quantity).amount_minor
        label = charge.description or f"{charge.pricing_model.replace('_', ' ')} {charge.metric_key or ''}"
        label = f"{label} ({charge.key})" if label in costs else label
        costs[label] = money_text(amount, version.currency)
    return costs


def _edit(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    price_plan_update(caller=caller_of(request), key=plan.key, labels=data, now=of_admin(request).now)
    return Outcome(message="Saved.", effect_id=plan.id)


def _deprecate(
    deprecated: bool, request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str
) -> Outcome:
    version = price_plan_deprecate(
        caller=caller_of(request),
        key=plan.key,
        deprecated=deprecated,
        reason=data["reason"],
        now=of_admin(request).now,
    )
    says = "takes nobody new" if deprecated else "is sold again"
    return Outcome(message=f"Version {version.version} {says}.", effect_id=version.id)


def _archive(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    price_plan_archive(
        caller=caller_of(request), key=plan.key, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(message=f"{plan.name} is sold no more; those who have it keep it.", effect_id=plan.id)


def _unarchive(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    price_plan_unarchive(
        caller=caller_of(request), key=plan.key, reason=data["reason"], now=of_admin(request).now
    )
    return Outcome(message=f"{plan.name} is sold again.", effect_id=plan.id)


def _move(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    number = data["from_version"]
    job = price_plan_migrate(
        caller=caller_of(request),
        key=plan.key,
        to=PricePlanNamed(key=plan.key, version=int(data["to_version"])),
        from_versions=[int(number)] if number else [],
        effective=data["effective"],
        prorate=data["prorate"],
        reason=data["reason"],
        clock=system_now,
    )
    counts = (job.result or {}).items() if job.result else ()
    return Outcome(
        message="Subscribers are being moved: the job's page says how far it is.",
        effect_id=job.id,
        url=record_url(Job, job.public_id),
        changes=[Change(label=name.capitalize(), before="", after=count) for name, count in counts],
    )


_Deed = Callable[[HttpRequest, Any, Mapping[str, Any], str], Outcome]
_DEEDS: Final[Mapping[str, tuple[str, str, _Deed]]] = {
    "version": ("New version", "Create version", _version),
    "edit": ("Edit price plan", "Save", _edit),
    "deprecate": ("Deprecate the newest version", "Deprecate", partial(_deprecate, True)),
    "sell": ("Sell the newest version again", "Sell again", partial(_deprecate, False)),
    "archive": ("Archive price plan", "Archive", _archive),
    "unarchive": ("Sell the price plan again", "Sell again", _unarchive),
    "move": ("Move subscribers", "Move", _move),
    "try": ("Try other prices on the past", "Keep the result", what_if_try),
    "invoice": ("Invoice its customers", "Invoice them", invoice_all),
}
