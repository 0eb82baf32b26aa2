"""Usage events: what happened, to whom, what it cost and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.models import LedgerEntry
from customers.admin.customers import customer_link
from customers.admin.days import DayFilter
from customers.admin.display import (
    NOTHING,
    code,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
    link,
    units_shown,
)
from customers.admin.records import Fact, Page, RecordAdmin, Section, record_url
from customers.admin.requests import environment_of
from customers.kernel.ids import typeid
from customers.services.customers import customer_find_id
from metering.admin.billed_events import InvoiceLineFilter, billed_facts
from metering.admin.explain import price_sections
from metering.models import BillableMetric, UsageEvent


class MetricFilter(SimpleListFilter):
    title = "metric"
    parameter_name = "metric"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (key, key) for key in BillableMetric.objects.order_by("key").values_list("key", flat=True)[:200]
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        return queryset.filter(metric__key=self.value()) if self.value() else queryset


class ReceivedFilter(DayFilter):
    field = "received_at"


@admin.register(UsageEvent)
class UsageEventAdmin(RecordAdmin):
    noun, nouns = "usage event", "usage events"
    id_prefix = "evt"
    icon = "bolt"
    list_display = ("received", "customer_shown", "metric_shown", "quantity", "cost", "key_shown")
    list_display_links = ("received",)
    list_filter = (ReceivedFilter, MetricFilter, InvoiceLineFilter)
    list_select_related = ("customer", "metric")
    search_fields = ("idempotency_key",)
    search_help_text = "Idempotency key, customer, event id (evt_…) or request id (req_…)"

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.get_queryset(request).select_related("customer", "metric", "rule")
        return rows

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        by_key = rows.filter(idempotency_key=term)
        environment = environment_of(request)
        customer_id = (
            customer_find_id(environment_id=environment.id, by="id", reference=term) if environment else None
        )
        if customer_id is not None:
            return rows.filter(customer_id=customer_id)
        return by_key if by_key.exists() else super().search(request, rows, term)

    @admin.display(description="Received")
    def received(self, event: UsageEvent) -> SafeString:
        return instant_shown(event.received_at)

    @admin.display(description="Customer")
    def customer_shown(self, event: UsageEvent) -> SafeString:
        return customer_link(event.customer)

    @admin.display(description="Metric")
    def metric_shown(self, event: UsageEvent) -> SafeString:
        return code(event.metric.key)

    @admin.display(description="Units")
    def quantity(self, event: UsageEvent) -> SafeString:
        return units_shown(event.units)

    @admin.display(description="Cost (credits)")
    def cost(self, event: UsageEvent) -> SafeString:
        return credits_shown(event.cost_mc)

    @admin.display(description="Idempotency key")
    def key_shown(self, event: UsageEvent) -> SafeString:
        return code(event.idempotency_key)

    def page(self, request: HttpRequest, record: UsageEvent) -> Page:
        entry = typeid("led", record.ledger_entry_id) if record.ledger_entry_id else ""
        facts = [
            Fact("Customer", customer_link(record.customer)),
            Fact(
                "Metric", link(record_url(BillableMetric, record.metric.public_id), code(record.metric.key))
            ),
            Fact("Units", units_shown(record.units)),
            Fact("Cost", credits_shown(record.cost_mc)),
            Fact("Ledger entry", link(record_url(LedgerEntry, entry), code(entry)) if entry else NOTHING),
            Fact("Happened", instant_shown(record.occurred_at), "the event's own timestamp"),
            Fact("Received", instant_shown(record.received_at)),
            *billed_facts(record),
        ]
        trace = [
            Fact("Id", copyable(record.public_id)),
            Fact("Idempotency key", copyable(record.idempotency_key)),
            Fact("By", record.actor),
            Fact("Request", copyable(record.request_id)),
            Fact("Stored", instant_shown(record.created_at)),
            Fact("Properties", json_shown(record.properties)),
            Fact("Metadata", json_shown(record.metadata)),
        ]
        return Page(
            heading=f"{record.metric.key} of {record.customer.label}",
            kind="Usage event",
            sections=[Section("Event", facts), *price_sections(record), Section("Record", trace)],
        )
