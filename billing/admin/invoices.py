"""Invoices: the list with what is open, and one page that says what each bills, who paid it and what happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing.admin.customer_invoices import invoices_html
from billing.admin.invoice_actions import (
    InvoiceAct,
    InvoiceAction,
    acted,
    action_named,
    actions_offered,
)
from billing.admin.invoice_approvals import invoice_gate
from billing.admin.invoice_forms import InvoiceSettingsForm, settings_initial
from billing.admin.invoice_sections import credit_notes_html, events_html, lines_html, payments_html
from billing.admin.invoice_text import (
    badges_of,
    due_shown,
    invoice_link,
    invoice_text,
    money_shown,
    period_text,
    status_badge,
    sums_text,
)
from billing.gateways.invoice_csv import invoice_csv
from billing.gateways.invoice_mail import file_name
from billing.gateways.invoice_pdf import invoice_pdf
from billing.models import Invoice, InvoiceStatus
from billing.selectors.invoice_overview import PAID_DAYS, WAITING, InvoiceSum, invoice_totals
from billing.services.invoice_numbers import invoice_settings
from billing.services.invoice_settings import invoice_settings_update
from customers.admin.customers import customer_link
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import badge, copyable, instant_shown, json_shown, text_or_nothing
from customers.admin.records import (
    Button,
    Fact,
    Page,
    RecordAdmin,
    Section,
    deed_buttons,
    list_url,
    record_url,
)
from customers.admin.requests import environment_of, of_admin
from customers.kernel.ids import typeid_parse, uuid_parse
from customers.models import Customer
from customers.selectors.customers import customers_search

_NUMBERED: Final = re.compile(r"\D*?(\d{1,18})", re.ASCII)


class StatusFilter(SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = [(str(value), str(label)) for value, label in InvoiceStatus.choices]
        return [("unpaid", "Unpaid"), ("overdue", "Overdue"), *named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() == "unpaid":
            return queryset.filter(status__in=WAITING)
        if self.value() == "overdue":
            return queryset.filter(status__in=WAITING, due_at__lt=of_admin(request).now)
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(Invoice)
class InvoiceAdmin(RecordAdmin):
    """A client of the invoices' services."""

    noun, nouns = "invoice", "invoices"
    id_prefix = "inv"
    icon = "request_quote"
    list_display = (
        "number_shown",
        "customer_shown",
        "status_shown",
        "total_amount",
        "due_amount",
        "due_date",
    )
    list_display_links = ("number_shown",)
    list_filter = (StatusFilter, "source")
    list_select_related = ("customer",)
    list_before_template = "admin/purser/invoice_totals.html"
    search_fields = ("number",)
    search_help_text = "Number, customer or invoice id (inv_…)"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        tiles = list(_tiles(request))
        context = {**(extra_context or {}), "invoice_tiles": tiles}
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        key = typeid_parse(self.id_prefix, term)
        environment = environment_of(request)
        if key is not None or environment is None:
            return rows.filter(pk=key) if key else rows.none()
        whose = customers_search(environment_id=environment.id, query=term, include_deleted=True)
        return rows.filter(Q(customer_id__in=whose) | Q(pk=uuid_parse(term)) | _numbered(term))

    @admin.display(description="Invoice")
    def number_shown(self, invoice: Invoice) -> SafeString:
        return format_html(
            '<span class="p-two"><span class="p-keep">{}</span><span class="p-second p-keep">{}</span></span>',
            invoice_text(invoice),
            period_text(invoice),
        )

    @admin.display(description="Customer")
    def customer_shown(self, invoice: Invoice) -> SafeString:
        return customer_link(invoice.customer)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if environment_of(request) is None:
            return rows
        is_late = Q(status__in=WAITING, due_at__lt=of_admin(request).now)
        annotated: QuerySet[Any] = rows.annotate(is_late=Case(When(is_late, then=True), default=False))
        return annotated

    @admin.display(description="Status")
    def status_shown(self, invoice: Invoice) -> SafeString:
        badges = [
            status_badge(invoice),
            *([badge("Overdue", "warning")] * getattr(invoice, "is_late", False)),
        ]
        return format_html_join(" ", "{}", ((each,) for each in badges))

    @admin.display(description="Total")
    def total_amount(self, invoice: Invoice) -> SafeString:
        return money_shown(invoice.total_minor, invoice.currency)

    @admin.display(description="Due")
    def due_amount(self, invoice: Invoice) -> SafeString:
        return format_html('<span class="p-amount">{}</span>', due_shown(invoice))

    @admin.display(description="Due date")
    def due_date(self, invoice: Invoice) -> SafeString:
        return instant_shown(invoice.due_at)

    # --- One invoice

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.get_queryset(request).select_related("customer", "replaces")
        return rows.prefetch_related("lines", "replaced_by")

    def page(self, request: HttpRequest, record: Invoice) -> Page:
        notes = credit_notes_html(record)
        return Page(
            heading=f"{invoice_text(record)} · {record.customer.label}",
            kind="Invoice",
            badges=list(badges_of(record, of_admin(request).now)),
            sections=[
                Section("Invoice", _facts(record)),
                Section("Lines", html=lines_html(record)),
                Section("Payments", html=payments_html(record)),
                *([Section("Credit notes", html=notes)] * bool(notes)),
                Section("Events", html=events_html(record)),
                *([Section("Metadata", html=json_shown(record.metadata))] * bool(record.metadata)),
            ],
            buttons=[*self._deeds(request, record), *_files(record)],
        )

    def _deeds(self, request: HttpRequest, invoice: Invoice) -> list[Button]:
        return deed_buttons(request, actions_offered(invoice), partial(action_url, invoice))

    # --- Deeds

    def further_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("settings/", wrap(self.settings_view), name="billing_invoice_settings"),
            path("of/<uuid:customer_id>/", wrap(self.of_customer_view), name="billing_invoice_of_customer"),
            path("<str:object_id>/pdf/", wrap(self.pdf_view), name="billing_invoice_pdf"),
            path("<str:object_id>/csv/", wrap(self.csv_view), name="billing_invoice_csv"),
            path(
                "<str:object_id>/actions/<slug:slug>/", wrap(self.action_view), name="billing_invoice_action"
            ),
        ]

    def action_view(self, request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
        invoice, action = self.found_or_404(request, object_id), action_named(slug)
        if action is None:
            raise Http404
        allowed = request.user.has_perm(action.permission)
        return self.dialog_answer(
            request, _dialog(request, invoice, action), allowed=allowed, original=invoice
        )

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        if environment_of(request) is None:
            raise PermissionDenied
        return self.dialog_answer(
            request, _settings_dialog(request), allowed=request.user.has_perm(CHANGE_SETTINGS)
        )

    def of_customer_view(self, request: HttpRequest, customer_id: UUID) -> HttpResponse:
        """The part of a customer's page."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        customer = Customer.objects.filter(pk=customer_id).first()
        if customer is None:
            raise Http404
        return HttpResponse(invoices_html(customer, of_admin(request).now))

    def pdf_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self._seen(request, object_id)
        return _file(invoice_pdf(invoice), f"{file_name(invoice)}.pdf", "application/pdf", shown="inline")

    def csv_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self._seen(request, object_id)
        return _file(invoice_csv(invoice).encode(), f"{file_name(invoice)}.csv", "text/csv; charset=utf-8")

    def _seen(self, request: HttpRequest, object_id: str) -> Invoice:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        found: Invoice = self.found_or_404(request, object_id)
        return found


#: Who may say how invoices are made.
CHANGE_SETTINGS: Final = "billing.change_invoicesettings"


def action_url(invoice: Invoice, slug: str) -> str:
    return reverse("admin:billing_invoice_action", args=[invoice.public_id, slug])


def _numbered(term: str) -> Q:
    """By the number's digits, which an index finds, and then by all of it."""
    found = _NUMBERED.fullmatch(term)
    if found is None:
        return Q(pk=None)
    of_digits = Q(number_sequence=int(found[1]))
    return of_digits if term.isdigit() else of_digits & Q(number__iexact=term)


def _tiles(request: HttpRequest) -> Iterator[dict[str, str]]:
    environment = environment_of(request)
    if environment is None:
        return
    totals = invoice_totals(environment_id=environment.id, now=of_admin(request).now)
    if totals.is_empty:
        return
    yield _tile("Unpaid", totals.unpaid, "unpaid", "schedule")
    yield _tile("Overdue", totals.overdue, "overdue", "warning", tone="warning")
    yield _tile("Uncollectible", totals.uncollectible, "uncollectible", "money_off", tone="bad")
    yield _tile("Drafts", totals.drafts, "draft", "edit_note")
    yield _tile(f"Paid in {PAID_DAYS} days", totals.paid, "paid", "task_alt")


def _tile(label: str, of: InvoiceSum, status: str, icon: str, *, tone: str = "neutral") -> dict[str, str]:
    first, others = sums_text(of.minor)
    count = f"{of.count:,} invoice{'' if of.count == 1 else 's'}"
    return {
        "label": label,
        "value": first or "–",
        "note": f"{count} {others}".strip(),
        "url": list_url(Invoice, status=status),
        "icon": icon,
        "tone": tone if of.count else "neutral",
    }


def _facts(invoice: Invoice) -> list[Fact]:
    facts = [
        Fact("Customer", customer_link(invoice.customer)),
        Fact("Total", money_shown(invoice.total_minor, invoice.currency)),
        Fact("Amount due", money_shown(invoice.amount_due_minor, invoice.currency)),
        Fact("Period", period_text(invoice)),
        Fact("Issued", instant_shown(invoice.issued_at)),
        Fact("Due date", instant_shown(invoice.due_at)),
        *_dated(invoice),
        Fact("Billed to", text_or_nothing(_party(invoice.bill_to))),
        Fact("Made by", f"{invoice.get_source_display()}, {invoice.actor}"),
        Fact("Id", copyable(invoice.public_id)),
    ]
    if invoice.memo:
        facts.append(Fact("Memo", invoice.memo))
    if invoice.replaces is not None:
        facts.append(Fact("Instead of", invoice_link(invoice.replaces)))
    facts += [Fact("Made again as", invoice_link(later)) for later in invoice.replaced_by.all()]
    return facts


_DATE_LABELS: Final = {
    "paid_at": "Paid",
    "voided_at": "Voided",
    "uncollectible_at": "Given up",
    "next_charge_at": "Charged again",
}


def _dated(invoice: Invoice) -> list[Fact]:
    """Those that there are."""
    found = {name: getattr(invoice, name) for name in _DATE_LABELS}
    return [Fact(_DATE_LABELS[name], instant_shown(at)) for name, at in found.items() if at is not None]


def _party(party: dict[str, Any]) -> str:
    parts = (party.get(name) for name in ("name", "address", "email", "tax_id"))
    return " · ".join(" ".join(part.split()) for part in parts if part)


def _files(invoice: Invoice) -> list[Button]:
    return [
        Button(name.upper(), reverse(f"admin:billing_invoice_{name}", args=[invoice.public_id]), icon=icon)
        for name, icon in (("pdf", "picture_as_pdf"), ("csv", "table_view"))
    ]


def _file(content: bytes, name: str, content_type: str, *, shown: str = "attachment") -> HttpResponse:
    headers = {"Content-Disposition": f'{shown}; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type=content_type, headers=headers)


def _dialog(request: HttpRequest, invoice: Invoice, action: InvoiceAction) -> Dialog:
    return Dialog(
        title=action.title,
        submit=action.submit,
        form=action.form_of(invoice),
        deed=partial(_deed, request, invoice, action),
        family=f"invoice.{action.slug}",
        back=record_url(Invoice, invoice.public_id),
        subject=f"{invoice_text(invoice)} · {invoice.customer.label}",
        intro=action.intro,
        is_danger=action.tone == "danger",
        has_preview=action.has_preview and not action.is_stepwise,
        is_stepwise=action.is_stepwise,
        initial=action.initial(invoice),
        gate=invoice_gate(request, invoice, action),
    )


def _deed(
    request: HttpRequest, invoice: Invoice, action: InvoiceAction, data: dict[str, Any], key: str
) -> Outcome:
    act = InvoiceAct(
        caller=caller_of(request), invoice=invoice, data=data, idempotency_key=key, now=of_admin(request).now
    )
    return acted(action, act)


def _settings_dialog(request: HttpRequest) -> Dialog:
    environment_id = of_admin(request).caller.environment_id
    settings = invoice_settings(environment_id=environment_id, now=of_admin(request).now)
    return Dialog(
        title="How invoices are made",
        submit="Save",
        form=InvoiceSettingsForm,
        deed=partial(_settings_deed, request),
        family="invoice_settings",
        back=list_url(Invoice),
        intro=f"For invoices to come. The next one is {settings.number_prefix}{settings.last_number + 1:06}.",
        has_preview=True,
        initial=settings_initial(settings),
    )


def _settings_deed(request: HttpRequest, data: dict[str, Any], _key: str) -> Outcome:
    caller, now = caller_of(request), of_admin(request).now
    before = settings_initial(invoice_settings(environment_id=caller.environment_id, now=now))
    terms = {name: value for name, value in data.items() if name != "reason"}
    settings = invoice_settings_update(caller=caller, terms=terms, reason=data["reason"], now=now)
    after = settings_initial(settings)
    return Outcome(
        message="Saved how invoices are made.",
        url=list_url(Invoice),
        changes=[
            Change(label=name.replace("_", " "), before=before[name], after=value)
            for name, value in after.items()
            if before[name] != value
        ],
    )
