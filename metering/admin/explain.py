"""Why was this charged? The rule version and the arithmetic, on the page of an event and of the entry it caused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.template.loader import render_to_string

from billing.admin.explain import describer_register, explainer_register
from billing.models import LedgerEntry
from customers.admin.display import (
    code,
    credits_shown,
    instant_shown,
    json_shown,
    link,
    units_shown,
    units_text,
)
from customers.admin.records import Fact, Section, record_url
from metering.admin.rule_text import credits_of_mc, price_text
from metering.engine.pricing import Line
from metering.models import MeteringRule, UsageEvent
from metering.selectors.explanations import Explanation, event_explain

_LINE_LABELS: Final = {
    "event": "The event",
    "units": "Units",
    "packages": "Packages begun",
    "tier": "Tier",
    "tier_entry": "On entering tier",
    "charged_before": "Charged before in this cycle",
    "not_refunded": "Not given back",
    "rounding": "Rounding to a millicredit",
    "minimum": "Up to the minimum",
}


def price_sections(event: UsageEvent) -> list[Section]:
    """The price of an event, taken apart."""
    rule, explanation = event.rule, event_explain(event)
    if rule is None or explanation is None:
        return [Section("Price", [Fact("Rule", "None: this event was only metered.")])]
    facts = [
        Fact(
            "Rule",
            link(
                record_url(MeteringRule, rule.public_id),
                f"version {rule.version}: {price_text(rule.definition)}",
            ),
        ),
        Fact("In force from", instant_shown(rule.effective_from)),
    ]
    if explanation.dimension:
        facts.append(Fact(explanation.dimension, explanation.value or "not given"))
    if explanation.cycle_started_at:
        facts.append(
            Fact("In the cycle before", units_text(explanation.cycle_units), "units, which tiers count from")
        )
        facts.append(Fact("Cycle began", instant_shown(explanation.cycle_started_at)))
    return [Section("Price", facts, html=_lines_html(event, explanation))]


def _lines_html(event: UsageEvent, explanation: Explanation) -> str:
    context = {
        "lines": [_line(line) for line in explanation.breakdown.lines],
        "total": credits_shown(explanation.breakdown.cost_mc),
        "charged": credits_shown(event.cost_mc),
        "is_exact": explanation.is_exact,
    }
    return render_to_string("admin/purser/price_lines.html", context)


def _line(line: Line) -> dict[str, Any]:
    label = _LINE_LABELS.get(line.kind, line.kind.replace("_", " ").capitalize())
    return {
        "label": f"{label} {line.tier}" if line.tier else label,
        "units": "" if line.units is None else units_text(line.units),
        "unit_cost": "" if line.unit_cost is None else credits_of_mc(line.unit_cost),
        "amount": credits_of_mc(line.amount),
    }


def _explain_event(_request: HttpRequest, entry: LedgerEntry) -> list[Section]:
    event = UsageEvent.objects.select_related("metric", "rule").filter(id=entry.source_id).first()
    if event is None:
        return []
    facts = [
        Fact("Event", link(record_url(UsageEvent, event.public_id), code(event.public_id))),
        Fact("Metric", code(event.metric.key)),
        Fact("Units", units_shown(event.units)),
        Fact("Happened", instant_shown(event.occurred_at)),
        Fact("Idempotency key", code(event.idempotency_key)),
        Fact("Properties", json_shown(event.properties)),
    ]
    return [Section("Caused by usage", facts), *price_sections(event)]


def _describe_events(ids: Iterable[UUID]) -> dict[UUID, str]:
    events = UsageEvent.objects.select_related("metric").filter(id__in=list(ids))
    return {event.id: f"{units_text(event.units)} × {event.metric.key}" for event in events}


explainer_register("event", _explain_event)
describer_register("event", _describe_events)
