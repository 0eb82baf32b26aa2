"""What happened to a subscription and what will: the tables of its page, newest first, a window of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.template.loader import render_to_string

from billing.models import CreditBlock
from customers.admin.display import code, credits_shown, credits_text, instant_shown
from customers.admin.records import record_url
from customers.kernel.ids import typeid, uuid_parse
from subscriptions.admin.price_plan_text import price_plan_link
from subscriptions.admin.subscription_text import (
    change_badge,
    change_notes,
    change_states,
    due_text,
    variant_link,
    variants_named,
)
from subscriptions.engine.due import dues_ahead
from subscriptions.models import (
    GrantRun,
    GrantSchedule,
    PriceTerm,
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
)
from subscriptions.services.standing import clockwork_of

_ROWS: Final = 12
_METRICS: Final = 6


def due_html(subscription: Subscription, now: datetime) -> str:
    rows = sorted([*_dues(subscription, now), *_schedules(subscription)], key=lambda row: row["at"])
    shown = [{**row, "at": instant_shown(row["at"]), "is_late": row["at"] <= now} for row in rows[:_ROWS]]
    return render_to_string(
        "admin/purser/subscription_due.html",
        {"rows": shown, "is_parked": subscription.failed_at is not None},
    )


def _dues(subscription: Subscription, now: datetime) -> Iterator[dict[str, Any]]:
    for kind, instant in dues_ahead(clockwork_of(subscription, not_before=now)):
        if kind != "grants":
            yield {"at": instant, "what": due_text(kind, subscription)}


def _schedules(subscription: Subscription) -> Iterator[dict[str, Any]]:
    """Templates with an interval of their own; those of the billing cycle fire when a period begins."""
    schedules = GrantSchedule.objects.filter(subscription_id=subscription.id).select_related("template")
    for schedule in schedules.order_by("next_at")[:_ROWS]:
        template = schedule.template
        what = f"{credits_text(template.credits_mc)} credits are granted"
        yield {"at": schedule.next_at, "what": f"{what}: {template.name}" if template.name else what}


def timeline_html(subscription: Subscription, before: str) -> str:
    rows = SubscriptionChange.objects.filter(subscription_id=subscription.id)
    shown, window = _window(rows, before)
    variants = variants_named(shown)
    lines = [
        {
            "at": instant_shown(change.occurred_at),
            "badge": change_badge(change),
            "states": change_states(change),
            "reason": change.reason,
            "notes": "; ".join(change_notes(change, variants)),
            "actor": change.actor,
        }
        for change in shown
    ]
    return _table("timeline", subscription, lines, window)


def terms_html(terms: Sequence[PriceTerm]) -> str:
    """The newest first, as many as there is room for."""
    rows = [
        {
            "price_plan": price_plan_link(term.version),
            "starts": instant_shown(term.starts_at),
            "ends": instant_shown(term.ends_at),
            "fees": "shared by the second" if term.prorates else "from the next period on",
        }
        for term in list(reversed(terms))[:_ROWS]
    ]
    return render_to_string("admin/purser/price_terms.html", {"rows": rows})


def periods_html(subscription: Subscription, before: str) -> str:
    rows = SubscriptionPeriod.objects.filter(subscription_id=subscription.id).select_related(
        "variant__plan", "variant__price_plan_version__price_plan"
    )
    shown, window = _window(rows, before)
    lines = [
        {
            "starts": instant_shown(period.starts_at),
            "ends": instant_shown(period.ends_at),
            "is_open": period.closed_at is None,
            "variant": variant_link(period.variant),
            "renewed": instant_shown(period.renewed_at) if period.renewed_at else "",
            "payment": period.external_payment_id or "",
            "not_invoiced": period.invoice_failure,
            "opening": credits_shown(period.opening_balance_mc),
            **_usage(period.usage_summary),
        }
        for period in shown
    ]
    return _table("periods", subscription, lines, window)


def _usage(summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """The summary that is written when a period ends."""
    if summary is None:
        return {"used": credits_shown(None), "closing": credits_shown(None), "metrics": []}
    used = sorted(summary["by_billable_metric"].items(), key=lambda each: -each[1]["credits"])
    metrics = [
        {"key": key, "units": _units(each["units"]), "credits": credits_text(each["credits"])}
        for key, each in used[:_METRICS]
    ]
    return {
        "used": credits_shown(summary["total_credits_consumed"]),
        "closing": credits_shown(summary["net_balance_at_cycle_end"]),
        "metrics": metrics,
        "further": len(used) - len(metrics),
    }


def _units(units: int | str) -> str:
    """Those that are not whole are exact text already."""
    return f"{units:,}" if isinstance(units, int) else units


def grants_html(subscription: Subscription, before: str) -> str:
    rows = GrantRun.objects.filter(subscription_id=subscription.id).select_related("template")
    shown, window = _window(rows, before)
    lines = [
        {
            "starts": instant_shown(run.starts_at),
            "ends": instant_shown(run.ends_at),
            "template": run.template.name or "Credit grant",
            "credits": credits_shown(run.credits_mc),
            "block": _block(run.block_id),
            "rolled": credits_shown(run.rolled_mc) if run.rolled_block_id else "",
            "rolled_block": _block(run.rolled_block_id) if run.rolled_block_id else None,
        }
        for run in shown
    ]
    return _table("grants", subscription, lines, window)


def _block(block_id: UUID) -> dict[str, str]:
    public_id = typeid("blk", block_id)
    return {"url": record_url(CreditBlock, public_id), "id": code(public_id)}


def _window(rows: QuerySet[Any], before: str) -> tuple[list[Any], dict[str, Any]]:
    """A table's rows that are older than `before`, newest first, and what leads to the others."""
    last = uuid_parse(before)
    found = list((rows.filter(id__lt=last) if last else rows).order_by("-id")[: _ROWS + 1])
    shown = found[:_ROWS]
    return shown, {"older": shown[-1].id if len(found) > _ROWS else None, "is_first": last is None}


def _table(
    name: str, subscription: Subscription, rows: list[dict[str, Any]], window: Mapping[str, Any]
) -> str:
    here = record_url(Subscription, subscription.public_id)
    return render_to_string(
        f"admin/purser/subscription_{name}.html", {"rows": rows, "here": here, "name": name, **window}
    )
