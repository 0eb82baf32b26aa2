"""From a line of an invoice to the events that it counts, and from an event to the lines that bill it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from billing.admin.invoice_sections import line_link_register
from billing.admin.invoice_text import invoice_link
from billing.models import InvoiceLine
from customers.admin.display import NOTHING
from customers.admin.records import Fact, list_url
from customers.kernel.ids import typeid_parse
from metering.models import UsageEvent
from metering.selectors.billed_events import line_events, lines_of_event


class InvoiceLineFilter(SimpleListFilter):
    """Not offered: an invoice's page leads to it, and here it says what is shown and lets go of it."""

    title = "invoice line"
    parameter_name = "line"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = request.GET.get(self.parameter_name)
        if not named:
            return []
        # Without a choice Django would drop the filter, and show everything.
        line = _line(named)
        return [(named, f"{line.invoice}: {line.description}" if line else "No such line")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        if not self.value():
            return queryset
        line = _line(self.value() or "")
        return line_events(line, among=queryset) if line and line.metric_key else queryset.none()


def billed_facts(event: UsageEvent) -> list[Fact]:
    """Where the event is billed, and whether it came when its period had been."""
    billing = lines_of_event(event)
    lines = format_html_join(
        ", ", "{} ({})", ((invoice_link(line.invoice), line.description) for line in billing.lines)
    )
    hint = "it came when its period had been billed" if billing.is_late else ""
    return [Fact("Invoiced on", lines or NOTHING, hint)]


def _line(text: str) -> InvoiceLine | None:
    key = typeid_parse("iln", text)
    lines = InvoiceLine.objects.select_related("invoice", "previous")
    return lines.filter(id=key).first() if key else None


def _events_of(line: InvoiceLine) -> tuple[str, str] | None:
    return ("Events", list_url(UsageEvent, line=line.public_id)) if line.metric_key else None


line_link_register(_events_of)
