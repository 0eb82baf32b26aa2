"""Holds: credits set aside for work under way."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.admin.blocks import OfCustomers
from billing.models import Hold, HoldState
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
from customers.admin.records import Fact, Page, Section

STATE_TONES = {
    HoldState.ACTIVE: "info",
    HoldState.COMMITTED: "good",
    HoldState.RELEASED: "neutral",
    HoldState.EXPIRED: "warning",
}


def state_badge(state: str) -> SafeString:
    return badge(HoldState(state).label, STATE_TONES[HoldState(state)])


@admin.register(Hold)
class HoldAdmin(OfCustomers):
    noun, nouns = "hold", "holds"
    id_prefix = "res"
    icon = "lock_clock"
    list_display = (
        "id_shown",
        "customer_shown",
        "amount",
        "state_shown",
        "metric_shown",
        "created",
        "ends",
        "ended",
    )
    list_display_links = ("id_shown",)
    list_filter = ("state",)
    search_help_text = "Customer or hold id (res_…)"

    @admin.display(description="Hold")
    def id_shown(self, hold: Hold) -> SafeString:
        return code(hold.public_id)

    @admin.display(description="Reserved (credits)")
    def amount(self, hold: Hold) -> SafeString:
        return credits_shown(hold.amount_mc)

    @admin.display(description="State")
    def state_shown(self, hold: Hold) -> SafeString:
        return state_badge(hold.state)

    @admin.display(description="Metric")
    def metric_shown(self, hold: Hold) -> SafeString:
        return code(hold.metric_key)

    @admin.display(description="Created")
    def created(self, hold: Hold) -> SafeString:
        return instant_shown(hold.created_at)

    @admin.display(description="Runs out")
    def ends(self, hold: Hold) -> SafeString:
        return instant_shown(hold.expires_at)

    @admin.display(description="Ended")
    def ended(self, hold: Hold) -> SafeString:
        return instant_shown(hold.ended_at)

    def page(self, request: HttpRequest, record: Hold) -> Page:
        facts = [
            Fact("Customer", customer_link(record.account.customer)),
            Fact("Reserved", credits_shown(record.amount_mc)),
            Fact("Committed", credits_shown(record.committed_mc)),
            Fact("Metric", text_or_nothing(record.metric_key)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Runs out", instant_shown(record.expires_at)),
            Fact("Ended", instant_shown(record.ended_at)),
            Fact("Id", copyable(record.public_id)),
            Fact("By", record.actor),
            Fact("Idempotency key", copyable(record.idempotency_key)),
            Fact("Request", copyable(record.request_id)),
            Fact("Metadata", json_shown(record.metadata)),
        ]
        return Page(
            heading=f"Hold of {record.account.customer.label}",
            kind="Hold",
            badges=[state_badge(record.state)],
            sections=[Section("Hold", facts)],
        )
