"""What the timeline knows from here: webhook events, and what people and keys changed."""

from __future__ import annotations

from collections.abc import Iterator

from customers.admin.records import record_url
from customers.admin.timeline import Before, Happening, TimelineSource, timeline_register
from customers.kernel.ids import typeid
from customers.models import AuditRecord, Customer, OutboxEvent


def _webhooks(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    rows = before.of(OutboxEvent.objects.filter(customer_id=customer.id), instant="occurred_at")
    for event in rows.order_by("-occurred_at", "-id")[:limit]:
        yield Happening(
            at=event.occurred_at,
            id=event.id,
            title=event.event,
            url=record_url(OutboxEvent, typeid("msg", event.id)),
            note=f"#{event.sequence}",
        )


def _audit(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    mine = AuditRecord.objects.filter(environment_id=customer.environment_id, customer_id=customer.id)
    # That somebody wrote a note is told by the note.
    mine = mine.exclude(action="customer_note.added")
    for record in before.of(mine, instant="occurred_at").order_by("-occurred_at", "-id")[:limit]:
        yield Happening(
            at=record.occurred_at,
            id=record.id,
            title=record.action,
            url=record_url(AuditRecord, record.id),
            note=record.reason,
            actor=record.actor,
        )


timeline_register(
    TimelineSource(
        kind="changes",
        label="Changes",
        order=60,
        permission="customers.view_auditrecord",
        load=_audit,
        icon="edit_note",
    )
)
timeline_register(
    TimelineSource(
        kind="webhooks",
        label="Webhooks",
        order=70,
        permission="customers.view_outboxevent",
        load=_webhooks,
        icon="webhook",
    )
)
