"""Customers: the list, and one page from which support answers and acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from customers.admin.approvable import gate
from customers.admin.customer_forms import NewCustomerForm
from customers.admin.customer_panels import (
    Act,
    CustomerAction,
    CustomerColumn,
    CustomerPanel,
    action_named,
    actions_for,
    columns,
    filters,
    panel_named,
    panels_for,
)
from customers.admin.dialogs import Dialog, Gate, Outcome, caller_of
from customers.admin.display import NOTHING, badge, credits_shown, instant_shown
from customers.admin.records import Page, RecordAdmin, RecordChangeList, list_url, record_url
from customers.admin.requests import environment_of, of_admin, wants_fragment
from customers.admin.timeline import timeline_context
from customers.kernel.ids import uuid_parse
from customers.models import Customer, OveragePolicy
from customers.selectors.customers import customers_search
from customers.services.customers import customer_create

POLICY_TONES = {
    OveragePolicy.BLOCK: "neutral",
    OveragePolicy.ALLOW: "warning",
    OveragePolicy.NOTIFY: "warning",
}


class LivingFilter(SimpleListFilter):
    """Deleted customers stay out of sight until somebody asks for them."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("deleted", "Deleted"), ("all", "Living and deleted")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything: Iterator[Any] = super().choices(changelist)
        yield {**next(everything), "display": "Living"}
        yield from everything

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        if self.value() == "all":
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() != "deleted")


