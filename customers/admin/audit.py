"""The audit trail: who changed what, when, from where, why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from customers.admin.customers import customer_link
from customers.admin.display import NOTHING, code, copyable, instant_shown, json_shown, text_or_nothing
from customers.admin.records import Fact, Page, RecordAdmin, Section
from customers.admin.requests import environment_of
from customers.kernel.ids import uuid_parse
from customers.models import AuditRecord, Customer
from customers.services.customers import customer_find_id


@admin.register(AuditRecord)
class AuditAdmin(RecordAdmin):
    noun, nouns = "audit record", "audit records"
    icon = "history"
    list_display = ("when", "action_shown", "who", "what", "why", "request_shown")
    list_display_links = ("when",)
    search_fields = ("object_id",)
    search_help_text = "Customer, object id, actor or request id"
    request_indexed = True

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        environment = environment_of(request)
        customer_id = (
            customer_find_id(environment_id=environment.id, by="id", reference=term) if environment else None
        )
        if customer_id is not None:
            return rows.filter(customer_id=customer_id)
        of_request = self.of_request(rows, term)
        if of_request.exists():
            return of_request
        return rows.filter(
            Q(object_id=term) | Q(actor=term) | Q(actor=f"user:{term}") | Q(pk=uuid_parse(term))
        )

    @admin.display(description="When")
    def when(self, record: AuditRecord) -> SafeString:
        return instant_shown(record.occurred_at)

    @admin.display(description="Action")
    def action_shown(self, record: AuditRecord) -> str:
        return record.action

    @admin.display(description="Who")
    def who(self, record: AuditRecord) -> str:
        return record.actor

    @admin.display(description="Object")
    def what(self, record: AuditRecord) -> SafeString:
        return code(record.object_id)

    @admin.display(description="Reason")
    def why(self, record: AuditRecord) -> str:
        return text_or_nothing(record.reason)

    @admin.display(description="Request")
    def request_shown(self, record: AuditRecord) -> SafeString:
        return code(record.request_id)

    def page(self, request: HttpRequest, record: AuditRecord) -> Page:
        customer = Customer.objects.filter(pk=record.customer_id).first() if record.customer_id else None
        facts = [
            Fact("When", instant_shown(record.occurred_at)),
            Fact("Who", record.actor),
            Fact("Action", record.action),
            Fact("Object", copyable(record.object_id), record.object_type),
            Fact("Customer", customer_link(customer) if customer else NOTHING),
            Fact("Reason", text_or_nothing(record.reason)),
            Fact("Request", copyable(record.request_id)),
            Fact("Address", text_or_nothing(record.address)),
        ]
        changes = Section(
            "Changes", html=json_shown(record.changes), hint="Each field with what it was and what it became."
        )
        return Page(heading=record.action, kind="Audit record", sections=[Section("Record", facts), changes])
