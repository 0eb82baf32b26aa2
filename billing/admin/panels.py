"""What billing shows on a customer's page: balance, blocks in burn order, the ledger, holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.template.loader import render_to_string

from billing.admin.blocks import state_badge as block_badge
from billing.admin.entries import cause_text, kind_badge
from billing.admin.explain import causes_described
from billing.admin.holds import state_badge as hold_badge
from billing.models import BlockSource, CreditBlock, Hold, HoldState, LedgerEntry
from billing.selectors.entries import entries_of
from billing.services.reads import Credits, credits_read
from customers.admin.customer_panels import CustomerPanel, panel_register
from customers.admin.display import code, credits_shown, credits_text, instant_shown, mc_text
from customers.admin.records import list_url, record_url
from customers.admin.requests import of_admin
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_parse
from customers.models import Customer

_LEDGER_ROWS: Final = 15
_BLOCK_ROWS: Final = 12
_HOLD_ROWS: Final = 8
#: Slivers are drawn at least this wide, so that a hand can hit them.
_SLIVER_PERCENT: Final = 0.8


def _credits(request: HttpRequest, customer: Customer) -> Credits:
    """Read once for all panels of a page."""
    kept: Credits | None = getattr(customer, "credits_on_page", None)
    if kept is None:
        kept = credits_read(
            environment_id=customer.environment_id,
            by="id",
            reference=customer.public_id,
            include="live",
            now=of_admin(request).now,
        )
        customer.credits_on_page = kept  # type: ignore[attr-defined]
    return kept


def _balance_panel(request: HttpRequest, customer: Customer) -> str:
    standing = _credits(request, customer)
    overdraft = sum(_live_mc(standing)) - standing.balance_mc
    numbers = (
        ("Balance", standing.balance_mc, "what unexpired blocks hold, less overdraft"),
        ("Reserved", standing.reserved_mc, "set aside by open holds"),
        ("Effective", standing.effective_mc, "what can be spent now"),
        ("Lifetime earned", standing.lifetime_earned_mc, "everything ever granted"),
    )
    context = {
        "numbers": [
            {
                "label": label,
                "value": credits_text(mc),
                "exact": mc_text(mc),
                "hint": hint,
                "is_negative": mc < 0,
            }
            for label, mc, hint in numbers
        ],
        "segments": list(_segments(standing)),
        "overdraft": credits_text(overdraft) if overdraft > 0 else "",
        "is_low": _is_low(customer, standing),
    }
    return render_to_string("admin/purser/panel_balance.html", context)


def _live_mc(standing: Credits) -> list[int]:
    return [block["remaining_mc"] for block in standing.blocks or [] if block["state"] == "live"]


def _is_low(customer: Customer, standing: Credits) -> bool:
    threshold = customer.low_balance_threshold_mc
    return threshold is not None and standing.effective_mc <= threshold


def _segments(standing: Credits) -> Iterator[Mapping[str, Any]]:
    """The bar: one piece per live block, in burn order."""
    live = [block for block in standing.blocks or [] if block["state"] == "live"]
    whole = sum(block["remaining_mc"] for block in live) or 1
    for place, block in enumerate(live, start=1):
        yield {
            "place": place,
            "source": block["source"],
            "label": BlockSource(block["source"]).label,
            "amount": credits_text(block["remaining_mc"]),
            "share": f"{max(block['remaining_mc'] * 100 / whole, _SLIVER_PERCENT):.2f}",
            "url": record_url(CreditBlock, typeid("blk", UUID(block["id"]))),
        }


def _blocks_panel(request: HttpRequest, customer: Customer) -> str:
    blocks = _credits(request, customer).blocks or []
    rows = [_block_row(place, block) for place, block in enumerate(blocks[:_BLOCK_ROWS], start=1)]
    more = list_url(CreditBlock, q=customer.public_id)
    return render_to_string(
        "admin/purser/panel_blocks.html", {"rows": rows, "more": more, "hidden": len(blocks) - len(rows)}
    )


def _block_row(place: int, block: Mapping[str, Any]) -> Mapping[str, Any]:
    public_id = typeid("blk", UUID(block["id"]))
    expires_at = instant_parse(block["expires_at"]) if block["expires_at"] else None
    return {
        "place": place,
        "url": record_url(CreditBlock, public_id),
        "id": code(public_id),
        "state": block_badge(block["state"]),
        "source": BlockSource(block["source"]).label,
        "remaining": credits_shown(block["remaining_mc"]),
        "original": credits_shown(block["original_mc"]),
        "held": credits_shown(block["held_mc"]) if block["held_mc"] else "",
        "share": round(block["remaining_mc"] * 100 / block["original_mc"]) if block["original_mc"] else 0,
        "priority": block["priority"],
        "expires": instant_shown(expires_at),
        "never": expires_at is None,
        "metric_keys": ", ".join(block["metric_keys"] or []),
        "reason": block["reason"],
    }


def _ledger_panel(request: HttpRequest, customer: Customer) -> str:
    before = request.GET.get("ledger_before", "")
    entries = entries_of(customer_id=customer.id)
    if before.isdigit():
        entries = entries.filter(sequence__lt=int(before[:18]))
    found = list(entries[: _LEDGER_ROWS + 1])
    causes = causes_described(found)
    context = {
        "rows": [_entry_row(entry, causes) for entry in found[:_LEDGER_ROWS]],
        "older": found[_LEDGER_ROWS - 1].sequence if len(found) > _LEDGER_ROWS else None,
        "is_first": not before.isdigit(),
        "here": record_url(Customer, customer.pk),
        "all": list_url(LedgerEntry, q=customer.public_id),
    }
    return render_to_string("admin/purser/panel_ledger.html", context)


def _entry_row(entry: LedgerEntry, causes: Mapping[UUID, str]) -> Mapping[str, Any]:
    return {
        "url": record_url(LedgerEntry, entry.public_id),
        "at": instant_shown(entry.occurred_at),
        "kind": kind_badge(entry.kind),
        "what": entry.reason or causes.get(entry.source_id) or cause_text(entry),
        "actor": entry.actor,
        "amount": credits_shown(entry.amount_mc, signed=True),
        "balance": credits_shown(entry.balance_after_mc),
        "sequence": entry.sequence,
    }


def _holds_panel(request: HttpRequest, customer: Customer) -> str:
    holds = list(Hold.objects.filter(account_id=customer.id).order_by("-id")[: _HOLD_ROWS + 1])
    if not holds:
        return ""
    rows = [
        {
            "url": record_url(Hold, hold.public_id),
            "id": code(hold.public_id),
            "state": hold_badge(hold.state),
            "amount": credits_shown(hold.amount_mc),
            "metric": hold.metric_key or "",
            "at": instant_shown(hold.created_at),
            "ends": instant_shown(hold.ended_at or hold.expires_at),
            "is_open": hold.state == HoldState.ACTIVE,
        }
        for hold in holds[:_HOLD_ROWS]
    ]
    more = list_url(Hold, q=customer.public_id) if len(holds) > _HOLD_ROWS else ""
    return render_to_string("admin/purser/panel_holds.html", {"rows": rows, "more": more})


for _panel in (
    CustomerPanel(
        key="balance",
        title="",
        order=0,
        permission="billing.view_creditaccount",
        render=_balance_panel,
        place="top",
    ),
    CustomerPanel(
        key="blocks",
        title="Blocks in burn order",
        order=10,
        permission="billing.view_creditblock",
        render=_blocks_panel,
    ),
    CustomerPanel(
        key="ledger", title="Ledger", order=20, permission="billing.view_ledgerentry", render=_ledger_panel
    ),
    CustomerPanel(key="holds", title="Holds", order=15, permission="billing.view_hold", render=_holds_panel),
):
    panel_register(_panel)
