"""A replay's answer: before and after, who would have paid less, who more, and whether the past was reproduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from customers.admin.display import badge, code, credits_shown, instant_shown, link
from customers.admin.jobs import job_link_register
from customers.admin.records import Button, Fact, Page, Section, record_url
from customers.kernel.instants import instant_parse
from customers.models import Customer, Job, JobState
from metering.admin.rule_text import price_text
from metering.selectors.replays import ROWS_MAX, replay_rows
from metering.services.replays import KIND


def replay_url(job: Job) -> str:
    return reverse("admin:metering_meteringrule_replay", args=[job.public_id])


def replay_page(job: Job) -> Page:
    """For as long as it is not done, how far it is."""
    sections = [Section("Asked", _asked(job.parameters))]
    if job.state == JobState.DONE and job.result is not None:
        sections += _answer(job, job.result)
    else:
        sections.append(Section("Not done", [Fact("State", job.get_state_display(), job.error or _far(job))]))
    return Page(
        heading=f"{job.parameters['metric_key']} under another price",
        kind="Replay",
        badges=[badge(job.get_state_display(), "good" if job.state == JobState.DONE else "neutral")],
        sections=sections,
        buttons=[Button("Job", record_url(Job, job.public_id), icon="manufacturing")],
    )


def _asked(parameters: Mapping[str, Any]) -> list[Fact]:
    return [
        Fact("Metric", code(parameters["metric_key"])),
        Fact("Price", price_text(parameters["definition"]), "what is tried out"),
        Fact("Usage from", instant_shown(instant_parse(parameters["from"]))),
        Fact("To", instant_shown(instant_parse(parameters["to"]))),
    ]


def _answer(job: Job, result: Mapping[str, Any]) -> list[Section]:
    rows = replay_rows(job_id=job.id)
    return [
        Section("Before and after", html=_totals(result), hint="In credits. Nothing was charged or changed."),
        Section(
            "Self-check",
            _self_check(result),
            html=_table(rows.not_reproduced, label="Not reproduced") if rows.not_reproduced else "",
            hint="The same events by the rules that were in force, priced anew, held against what was charged.",
        ),
        _side("Would have paid less", rows.winners, int(result["winners"])),
        _side("Would have paid more", rows.losers, int(result["losers"])),
    ]


def _totals(result: Mapping[str, Any]) -> str:
    rest = [
        (result["kept_events"], "kept their own price, which comes before this one"),
        (
            result["unpriced_events"],
            "have no rate in the price that was tried out, and count as nothing in it",
        ),
    ]
    shown = {
        "before": credits_shown(result["before"]),
        "after": credits_shown(result["after"]),
        "difference": _signed(result["difference"]),
        "share": _share(result["difference"], result["before"]),
        "events": f"{result['events']:,}",
        "customers": f"{result['customers']:,}",
        "winners": f"{result['winners']:,}",
        "losers": f"{result['losers']:,}",
        "unchanged": f"{result['unchanged']:,}",
        "notes": [
            f"{count:,} {'event' if count == 1 else 'events'} {what}." for count, what in rest if count
        ],
    }
    return render_to_string("admin/purser/replay_totals.html", shown)


def _self_check(result: Mapping[str, Any]) -> list[Fact]:
    if result["reproduced"]:
        told = f"{result['events']:,} of {result['events']:,} events come to exactly what was charged"
        return [Fact("Present rules", badge("Exact", "good"), told)]
    wrong = result["mismatched_events"]
    told = (
        f"{wrong:,} of {result['events']:,} events do not come to what was charged. Either events or rules were "
        "changed past Purser, or this release prices differently: run manage.py verify_ledger, and trust no sum here"
    )
    return [Fact("Present rules", badge("Not reproduced", "bad"), told)]


def _side(title: str, rows: Sequence[Mapping[str, Any]], customers: int) -> Section:
    if not rows:
        return Section(title, html=render_to_string("admin/purser/replay_rows.html", {"rows": []}))
    all_of = f"The {ROWS_MAX} with the largest difference of {customers:,}." if customers > ROWS_MAX else ""
    return Section(title, html=_table(rows, label=title), hint=all_of)


def _table(rows: Sequence[Mapping[str, Any]], *, label: str) -> str:
    return render_to_string(
        "admin/purser/replay_rows.html", {"rows": [_row(row) for row in rows], "label": label}
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "customer": link(
            record_url(Customer, row["customer_id"]),
            row["display_name"] or row["external_customer_id"] or row["customer_id"],
        ),
        "events": f"{row['events']:,}",
        "before": credits_shown(row["before"]),
        "after": credits_shown(row["after"]),
        "difference": _signed(row["difference"]),
        "share": _share(row["difference"], row["before"]),
    }


def _signed(mc: int) -> SafeString:
    return credits_shown(mc, signed=True)


def _share(difference: int, before: int) -> str:
    """A change in percent, to one place; of nothing there is none."""
    if not before or not difference:
        return ""
    thousandths = abs(difference) * 1000 // before
    return f"{'−' if difference < 0 else '+'}{thousandths // 10:,}.{thousandths % 10} %"


def _far(job: Job) -> str:
    return f"{job.done:,} of {job.total:,} events" if job.total else "not begun"


def _job_link(job: Job) -> tuple[str, str] | None:
    return ("Before and after", replay_url(job)) if job.kind == KIND else None


job_link_register(_job_link)
