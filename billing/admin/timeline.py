"""What the customer's timeline knows from billing: movements of credits, and holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from billing.admin.entries import cause_text, kind_badge
from billing.admin.explain import causes_described
from billing.admin.holds import state_badge
from billing.admin.invoice_text import money_shown
from billing.models import Hold, Invoice, InvoiceEvent, LedgerEntry
from billing.selectors.entries import entries_between, entries_of
from customers.admin.display import credits_shown
from customers.admin.records import record_url
from customers.admin.timeline import Before, Happening, TimelineSource, timeline_register
from customers.models import Customer


def _movements(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    found = _entries(customer, before, limit)
    causes = causes_described(found)
    for entry in found:
        yield Happening(
            at=entry.occurred_at,
            id=entry.id,
            title=kind_badge(entry.kind),
            url=record_url(LedgerEntry, entry.public_id),
            note=entry.reason or causes.get(entry.source_id) or cause_text(entry),
            amount=credits_shown(entry.amount_mc, signed=True),
            actor=entry.actor,
            tells_of=entry.source_id if entry.source_type == "event" else None,
        )


def _entries(customer: Customer, before: Before, limit: int) -> list[LedgerEntry]:
    """There is no index of their instants. So the newest by number, as many as wanted, and all of the
    last one's instant, in the timeline's order.
    """
    newest = before.of(
        entries_of(customer_id=customer.id, until=before.at + timedelta(microseconds=1)),
        instant="occurred_at",
    )
    last = newest[limit - 1 : limit].values_list("occurred_at", flat=True).first()
    between = entries_between(customer.id, since=last, until=None)
    return list(newest.filter(between).order_by("-occurred_at", "-id")[:limit])


def _holds(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    rows = before.of(Hold.objects.filter(account_id=customer.id), instant="created_at")
    for hold in rows.order_by("-created_at", "-id")[:limit]:
        yield Happening(
            at=hold.created_at,
            id=hold.id,
            title="Hold",
            url=record_url(Hold, hold.public_id),
            note=state_badge(hold.state),
            amount=credits_shown(hold.amount_mc),
            actor=hold.actor,
        )


def _invoices(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    mine = InvoiceEvent.objects.filter(invoice__customer_id=customer.id).select_related("invoice")
    for event in before.of(mine, instant="occurred_at").order_by("-occurred_at", "-id")[:limit]:
        invoice = event.invoice
        yield Happening(
            at=event.occurred_at,
            id=event.id,
            title=f"{event.type} {invoice}",
            url=record_url(Invoice, invoice.public_id),
            note=event.reason,
            amount=money_shown(invoice.total_minor, invoice.currency),
            actor=event.actor,
        )


timeline_register(
    TimelineSource(
        kind="credits",
        label="Credits",
        order=10,
        permission="billing.view_ledgerentry",
        load=_movements,
        icon="receipt_long",
    )
)
timeline_register(
    TimelineSource(
        kind="holds", label="Holds", order=30, permission="billing.view_hold", load=_holds, icon="lock_clock"
    )
)
timeline_register(
    TimelineSource(
        kind="invoices",
        label="Invoices",
        order=50,
        permission="billing.view_invoice",
        load=_invoices,
        icon="request_quote",
    )
)
