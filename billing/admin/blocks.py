"""Credit blocks, and how they are shown."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from billing.admin.block_extensions import PERMISSION as EXTEND
from billing.admin.block_extensions import block_extends, extend_dialog
from billing.models import BlockState, CreditBlock
from customers.admin.customers import customer_link
from customers.admin.display import (
    badge,
    code,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
    text_or_nothing,
)
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section
from customers.admin.requests import environment_of
from customers.services.customers import customer_find_id

STATE_TONES = {
    BlockState.LIVE: "good",
    BlockState.PENDING: "info",
    BlockState.SPENT: "neutral",
    BlockState.EXPIRED: "bad",
    BlockState.VOIDED: "neutral",
}


def state_badge(state: str) -> SafeString:
    return badge(BlockState(state).label, STATE_TONES[BlockState(state)])


class OfCustomers(RecordAdmin):
    """Records of accounts: found by their own id or by their customer's."""

    list_select_related: Any = ("account__customer",)
    search_fields = ("id",)

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.get_queryset(request).select_related("account__customer")
        return rows

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        environment = environment_of(request)
        customer_id = (
            customer_find_id(environment_id=environment.id, by="id", reference=term) if environment else None
        )
        if customer_id is None:
            return super().search(request, rows, term)
        return self.of_customer(request, rows, customer_id)

    def of_customer(self, request: HttpRequest, rows: QuerySet[Any], customer_id: UUID) -> QuerySet[Any]:
        return rows.filter(account_id=customer_id)

    @admin.display(description="Customer")
    def customer_shown(self, record: Any) -> SafeString:
        return customer_link(record.account.customer)


@admin.register(CreditBlock)
class CreditBlockAdmin(OfCustomers):
    noun, nouns = "credit block", "blocks"
    id_prefix = "blk"
    icon = "stacks"
    list_display = (
        "id_shown",
        "customer_shown",
        "remaining",
        "original",
        "state_shown",
        "source_shown",
        "priority",
        "expires",
    )
    list_display_links = ("id_shown",)
    list_filter = ("state", "source")
    search_help_text = "Customer or block id (blk_…)"

    @admin.display(description="Block")
    def id_shown(self, block: CreditBlock) -> SafeString:
        return code(block.public_id)

    @admin.display(description="Remaining (credits)")
    def remaining(self, block: CreditBlock) -> SafeString:
        return credits_shown(block.remaining_mc)

    @admin.display(description="Original (credits)")
    def original(self, block: CreditBlock) -> SafeString:
        return credits_shown(block.original_mc)

    @admin.display(description="State")
    def state_shown(self, block: CreditBlock) -> SafeString:
        return state_badge(block.state)

    @admin.display(description="Source")
    def source_shown(self, block: CreditBlock) -> str:
        return block.get_source_display()

    @admin.display(description="Expires")
    def expires(self, block: CreditBlock) -> SafeString:
        return instant_shown(block.expires_at)

    def page(self, request: HttpRequest, record: CreditBlock) -> Page:
        price = (
            f"{record.price_paid_minor:,} {record.currency or ''} (minor units)"
            if record.price_paid_minor is not None
            else ""
        )
        amounts = [
            Fact("Customer", customer_link(record.account.customer)),
            Fact("Remaining", credits_shown(record.remaining_mc)),
            Fact("Held", credits_shown(record.held_mc), "of what remains, set aside for open holds"),
            Fact("Original", credits_shown(record.original_mc)),
            Fact("Id", copyable(record.public_id)),
        ]
        terms = [
            Fact("Source", record.get_source_display()),
            Fact("Priority", record.priority, "higher burns first"),
            Fact("Counts from", instant_shown(record.effective_at)),
            Fact("Expires", instant_shown(record.expires_at), "never, if empty"),
            Fact("Only for", ", ".join(record.metric_keys) if record.metric_keys else "every metric"),
            Fact("Price paid", text_or_nothing(price)),
        ]
        cause = [
            Fact("By", record.actor),
            Fact("Reason", text_or_nothing(record.reason)),
            Fact("Idempotency key", copyable(record.idempotency_key)),
            Fact("Request", copyable(record.request_id)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Metadata", json_shown(record.metadata)),
        ]
        return Page(
            heading=f"Block of {record.account.customer.label}",
            kind="Credit block",
            badges=[state_badge(record.state)],
            sections=[
                Section("Amounts", amounts),
                Section("Terms", terms, hint="They never change."),
                Section("Cause", cause),
            ],
            buttons=_buttons(request, record),
        )

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.extend_view, ("extend",))

    def extend_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        block = self.found_or_404(request, object_id)
        allowed = request.user.has_perm(EXTEND)
        return self.dialog_answer(request, extend_dialog(request, block), allowed=allowed, original=block)


def _buttons(request: HttpRequest, block: CreditBlock) -> list[Button]:
    if not request.user.has_perm(EXTEND) or not block_extends(block):
        return []
    url = reverse("admin:billing_creditblock_extend", args=[block.public_id])
    return [Button("Extend expiry", url, icon="more_time", opens_dialog=True)]
