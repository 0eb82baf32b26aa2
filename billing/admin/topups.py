"""Topups: credits that were bought, found by the payment that somebody asks about; and the packages they came in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.admin.blocks import OfCustomers
from billing.admin.invoice_text import money_shown
from billing.models import CreditBlock, LedgerEntry, Topup, TopupPackage
from customers.admin.customers import customer_link
from customers.admin.display import (
    NOTHING,
    badge,
    code,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
    link,
    text_or_nothing,
)
from customers.admin.records import Fact, Page, RecordAdmin, Section, record_url


@admin.register(Topup)
class TopupAdmin(OfCustomers):
    noun, nouns = "topup", "topups"
    id_prefix = "top"
    icon = "add_shopping_cart"
    list_display = ("when", "customer_shown", "amount", "paid", "payment_shown")
    list_display_links = ("when",)
    search_help_text = "Payment, customer or topup id (top_…)"

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().page_queryset(request).select_related("package")

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        by_payment = rows.filter(external_payment_id=term)
        return by_payment if by_payment.exists() else super().search(request, rows, term)

    @admin.display(description="When")
    def when(self, topup: Topup) -> SafeString:
        return instant_shown(topup.created_at)

    @admin.display(description="Credits")
    def amount(self, topup: Topup) -> SafeString:
        return credits_shown(topup.credits_mc + topup.bonus_credits_mc)

    @admin.display(description="Paid")
    def paid(self, topup: Topup) -> SafeString:
        return _paid(topup)

    @admin.display(description="Payment")
    def payment_shown(self, topup: Topup) -> SafeString:
        return code(topup.external_payment_id)

    def page(self, request: HttpRequest, record: Topup) -> Page:
        bought = [
            Fact("Customer", customer_link(record.account.customer)),
            Fact("Credits", credits_shown(record.credits_mc)),
            Fact("Bonus", credits_shown(record.bonus_credits_mc)),
            Fact("Paid", _paid(record)),
            Fact("Payment", copyable(record.external_payment_id)),
            Fact("Package", _package_link(record)),
            Fact("Priority", record.priority, "higher burns first"),
            Fact("Expires", instant_shown(record.expires_at), "never, if empty"),
        ]
        cause = [
            Fact("By", record.actor),
            Fact("Idempotency key", copyable(record.idempotency_key)),
            Fact("Request", copyable(record.request_id)),
            Fact("Id", copyable(record.public_id)),
            Fact("When", instant_shown(record.created_at)),
            Fact("Metadata", json_shown(record.metadata)),
        ]
        return Page(
            heading=f"Topup of {record.account.customer.label}",
            kind="Topup",
            sections=[
                Section("Bought", bought),
                Section("What it made", list(_made(record))),
                Section("Cause", cause),
            ],
        )


@admin.register(TopupPackage)
class TopupPackageAdmin(RecordAdmin):
    noun, nouns = "topup package", "topup packages"
    id_prefix = "pkg"
    icon = "inventory"
    list_display = ("named", "amount", "bonus", "price", "state")
    list_display_links = ("named",)
    list_filter = ("active",)
    search_fields = ("id",)
    search_help_text = "Package id (pkg_…)"

    @admin.display(description="Package")
    def named(self, package: TopupPackage) -> str:
        return package.name

    @admin.display(description="Credits")
    def amount(self, package: TopupPackage) -> SafeString:
        return credits_shown(package.credits_mc)

    @admin.display(description="Bonus")
    def bonus(self, package: TopupPackage) -> SafeString:
        return credits_shown(package.bonus_credits_mc)

    @admin.display(description="Price")
    def price(self, package: TopupPackage) -> SafeString:
        return money_shown(package.price_minor, package.currency)

    @admin.display(description="State")
    def state(self, package: TopupPackage) -> SafeString:
        return badge("Sold", "good") if package.active else badge("No longer sold", "neutral")

    def page(self, request: HttpRequest, record: TopupPackage) -> Page:
        lives = record.expires_after_seconds
        facts = [
            Fact("Credits", credits_shown(record.credits_mc)),
            Fact("Bonus", credits_shown(record.bonus_credits_mc)),
            Fact("Price", money_shown(record.price_minor, record.currency)),
            Fact("Priority", record.priority, "higher burns first"),
            Fact("Expire after", f"{timedelta(seconds=lives)}" if lives else "never"),
            Fact("Id", copyable(record.public_id)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Updated", instant_shown(record.updated_at)),
            Fact("Metadata", json_shown(record.metadata)),
        ]
        return Page(
            heading=record.name,
            kind="Topup package",
            badges=[self.state(record)],
            sections=[Section("Package", facts, hint="Topups copy its terms.")],
        )


def _paid(topup: Topup) -> SafeString:
    if topup.price_paid_minor is None:
        return NOTHING
    if topup.currency is None or topup.currency == "mc":
        return credits_shown(topup.price_paid_minor)
    return money_shown(topup.price_paid_minor, topup.currency)


def _package_link(topup: Topup) -> SafeString:
    if topup.package is None:
        return NOTHING
    return link(record_url(TopupPackage, topup.package.public_id), topup.package.name)


def _made(topup: Topup) -> Iterator[Fact]:
    """The block and the entry that name it as their cause."""
    block = CreditBlock.objects.filter(account_id=topup.account_id, cause_id=topup.id).first()
    entry = LedgerEntry.objects.filter(account_id=topup.account_id, source_id=topup.id).first()
    yield Fact("Block", link(record_url(CreditBlock, block.public_id), block.public_id) if block else NOTHING)
    yield Fact(
        "Ledger entry", link(record_url(LedgerEntry, entry.public_id), entry.public_id) if entry else NOTHING
    )
    yield Fact("Answers the request", text_or_nothing(_request_text(topup)))


def _request_text(topup: Topup) -> str:
    return f"of an automatic topup, {topup.topup_request_id}" if topup.topup_request_id else ""
