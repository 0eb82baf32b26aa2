"""Subscriptions: the list, and one page that says where each stands, how it got there, and what comes next."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from customers.admin.customers import customer_link
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import (
    code,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
)
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, deed_buttons, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.ids import typeid_parse, uuid_parse
from customers.selectors.customers import customers_search
from subscriptions.admin.price_plan_text import price_plan_link
from subscriptions.admin.subscription_actions import (
    ACTIONS,
    Act,
    SubscriptionAction,
    acted,
    actions_offered,
    credits_at,
)
from subscriptions.admin.subscription_filters import (
    DueFilter,
    InvoiceFilter,
    ParkedFilter,
    PlanFilter,
    StateFilter,
)
from subscriptions.admin.subscription_history import (
    due_html,
    grants_html,
    periods_html,
    terms_html,
    timeline_html,
)
from subscriptions.admin.subscription_text import (
    badges_of,
    subscription_link,
    variant_link,
    variant_text,
)
from subscriptions.admin.terms_text import billing_text, price_shown
from subscriptions.models import Subscription
from subscriptions.selectors.failed_invoices import with_failed_invoice
from subscriptions.services.price_terms import terms_of

_RELATED = (
    "customer",
    "variant__plan",
    "variant__price_plan_version__price_plan",
    "pending_variant__plan",
    "pending_variant__price_plan_version__price_plan",
    "follows",
)


@admin.register(Subscription)
class SubscriptionAdmin(RecordAdmin):
    """A client of the subscriptions' services."""

    noun, nouns = "subscription", "subscriptions"
    id_prefix = "sub"
    icon = "event_repeat"
    list_display = ("customer_shown", "plan_shown", "state_shown", "period_end", "due")
    list_display_links = ("plan_shown",)
    list_filter = (StateFilter, DueFilter, PlanFilter, ParkedFilter, InvoiceFilter)
    list_select_related = ("customer", "variant__plan", "variant__price_plan_version__price_plan")
    search_fields = ("external_subscription_id",)
    search_help_text = "Customer, external id or subscription id (sub_…)"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        key = typeid_parse(self.id_prefix, term)
        environment = environment_of(request)
        if key is not None or environment is None:
            return rows.filter(pk=key) if key else rows.none()
        whose = customers_search(environment_id=environment.id, query=term, include_deleted=True)
        return rows.filter(
            Q(customer_id__in=whose) | Q(external_subscription_id=term) | Q(pk=uuid_parse(term))
        )

    @admin.display(description="Customer")
    def customer_shown(self, subscription: Subscription) -> SafeString:
        customer = subscription.customer
        second = customer.external_id if customer.external_id != customer.label else customer.email
        return format_html('{}<span class="p-second">{}</span>', customer_link(customer), second or "")

    @admin.display(description="Plan")
    def plan_shown(self, subscription: Subscription) -> SafeString:
        variant = subscription.variant
        return format_html(
            '<span class="p-two"><span class="p-keep">{}</span><span class="p-second">{}</span></span>',
            variant_text(variant),
            billing_text(variant),
        )

    @admin.display(description="State")
    def state_shown(self, subscription: Subscription) -> SafeString:
        return format_html_join(" ", "{}", ((each,) for each in badges_of(subscription)))

    @admin.display(description="Period ends")
    def period_end(self, subscription: Subscription) -> SafeString:
        return instant_shown(None if subscription.ended_at else subscription.current_period_end)

    @admin.display(description="Due next")
    def due(self, subscription: Subscription) -> SafeString:
        return instant_shown(subscription.next_due_at)

    # --- One subscription

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_failed_invoice(self.get_queryset(request).select_related(*_RELATED))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """As it stands now: what is due on it is done before it is shown, as for a call of the API."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        found = self.found_or_404(request, object_id)
        balance_mc = credits_at(found.customer, of_admin(request).now).balance_mc
        due_at = found.next_due_at
        if due_at is not None and due_at <= of_admin(request).now:
            found = self.found_or_404(request, object_id)
        return self.page_response(request, found, self._page(request, found, balance_mc))

    def _page(self, request: HttpRequest, subscription: Subscription, balance_mc: int) -> Page:
        before = {name: request.GET.get(name, "") for name in ("periods", "timeline", "grants")}
        return Page(
            heading=f"{subscription.customer.label} · {variant_text(subscription.variant)}",
            kind="Subscription",
            badges=list(badges_of(subscription)),
            sections=[
                *_parked(subscription),
                *_not_invoiced(subscription),
                Section("Subscription", _facts(subscription, balance_mc)),
                Section("What is due", html=due_html(subscription, of_admin(request).now)),
                Section("Timeline", html=timeline_html(subscription, before["timeline"])),
                Section("Periods", html=periods_html(subscription, before["periods"])),
                *_terms_section(subscription),
                *_grants_section(subscription, before["grants"]),
                *(
                    [Section("Metadata", html=json_shown(subscription.metadata))]
                    * bool(subscription.metadata)
                ),
            ],
            buttons=self._buttons(request, subscription),
        )

    def _buttons(self, request: HttpRequest, subscription: Subscription) -> list[Button]:
        return deed_buttons(request, actions_offered(subscription), partial(action_url, subscription))

    # --- Deeds

    def further_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        return [path("<str:object_id>/actions/<slug:slug>/", view, name="subscriptions_subscription_action")]

    def action_view(self, request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
        subscription, action = self.found_or_404(request, object_id), ACTIONS.get(slug)
        if action is None:
            raise Http404
        dialog = _dialog(request, subscription, action)
        allowed = request.user.has_perm(action.permission)
        return self.dialog_answer(request, dialog, allowed=allowed, original=subscription)


def action_url(subscription: Subscription, slug: str) -> str:
    return reverse("admin:subscriptions_subscription_action", args=[subscription.public_id, slug])


def _dialog(request: HttpRequest, subscription: Subscription, action: SubscriptionAction) -> Dialog:
    return Dialog(
        title=action.title,
        submit=action.submit,
        form=action.form,
        deed=partial(_deed, request, subscription, action),
        family=f"subscription.{action.slug}",
        back=record_url(Subscription, subscription.public_id),
        subject=f"{subscription.customer.label} · {variant_text(subscription.variant)}",
        intro=action.intro,
        is_danger=action.tone == "danger",
        has_preview=True,
    )


def _deed(
    request: HttpRequest,
    subscription: Subscription,
    action: SubscriptionAction,
    data: dict[str, Any],
    key: str,
) -> Outcome:
    act = Act(
        caller=caller_of(request),
        subscription=subscription,
        data=data,
        idempotency_key=key,
        now=of_admin(request).now,
    )
    return acted(action, act)


def _parked(subscription: Subscription) -> list[Section]:
    if subscription.failed_at is None:
        return []
    html = format_html(
        '<p class="p-notice p-notice-bad">{}</p><p class="p-empty">{} {}. {}</p>',
        subscription.failure,
        "Parked since",
        instant_shown(subscription.failed_at),
        "Nothing that time makes due on it is done; the customer's credits go on as before. "
        "Retry does it again, and so does every other action.",
    )
    return [Section("Due work failed", html=html)]


def _not_invoiced(subscription: Subscription) -> list[Section]:
    failure = getattr(subscription, "failed_invoice", None)
    if not failure:
        return []
    html = format_html(
        '<p class="p-notice p-notice-bad">{}</p><p class="p-empty">{}</p>',
        failure,
        "The period stays unbilled until somebody tries again, or until the customer's next invoice takes it along.",
    )
    return [Section("A period could not be invoiced", html=html)]


def _terms_section(subscription: Subscription) -> list[Section]:
    terms = terms_of(subscription)
    hint = "By which version usage and fees are priced, from when until when."
    return [Section("Price terms", html=terms_html(terms), hint=hint)] if terms else []


def _grants_section(subscription: Subscription, before: str) -> list[Section]:
    if not subscription.holds_credits:
        return []
    return [Section("Credits granted", html=grants_html(subscription, before))]


def _facts(subscription: Subscription, balance_mc: int) -> list[Fact]:
    variant = subscription.variant
    return [
        Fact("Customer", customer_link(subscription.customer)),
        Fact("Balance (credits)", credits_shown(balance_mc)),
        *([Fact("Plan variant", variant_link(variant))] * subscription.holds_credits),
        *_price_plan_facts(subscription),
        Fact("Billing", billing_text(variant)),
        Fact("Price", price_shown(variant), "of one period"),
        *_time_facts(subscription),
        *_planned_facts(subscription),
        Fact("External id", copyable(subscription.external_subscription_id)),
        Fact("Id", copyable(subscription.public_id)),
    ]


def _price_plan_facts(subscription: Subscription) -> list[Fact]:
    """Of one that costs money, by itself or beside credits."""
    version = subscription.variant.price_plan_version
    if version is None:
        return []
    hint = "each period by itself" if subscription.invoices_automatically else "when somebody asks for it"
    return [Fact("Price plan", price_plan_link(version)), Fact("Invoiced", hint)]


def _time_facts(subscription: Subscription) -> list[Fact]:
    facts = [
        Fact("Started", instant_shown(subscription.started_at)),
        Fact("Period starts", instant_shown(subscription.current_period_start)),
        Fact(
            "Period ends",
            instant_shown(subscription.current_period_end),
            f"counted in {subscription.timezone}",
        ),
    ]
    if subscription.variant.is_prepaid and subscription.ended_at is None:
        facts.append(Fact("Next period", "Renewed" if subscription.is_renewed else "Not renewed yet"))
    return [*facts, *_dated(subscription, "trial_ends_at", "contract_start", "contract_end", "ended_at")]


def _planned_facts(subscription: Subscription) -> list[Fact]:
    facts = _dated(subscription, "paused_at", "resumes_at", "canceled_at")
    if subscription.pending_variant is not None:
        planned = variant_link(subscription.pending_variant)
        facts.append(Fact("Next period on", planned, "a planned change"))
    if subscription.follows is not None:
        facts.append(
            Fact("Took the place of", subscription_link(subscription.follows, code(subscription.follows)))
        )
    return facts


_DATE_LABELS = {
    "trial_ends_at": "Trial ends",
    "contract_start": "Contract starts",
    "contract_end": "Contract ends",
    "ended_at": "Ended",
    "paused_at": "Paused",
    "resumes_at": "Resumes",
    "canceled_at": "Cancellation asked for",
}


def _dated(subscription: Subscription, *names: str) -> list[Fact]:
    """Those that there are."""
    found = {name: getattr(subscription, name) for name in names}
    return [Fact(_DATE_LABELS[name], instant_shown(at)) for name, at in found.items() if at is not None]
