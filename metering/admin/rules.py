"""Metering rules: made, superseded, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.customers import customer_link
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, credits_shown, instant_shown, json_shown, link
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.kernel.ids import typeid, typeid_parse
from customers.models import Job
from customers.services.customers import customer_resolve
from metering.admin.replay_forms import ReplayForm
from metering.admin.replays import replay_page, replay_url
from metering.admin.rule_forms import RuleForm
from metering.admin.rule_text import price_text, version_rows
from metering.engine.pricing import Pricing, cost, definition_parse
from metering.models import BillableMetric, MeteringRule, MetricStatus
from metering.selectors.rules import ACTIVE, SCHEDULED, rules_list
from metering.services.charge_registry import priced_twice_warnings
from metering.services.replays import KIND, ReplayAsked, replay_start
from metering.services.rules import rule_create

_STATUS_TONES = {ACTIVE: "good", SCHEDULED: "info"}
#: Quantities that a preview prices, each from the beginning of a cycle.
_EXAMPLES = (1, 10, 100, 1_000, 10_000)
#: So much past usage is offered to try a price on.
_REPLAYED = timedelta(days=30)


def status_badge(status: str) -> SafeString:
    return badge(status.capitalize(), _STATUS_TONES.get(status, "neutral"))


@admin.register(MeteringRule)
class MeteringRuleAdmin(RecordAdmin):
    noun, nouns = "metering rule", "metering rules"
    id_prefix = "rul"
    icon = "sell"
    list_display = ("metric_shown", "price", "scope", "version_shown", "status_shown", "since", "id_shown")
    list_display_links = ("price",)
    list_filter = ("cost_type",)
    search_fields = ("metric__key",)
    search_help_text = "Metric key or rule id (rul_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeteringRule]:
        now = getattr(request, "now", None)
        return rules_list(now=now).order_by("-id") if now else super().get_queryset(request).none()

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        by_id = super().search(request, rows, term)
        return by_id if by_id.query.where and by_id.exists() else rows.filter(metric__key__icontains=term)

    @admin.display(description="Metric")
    def metric_shown(self, rule: MeteringRule) -> SafeString:
        return link(record_url(BillableMetric, rule.metric.public_id), code(rule.metric.key))

    @admin.display(description="Price")
    def price(self, rule: MeteringRule) -> str:
        return price_text(rule.definition)

    @admin.display(description="For")
    def scope(self, rule: MeteringRule) -> object:
        return scope_shown(rule)

    @admin.display(description="Version")
    def version_shown(self, rule: MeteringRule) -> str:
        return f"v{rule.version}"

    @admin.display(description="Status")
    def status_shown(self, rule: Any) -> SafeString:
        return status_badge(rule.status)

    @admin.display(description="From")
    def since(self, rule: MeteringRule) -> SafeString:
        return instant_shown(rule.effective_from)

    @admin.display(description="Rule")
    def id_shown(self, rule: MeteringRule) -> SafeString:
        return code(rule.public_id)

    def page(self, request: HttpRequest, record: Any) -> Page:
        facts = [
            Fact("Metric", self.metric_shown(record)),
            Fact("Price", price_text(record.definition)),
            Fact("For", scope_shown(record)),
            Fact("Version", record.version),
            Fact("From", instant_shown(record.effective_from)),
            Fact("Until", instant_shown(record.effective_until), "open, if empty"),
            Fact("Id", copyable(record.public_id)),
            Fact("Created", instant_shown(record.created_at)),
        ]
        rows = rules_list(now=of_admin(request).now).filter(
            metric_id=record.metric_id, scope_id=record.scope_id
        )
        versions = version_rows(rows.order_by("-version")[:50])
        return Page(
            heading=f"{record.metric.key}, version {record.version}",
            kind="Metering rule",
            badges=[status_badge(record.status)],
            buttons=self._buttons(request, record),
            sections=[
                Section("Rule", facts, hint="A rule never changes; a new version takes over."),
                Section(
                    "Versions", html=render_to_string("admin/purser/rule_versions.html", {"rows": versions})
                ),
                Section(
                    "Definition",
                    html=json_shown(record.definition),
                    hint="As the API shows it, in millicredits.",
                ),
            ],
        )

    def _buttons(self, request: HttpRequest, rule: MeteringRule) -> list[Button]:
        if not self.has_add_permission(request):
            return []
        url = reverse("admin:metering_meteringrule_try", args=[rule.public_id])
        return [Button("Try on past usage", url, icon="compare_arrows", opens_dialog=True)]

    def further_urls(self) -> list[URLPattern]:
        name = "metering_meteringrule_replay"
        shown = path("replays/<str:job_id>/", self.admin_site.admin_view(self.replay_view), name=name)
        return [shown, *self.deed_urls(self.try_view, ("try",))]

    def replay_view(self, request: HttpRequest, job_id: str) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        key = typeid_parse("job", job_id)
        job = Job.objects.filter(id=key, kind=KIND).first() if key else None
        if job is None or environment_of(request) is None:
            raise Http404(f"There is no replay {job_id} in this environment.")
        return self.page_response(request, job, replay_page(job))

    def try_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        rule = self.found_or_404(request, object_id)
        now = of_admin(request).now
        price = price_text(rule.definition)
        dialog = Dialog(
            title="Try on past usage",
            submit="Price it again",
            form=partial(ReplayForm, definition=rule.definition, price=price),
            deed=partial(_replay, request, rule),
            family=f"rule.{deed}",
            back=record_url(MeteringRule, rule.public_id),
            subject=f"{rule.metric.key}, version {rule.version}: {price}",
            intro="Prices what was really used again, by this price or another, for whom this rule is for. Nothing is "
            "charged or changed.",
            initial={"since": (now - _REPLAYED).replace(microsecond=0)},
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request), original=rule)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("metering.add_meteringrule") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        metrics = (
            BillableMetric.objects.filter(status=MetricStatus.ACTIVE)
            .order_by("key")
            .values_list("key", "name")
        )
        dialog = Dialog(
            title="New metering rule",
            submit="Put into force",
            form=partial(RuleForm, metrics=[(key, f"{key} ({name})") for key, name in metrics]),
            deed=partial(_create, request),
            family="rule.create",
            back=list_url(MeteringRule),
            intro="Takes over from the rule there is for the same metric and customer. Rules are never changed.",
            has_preview=True,
            initial={
                "metric": request.GET.get("metric", ""),
                "plan_variant_id": request.GET.get("plan_variant", ""),
            },
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))


def scope_shown(rule: MeteringRule) -> object:
    if rule.customer_id is not None and rule.customer is not None:
        return customer_link(rule.customer)
    return code(typeid("pvr", rule.plan_variant_id)) if rule.plan_variant_id else "Everyone"


def _replay(request: HttpRequest, rule: MeteringRule, data: Mapping[str, Any], _key: str) -> Outcome:
    now = of_admin(request).now
    job = replay_start(
        caller=caller_of(request),
        asked=ReplayAsked(
            definition=data["definition"],
            metric_key=rule.metric.key,
            begin=data["since"],
            end=data["until"] or now,
            customer_id=rule.customer_id,
            plan_variant_id=rule.plan_variant_id,
        ),
        now=now,
        clock=system_now,
    )
    return Outcome(message="Past usage is priced again.", effect_id=job.id, url=replay_url(job))


def _create(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    caller, named = caller_of(request), data["customer"]
    customer = (
        customer_resolve(environment_id=caller.environment_id, by="id", reference=named) if named else None
    )
    rule = rule_create(
        caller=caller,
        metric_key=data["metric"],
        definition=data["definition"],
        customer_id=customer.id if customer else None,
        plan_variant_id=data["plan_variant_id"],
        effective_from=data["effective_from"],
        now=of_admin(request).now,
    )
    warnings = priced_twice_warnings(environment_id=caller.environment_id, metric_key=data["metric"])
    all_of = "the plan variant's customers" if rule.plan_variant_id else "everyone"
    whom = f"for {customer.label} alone" if customer else f"for {all_of}"
    return Outcome(
        message=f"Version {rule.version} of the rule for {data['metric']} is set.",
        effect_id=rule.id,
        url=record_url(MeteringRule, rule.public_id),
        changes=list(_examples(definition_parse(rule.definition))),
        notes=(
            f"Version {rule.version} {whom}, from {rule.effective_from:%Y-%m-%d %H:%M:%S} UTC.",
            *(warning["message"] for warning in warnings),
        ),
    )


def _examples(pricing: Pricing) -> list[Change]:
    """What some quantities would cost, by the engine that will charge them."""
    found = pricing.rate_of(None)
    if found is None:
        return []
    return [
        Change(
            label=f"{units:,} {'unit' if units == 1 else 'units'}",
            before="",
            after=credits_shown(cost(found[0], units=units, cycle_units=0, charged_mc=0)),
        )
        for units in _EXAMPLES
    ]
