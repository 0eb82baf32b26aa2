"""Webhook events as they were written, and whether they were handed to the dispatcher."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.customers import customer_link
from customers.admin.display import NOTHING, badge, copyable, instant_shown, json_shown, link
from customers.admin.records import Fact, Page, RecordAdmin, RecordChangeList, Section, id_of, record_url
from customers.admin.requests import environment_of
from customers.admin.webhook_states import delivery_badge
from customers.events import CATALOGUE
from customers.kernel.ids import typeid
from customers.models import Customer, OutboxEvent, WebhookDelivery
from customers.services.customers import customer_find_id


class DispatchFilter(SimpleListFilter):
    title = "dispatch"
    parameter_name = "dispatch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("pending", "Waiting"), ("done", "Dispatched")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> QuerySet[OutboxEvent]:
        if self.value() is None:
            return queryset
        return queryset.filter(dispatched_at__isnull=self.value() == "pending")


class EventNameFilter(SimpleListFilter):
    """From the catalogue, not from the rows: those are too many to look for different names."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(CATALOGUE)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> QuerySet[OutboxEvent]:
        return queryset.filter(event=self.value()) if self.value() else queryset


class WithCustomers(RecordChangeList):
    """Rows name their customer by id alone; this reads a page's customers in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]
        found = customers_by_id(row.customer_id for row in rows)
        for row in rows:
            row.shown_customer = found.get(row.customer_id)
        self.result_list = rows


def customers_by_id(ids: Iterable[UUID | None]) -> dict[UUID, Customer]:
    return Customer.objects.in_bulk({key for key in ids if key})


@admin.register(OutboxEvent)
class OutboxEventAdmin(RecordAdmin):
    noun, nouns = "webhook event", "webhook events"
    id_prefix = "msg"
    icon = "webhook"
    list_display = ("event_shown", "customer_shown", "number", "when", "dispatch")
    list_display_links = ("event_shown",)
    list_filter = (DispatchFilter, EventNameFilter)
    search_fields = ("event",)
    search_help_text = "Customer, event (credit.granted) or event id (msg_…)"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WithCustomers]:
        return WithCustomers

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if (key := id_of(term, "msg")) is not None:
            return rows.filter(pk=key)
        if term in CATALOGUE:
            return rows.filter(event=term)
        environment = environment_of(request)
        customer_id = (
            customer_find_id(environment_id=environment.id, by="id", reference=term) if environment else None
        )
        return rows.filter(customer_id=customer_id) if customer_id else rows.none()

    @admin.display(description="Event")
    def event_shown(self, event: OutboxEvent) -> str:
        return event.event

    @admin.display(description="Customer")
    def customer_shown(self, event: Any) -> SafeString:
        return customer_link(event.shown_customer) if event.shown_customer else NOTHING

    @admin.display(description="No.")
    def number(self, event: OutboxEvent) -> object:
        return NOTHING if event.sequence is None else event.sequence

    @admin.display(description="Happened")
    def when(self, event: OutboxEvent) -> SafeString:
        return instant_shown(event.occurred_at)

    @admin.display(description="Dispatch")
    def dispatch(self, event: OutboxEvent) -> SafeString:
        return badge("Dispatched", "good") if event.dispatched_at else badge("Waiting", "neutral")

    def page(self, request: HttpRequest, record: OutboxEvent) -> Page:
        customer = Customer.objects.filter(pk=record.customer_id).first() if record.customer_id else None
        facts = [
            Fact("Id", copyable(typeid("msg", record.id))),
            Fact("Customer", customer_link(customer) if customer else NOTHING),
            Fact(
                "Number",
                NOTHING if record.sequence is None else record.sequence,
                "counts the customer's events",
            ),
            Fact("Happened", instant_shown(record.occurred_at)),
            Fact("Dispatched", instant_shown(record.dispatched_at)),
        ]
        return Page(
            heading=record.event,
            kind="Webhook event",
            badges=[self.dispatch(record)],
            sections=[
                Section("Event", facts),
                *self._deliveries(request, record),
                Section("Payload", html=json_shown(record.payload), hint="As it is sent."),
            ],
        )

    def _deliveries(self, request: HttpRequest, record: OutboxEvent) -> Iterator[Section]:
        """What became of it, endpoint by endpoint, one click from its attempts."""
        if not request.user.has_perm("customers.view_webhookdelivery"):
            return
        made = WebhookDelivery.objects.filter(event_id=record.id).select_related("endpoint").order_by("id")
        facts = [
            Fact(
                each.endpoint.url,
                format_html(
                    "{} {}",
                    link(record_url(WebhookDelivery, each.public_id), each.public_id),
                    delivery_badge(each),
                ),
                f"attempts: {each.attempts}",
            )
            for each in made
        ]
        yield Section("Deliveries", facts, hint="" if facts else "No endpoint asked for it.")
