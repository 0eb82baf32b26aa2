"""Ledger entries: what moved, why, and out of which blocks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from billing.admin.blocks import OfCustomers
from billing.admin.explain import causes_described, explained
from billing.admin.refunds import PERMISSION as REFUND
from billing.admin.refunds import refund_dialog, refund_left_mc
from billing.models import CreditBlock, EntryKind, LedgerEntry
from billing.selectors.entries import entries_between
from customers.admin.customers import customer_link
from customers.admin.days import DayFilter, day_span
from customers.admin.display import (
    badge,
    code,
    copyable,
    credits_shown,
    credits_text,
    instant_shown,
    json_shown,
    link,
    text_or_nothing,
)
from customers.admin.records import Button, Fact, Page, RecordChangeList, Section, record_url
from customers.kernel.ids import typeid

KIND_TONES = {
    EntryKind.GRANT: "good",
    EntryKind.DEBIT: "neutral",
    EntryKind.EXPIRE: "bad",
    EntryKind.ADJUST: "warning",
    EntryKind.ROLLOVER: "info",
    EntryKind.REFUND: "info",
    EntryKind.CONVERT: "info",
}
_CAUSES = {
    "event": "Usage event",
    "reservation": "Hold",
    "block": "Block",
    "grant": "Grant",
    "topup": "Topup",
    "extension": "Extension into block",
    "grant_run": "Plan grant",
}


def kind_badge(kind: str) -> SafeString:
    return badge(EntryKind(kind).label, KIND_TONES[EntryKind(kind)])


def cause_text(entry: LedgerEntry) -> str:
    """`Usage event evt_01k…`."""
    cause = _CAUSES.get(entry.source_type, entry.source_type.replace("_", " ").capitalize())
    return f"{cause} {entry.source_public_id}"


class WithCauses(RecordChangeList):
    """Says in words what caused the entries of a page, reading all of it at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        entries: list[Any] = list(self.result_list)  # type: ignore[has-type]
        causes = causes_described(entries)
        for entry in entries:
            entry.shown_cause = causes.get(entry.source_id)
        self.result_list = entries


class EntryDayFilter(DayFilter):
    field = "occurred_at"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(OfCustomers):
    noun, nouns = "ledger entry", "ledger entries"
    id_prefix = "led"
    icon = "receipt_long"
    list_display = ("when", "customer_shown", "kind_shown", "amount", "balance", "why", "who")
    list_display_links = ("when",)
    list_filter = ("kind", EntryDayFilter)
    search_help_text = "Customer, entry id (led_…) or request id (req_…)"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WithCauses]:
        return WithCauses

    def of_customer(self, request: HttpRequest, rows: QuerySet[Any], customer_id: UUID) -> QuerySet[Any]:
        mine = super().of_customer(request, rows, customer_id)
        span = day_span(request.GET.get(EntryDayFilter.parameter_name, ""))
        return mine.filter(entries_between(customer_id, since=span[0], until=span[1])) if span else mine

    @admin.display(description="When")
    def when(self, entry: LedgerEntry) -> SafeString:
        return instant_shown(entry.occurred_at)

    @admin.display(description="Kind")
    def kind_shown(self, entry: LedgerEntry) -> SafeString:
        return kind_badge(entry.kind)

    @admin.display(description="Amount (credits)")
    def amount(self, entry: LedgerEntry) -> SafeString:
        return credits_shown(entry.amount_mc, signed=True)

    @admin.display(description="Balance after")
    def balance(self, entry: LedgerEntry) -> SafeString:
        return credits_shown(entry.balance_after_mc)

    @admin.display(description="By")
    def who(self, entry: LedgerEntry) -> str:
        return entry.actor

    @admin.display(description="Why")
    def why(self, entry: Any) -> object:
        return entry.reason or entry.shown_cause or cause_text(entry)

    def page(self, request: HttpRequest, record: LedgerEntry) -> Page:
        movement = [
            Fact("Customer", customer_link(record.account.customer)),
            Fact("Amount", credits_shown(record.amount_mc, signed=True), _moved_hint(record)),
            Fact("Balance after", credits_shown(record.balance_after_mc)),
            Fact("Effective after", credits_shown(record.effective_after_mc), "less what holds reserve"),
            Fact("Happened", instant_shown(record.occurred_at)),
            Fact("Number", f"{record.sequence:,}", "counts the account's entries"),
        ]
        return Page(
            heading=f"{record.get_kind_display()} of {record.account.customer.label}",
            kind="Ledger entry",
            badges=[kind_badge(record.kind)],
            sections=[
                Section("Movement", movement),
                *explained(request, record),
                Section(
                    "Blocks",
                    html=allocations_html(record),
                    hint="What it took from or put into each. They add up to the amount.",
                ),
                Section("Record", _record_facts(record)),
            ],
            buttons=_buttons(request, record),
        )

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.refund_view, ("refund",))

    def refund_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        entry = self.found_or_404(request, object_id)
        dialog = refund_dialog(request, entry)
        return self.dialog_answer(request, dialog, allowed=request.user.has_perm(REFUND), original=entry)


def _buttons(request: HttpRequest, entry: LedgerEntry) -> list[Button]:
    if entry.kind != EntryKind.DEBIT or not request.user.has_perm(REFUND):
        return []
    if refund_left_mc(entry) == 0:
        return []
    url = reverse("admin:billing_ledgerentry_refund", args=[entry.public_id])
    return [Button("Refund", url, icon="undo", opens_dialog=True)]


def _moved_hint(entry: LedgerEntry) -> str:
    if entry.kind != EntryKind.ROLLOVER:
        return ""
    return f"{credits_text(max(entry.block_amounts))} credits went from one block into another"


def _record_facts(entry: LedgerEntry) -> list[Fact]:
    reversed_id = typeid("led", entry.reverses_id) if entry.reverses_id else ""
    return [
        Fact("Id", copyable(entry.public_id)),
        Fact("Cause", cause_text(entry)),
        Fact(
            "Gives back",
            link(record_url(LedgerEntry, reversed_id), code(reversed_id))
            if reversed_id
            else text_or_nothing(""),
        ),
        Fact("By", entry.actor),
        Fact("Reason", text_or_nothing(entry.reason)),
        Fact("Idempotency key", copyable(entry.idempotency_key)),
        Fact("Request", copyable(entry.request_id)),
        Fact("Stored", instant_shown(entry.created_at)),
        Fact("Metadata", json_shown(entry.metadata)),
    ]


def allocations_html(entry: LedgerEntry) -> str:
    """Each block the entry touched, with its terms."""
    blocks = CreditBlock.objects.in_bulk([block_id for block_id in entry.block_ids if block_id])
    lines: list[dict[str, Any]] = [
        {
            "block": blocks.get(block_id),
            "url": record_url(CreditBlock, typeid("blk", block_id)) if block_id else "",
            "id": typeid("blk", block_id) if block_id else "",
            "amount": credits_shown(amount, signed=True),
        }
        for block_id, amount in zip(entry.block_ids, entry.block_amounts, strict=True)
    ]
    return render_to_string("admin/purser/allocations.html", {"lines": lines})
