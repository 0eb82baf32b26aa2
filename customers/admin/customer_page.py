"""The panels that every customer has: who it is, what webhooks said, who changed what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from customers.admin.customer_panels import CustomerPanel, panel_register
from customers.admin.display import (
    NOTHING,
    copyable,
    credits_shown,
    instant_shown,
    json_shown,
    text_or_nothing,
)
from customers.admin.records import Fact, list_url, record_url
from customers.kernel.amounts import units_shown
from customers.kernel.ids import typeid
from customers.models import AuditRecord, Customer, OutboxEvent

_SHOWN = 8


def facts_html(facts: list[Fact]) -> str:
    return render_to_string("admin/purser/facts.html", {"facts": facts})


def _details(_request: HttpRequest, customer: Customer) -> str:
    facts = [
        Fact("Id", copyable(customer.public_id)),
        Fact("External id", copyable(customer.external_id)),
        Fact("Display name", text_or_nothing(customer.display_name)),
        Fact("Legal name", text_or_nothing(customer.name)),
        Fact("E-mail", text_or_nothing(customer.email)),
        Fact("When credits run out", customer.get_overage_policy_display()),
        Fact("Overdraft limit", credits_shown(customer.overage_limit_mc)),
        Fact("Low balance at", credits_shown(customer.low_balance_threshold_mc)),
        Fact("Time zone", customer.timezone),
        Fact("Billing address", text_or_nothing(customer.billing_address)),
        Fact("Tax id", text_or_nothing(customer.tax_id)),
        Fact("Tax rate", _tax_rate(customer)),
        Fact("Payment", text_or_nothing(_payment(customer))),
        Fact("Created", instant_shown(customer.created_at)),
        Fact("Updated", instant_shown(customer.updated_at)),
    ]
    if customer.deleted_at:
        facts.append(Fact("Deleted", instant_shown(customer.deleted_at)))
    return facts_html(facts)


def _tax_rate(customer: Customer) -> str | SafeString:
    return NOTHING if customer.tax_rate is None else f"{units_shown(customer.tax_rate)} %"


def _payment(customer: Customer) -> str:
    parts = (customer.payment_provider, customer.payment_provider_customer_id, customer.payment_method_id)
    return " · ".join(part for part in parts if part)


def _metadata(_request: HttpRequest, customer: Customer) -> str:
    return json_shown(customer.metadata) if customer.metadata else ""


def _webhook_events(_request: HttpRequest, customer: Customer) -> str:
    rows = OutboxEvent.objects.filter(customer_id=customer.id).order_by("-sequence")[: _SHOWN + 1]
    lines = [
        {
            "url": record_url(OutboxEvent, typeid("msg", row.id)),
            "title": row.event,
            "second": f"#{row.sequence}",
            "at": instant_shown(row.occurred_at),
        }
        for row in rows
    ]
    return _lines_html(lines, list_url(OutboxEvent, q=customer.public_id))


def _audit(_request: HttpRequest, customer: Customer) -> str:
    rows = AuditRecord.objects.filter(customer_id=customer.id).order_by("-id")[: _SHOWN + 1]
    lines = [
        {
            "url": record_url(AuditRecord, row.id),
            "title": row.action,
            "second": row.actor,
            "note": row.reason,
            "at": instant_shown(row.occurred_at),
        }
        for row in rows
    ]
    return _lines_html(lines, list_url(AuditRecord, q=customer.public_id))


def _lines_html(lines: Sequence[Mapping[str, object]], more: str) -> str:
    shown = {"lines": lines[:_SHOWN], "more": more if len(lines) > _SHOWN else ""}
    return render_to_string("admin/purser/lines.html", shown)


def _timeline(_request: HttpRequest, customer: Customer) -> str:
    """Loaded once the page stands: it asks every app."""
    url = reverse("admin:customers_customer_timeline", args=[customer.pk])
    return render_to_string("admin/purser/panel_timeline.html", {"url": url})


for _panel in (
    CustomerPanel(
        key="timeline",
        title="Timeline",
        order=50,
        permission="customers.view_customer",
        render=_timeline,
    ),
    CustomerPanel(
        key="details",
        title="Details",
        order=10,
        permission="customers.view_customer",
        render=_details,
        place="side",
    ),
    CustomerPanel(
        key="metadata",
        title="Metadata",
        order=20,
        permission="customers.view_customer",
        render=_metadata,
        place="side",
    ),
    CustomerPanel(
        key="audit",
        title="Audit",
        order=30,
        permission="customers.view_auditrecord",
        render=_audit,
        place="side",
        comes_later=True,
    ),
    CustomerPanel(
        key="webhooks",
        title="Webhook events",
        order=40,
        permission="customers.view_outboxevent",
        render=_webhook_events,
        place="side",
        comes_later=True,
    ),
):
    panel_register(_panel)