class CustomerChangeList(RecordChangeList):
    """Loads the columns of other apps for all customers of a page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown: list[Any] = list(self.result_list)  # type: ignore[has-type]
        ids = [customer.pk for customer in shown]
        for column in columns():
            values = column.load(request, ids)
            for customer in shown:
                setattr(customer, f"column_{column.key}", values.get(customer.pk))
        self.result_list = shown


@admin.register(Customer)
class CustomerAdmin(RecordAdmin):
    """A client of customers.services.customers and of whatever other apps register."""

    noun, nouns = "customer", "customers"
    icon: ClassVar[str] = "person"
    page_template: ClassVar[str] = "admin/purser/customer.html"

    search_fields = ("display_name",)
    search_help_text = "Name, external id, e-mail or id"
    list_display_links = ("shown_label",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CustomerChangeList

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [LivingFilter, *filters(), "overage_policy"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return ["shown_label", *(_column(column) for column in columns()), "policy", "status", "created"]

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        environment = environment_of(request)
        if environment is None:
            return rows.none()
        with_deleted = request.GET.get("status") in {"deleted", "all"}
        found = customers_search(environment_id=environment.id, query=term, include_deleted=with_deleted)
        return rows.filter(pk__in=found)

    @admin.display(description="Customer")
    def shown_label(self, customer: Customer) -> SafeString:
        second = customer.external_id if customer.external_id != customer.label else customer.email
        return format_html(
            '<span class="p-two"><span>{}</span><span class="p-second">{}</span></span>',
            customer.label,
            second or "",
        )

    @admin.display(description="When credits run out")
    def policy(self, customer: Customer) -> SafeString:
        return policy_badge(customer)

    @admin.display(description="Status")
    def status(self, customer: Customer) -> SafeString:
        return badge("Deleted", "bad") if customer.deleted_at else badge("Active", "good")

    @admin.display(description="Created")
    def created(self, customer: Customer) -> SafeString:
        return instant_shown(customer.created_at)

    # --- One customer

    def further_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        act, look = wrap(self.action_view), wrap(self.timeline_view)
        return [
            path("<uuid:customer_id>/actions/<slug:slug>/", act, name="customers_customer_action"),
            path("<uuid:customer_id>/timeline/", look, name="customers_customer_timeline"),
            path(
                "<uuid:customer_id>/panels/<slug:key>/",
                wrap(self.panel_view),
                name="customers_customer_panel",
            ),
        ]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Customer | None:
        """By the inside id, and by the id and external id that tenants know, so that addresses can be typed."""
        key = uuid_parse(object_id)
        rows: QuerySet[Customer] = self.get_queryset(request)
        inside = rows.filter(pk=key).first() if key else None
        return (
            inside or rows.filter(public_id=object_id).first() or rows.filter(external_key=object_id).first()
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        customer = self.found_or_404(request, object_id)
        shown = [
            {"panel": panel, "html": html}
            for panel in panels_for(request)
            if (html := _later(customer, panel) if panel.comes_later else panel.render(request, customer))
        ]
        buttons = [
            {"action": action, "url": action_url(customer, action.slug)}
            for action in actions_for(request)
            if action.offered(customer)
        ]
        page = Page(heading=customer.label, kind="Customer", badges=list(_badges(customer)))
        return self.page_response(request, customer, page, panels=_by_place(shown), buttons=buttons)

    def action_view(self, request: HttpRequest, customer_id: Any, slug: str) -> HttpResponse:
        action = action_named(slug)
        customer = self.get_queryset(request).filter(pk=customer_id).first()
        if action is None or customer is None:
            raise Http404
        dialog = _dialog(request, customer, action)
        allowed = request.user.has_perm(action.permission)
        return self.dialog_answer(request, dialog, allowed=allowed, original=customer)

    def panel_view(self, request: HttpRequest, customer_id: UUID, key: str) -> HttpResponse:
        """A panel that comes later, alone: inside the page, or as a page for those without scripts."""
        panel = panel_named(request, key)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        customer = self.found_or_404(request, str(customer_id))
        if panel is None or not panel.comes_later:
            raise Http404
        html = panel.render(request, customer)
        if wants_fragment(request):
            return HttpResponse(html)
        page = Page(heading=customer.label, kind=panel.title)
        shown = [{"panel": panel, "html": html}]
        return self.page_response(request, customer, page, panels=_by_place(shown), buttons=[])

    def timeline_view(self, request: HttpRequest, customer_id: UUID) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        customer = self.found_or_404(request, str(customer_id))
        context = timeline_context(request, customer, now=of_admin(request).now)
        if wants_fragment(request):
            return TemplateResponse(request, "admin/purser/timeline.html", context)
        page = {
            **self.admin_site.each_context(request),
            **context,
            "title": f"Timeline of {customer.label}",
            "opts": self.opts,
            "original": customer,
            "back": record_url(Customer, customer.pk),
        }
        return TemplateResponse(request, "admin/purser/timeline_page.html", page)

    # --- A new one

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.add_customer") and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        dialog = Dialog(
            title="New customer",
            submit="Create customer",
            form=NewCustomerForm,
            deed=partial(_customer_create, request),
            family="customer.create",
            back=list_url(Customer),
            intro="Customers also come into being by themselves, when the first usage names an external id.",
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))


def customer_link(customer: Customer) -> SafeString:
    """A customer wherever one is named."""
    return format_html(
        '<a class="p-link" href="{}">{}</a>', record_url(Customer, customer.pk), customer.label
    )


def action_url(customer: Customer, slug: str) -> str:
    return reverse("admin:customers_customer_action", args=[customer.pk, slug])


def policy_badge(customer: Customer) -> SafeString:
    return badge(customer.get_overage_policy_display(), POLICY_TONES[OveragePolicy(customer.overage_policy)])


def _column(column: CustomerColumn) -> Callable[[Customer], object]:
    def shown(customer: Customer) -> object:
        value: Any = getattr(customer, f"column_{column.key}", None)
        return credits_shown(value) if column.is_amount else NOTHING if value is None else value

    shown.__name__ = f"column_{column.key}"
    return admin.display(description=column.title)(shown)


def _later(customer: Customer, panel: CustomerPanel) -> str:
    url = reverse("admin:customers_customer_panel", args=[customer.pk, panel.key])
    return render_to_string("admin/purser/panel_later.html", {"url": url, "title": panel.title})


def _by_place(shown: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    places: dict[str, list[dict[str, Any]]] = {"top": [], "main": [], "side": []}
    for entry in shown:
        places[entry["panel"].place].append(entry)
    return places


def _badges(customer: Customer) -> Iterator[str]:
    if customer.deleted_at:
        yield badge("Deleted", "bad")
    if customer.overage_policy != OveragePolicy.BLOCK:
        yield policy_badge(customer)


def _dialog(request: HttpRequest, customer: Customer, action: CustomerAction) -> Dialog:
    def deed(data: dict[str, Any], key: str) -> Outcome:
        act = Act(
            caller=caller_of(request),
            customer=customer,
            data=data,
            idempotency_key=key,
            now=of_admin(request).now,
        )
        return action.perform(act)

    return Dialog(
        title=action.title,
        submit=action.submit,
        form=action.form,
        deed=deed,
        family=action.slug,
        back=record_url(Customer, customer.pk),
        subject=customer.label,
        intro=action.intro,
        is_danger=action.is_danger,
        has_preview=action.has_preview,
        initial=action.initial(customer),
        gate=_gate(request, customer, action),
    )


def _gate(request: HttpRequest, customer: Customer, action: CustomerAction) -> Gate:
    if action.limited is None:
        return lambda _form: None
    return gate(
        request,
        deed=action.limited.deed,
        customer=customer,
        subject=customer.label,
        amount=partial(action.limited.amount, customer),
    )


def _customer_create(request: HttpRequest, data: Mapping[str, Any], key: str) -> Outcome:
    wanted = NewCustomerIds.taken_from(data)
    customer = customer_create(
        caller=caller_of(request),
        public_id=wanted.public_id,
        external_id=wanted.external_id,
        attributes=wanted.attributes,
        now=of_admin(request).now,
    )
    return Outcome(
        message=f"{customer.label} was created.", effect_id=customer.id, url=record_url(Customer, customer.pk)
    )


@dataclass(frozen=True, slots=True)
class NewCustomerIds:
    """A form's data, apart into ids and the rest; empty means not given."""

    public_id: str | None
    external_id: str | None
    attributes: dict[str, Any]

    @classmethod
    def taken_from(cls, data: Mapping[str, Any]) -> NewCustomerIds:
        given = {name: value for name, value in data.items() if value not in ("", None, {})}
        return cls(given.pop("id", None), given.pop("external_id", None), given)
