"""Credit notes: money taken back from invoices."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.admin.invoice_text import invoice_link, money_shown
from billing.models import CreditNote, CreditNoteKind, RefundStatus
from customers.admin.customers import customer_link
from customers.admin.display import NOTHING, badge, copyable, instant_shown, json_shown, text_or_nothing
from customers.admin.records import Fact, Page, RecordAdmin, Section
from customers.admin.requests import environment_of
from customers.kernel.ids import typeid_parse
from customers.selectors.customers import customers_search

_KIND_TONES = {
    CreditNoteKind.REDUCTION: "info",
    CreditNoteKind.BALANCE: "neutral",
    CreditNoteKind.REFUND: "warning",
}
_REFUND_TONES = {
    RefundStatus.PENDING: "info",
    RefundStatus.SUCCEEDED: "good",
    RefundStatus.FAILED: "bad",
}


@admin.register(CreditNote)
class CreditNoteAdmin(RecordAdmin):
    noun, nouns = "credit note", "credit notes"
    id_prefix = "cnt"
    icon = "undo"
    list_display = (
        "number_shown",
        "invoice_shown",
        "customer_shown",
        "kind_shown",
        "amount",
        "refund",
        "created",
    )
    list_display_links = ("number_shown",)
    list_filter = ("kind", "refund_status")
    list_select_related = ("invoice__customer",)
    search_fields = ("number",)
    search_help_text = "Number, customer or credit note id (cnt_…)"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        key = typeid_parse(self.id_prefix, term)
        environment = environment_of(request)
        if key is not None or environment is None:
            return rows.filter(pk=key) if key else rows.none()
        whose = customers_search(environment_id=environment.id, query=term, include_deleted=True)
        return rows.filter(Q(invoice__customer_id__in=whose) | Q(number__iexact=term))

    @admin.display(description="Credit note")
    def number_shown(self, note: CreditNote) -> str:
        return note.number

    @admin.display(description="Invoice")
    def invoice_shown(self, note: CreditNote) -> SafeString:
        return invoice_link(note.invoice)

    @admin.display(description="Customer")
    def customer_shown(self, note: CreditNote) -> SafeString:
        return customer_link(note.invoice.customer)

    @admin.display(description="What became of it")
    def kind_shown(self, note: CreditNote) -> SafeString:
        return badge(note.get_kind_display(), _KIND_TONES[CreditNoteKind(note.kind)])

    @admin.display(description="Amount")
    def amount(self, note: CreditNote) -> SafeString:
        return money_shown(note.amount_minor, note.invoice.currency)

    @admin.display(description="Paid back")
    def refund(self, note: CreditNote) -> SafeString:
        return refund_badge(note)

    @admin.display(description="Created")
    def created(self, note: CreditNote) -> SafeString:
        return instant_shown(note.created_at)

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.get_queryset(request).select_related("invoice__customer")
        return rows

    def page(self, request: HttpRequest, record: CreditNote) -> Page:
        currency = record.invoice.currency
        facts = [
            Fact("Invoice", invoice_link(record.invoice)),
            Fact("Customer", customer_link(record.invoice.customer)),
            Fact("What became of it", record.get_kind_display()),
            Fact("Amount", money_shown(record.amount_minor, currency), "tax included"),
            Fact("Tax in it", money_shown(record.tax_minor, currency)),
            Fact("Reason", text_or_nothing(record.reason)),
            Fact("Paid back", refund_badge(record)),
            Fact("Refund at the provider", copyable(record.provider_refund_id)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("By", record.actor),
            Fact("Id", copyable(record.public_id)),
        ]
        of_lines = [Section("Lines", html=json_shown(record.lines))] if record.lines else []
        return Page(
            heading=f"{record.number} · {record.invoice.customer.label}",
            kind="Credit note",
            badges=[badge(record.get_kind_display(), _KIND_TONES[CreditNoteKind(record.kind)])],
            sections=[Section("Credit note", facts), *of_lines],
        )


def refund_badge(note: CreditNote) -> SafeString:
    if not note.refund_status:
        return NOTHING
    return badge(note.get_refund_status_display(), _REFUND_TONES[RefundStatus(note.refund_status)])
