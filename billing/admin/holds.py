"""Holds: credits set aside for work under way.

What ends a hold is known further up: `hold_deed_register(HoldDeed(slug="release", …))`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from billing.admin.blocks import OfCustomers
from billing.models import Hold, HoldState
from customers.admin.customers import customer_link
from customers.admin.dialogs import Dialog
from customers.admin.display import (
    badge,
    code,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
    text_or_nothing,
)
from customers.admin.records import Fact, Page, Section, deed_buttons

STATE_TONES = {
    HoldState.ACTIVE: "info",
    HoldState.COMMITTED: "good",
    HoldState.RELEASED: "neutral",
    HoldState.EXPIRED: "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldDeed:
    """A button on a hold's page, while it is `offered`."""

    slug: str
    label: str
    icon: str
    tone: str
    permission: str
    offered: Callable[[Hold], bool]
    dialog: Callable[[HttpRequest, Hold], Dialog]


_deeds: Final[dict[str, HoldDeed]] = {}


def hold_deed_register(deed: HoldDeed) -> None:
    _deeds[deed.slug] = deed


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
            buttons=deed_buttons(
                request,
                [deed for deed in _deeds.values() if deed.offered(record)],
                lambda slug: reverse(f"admin:billing_hold_{slug}", args=[record.public_id]),
            ),
        )

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, _deeds)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        hold, known = self.found_or_404(request, object_id), _deeds.get(deed)
        if known is None:
            raise Http404
        allowed = request.user.has_perm(known.permission)
        return self.dialog_answer(request, known.dialog(request, hold), allowed=allowed, original=hold)
