"""How a credit block is shown."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from billing.models import CreditBlock
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_parse, instant_text


def block_document(block: CreditBlock) -> dict[str, Any]:
    """A block from the ORM."""
    return _document(
        id=block.id,
        original_amount=block.original_mc,
        remaining_amount=block.remaining_mc,
        held_amount=block.held_mc,
        status=block.state,
        priority=block.priority,
        effective_at=instant_text(block.effective_at),
        expires_at=instant_text(block.expires_at) if block.expires_at else None,
        source=block.source,
        reason=block.reason,
        price_paid=block.price_paid_minor,
        currency=block.currency,
        metric_keys=block.metric_keys,
        metadata=block.metadata,
        created_at=instant_text(block.created_at),
    )


def block_document_from_row(row: dict[str, Any]) -> dict[str, Any]:
    """A block as the kernel's reading function gives it."""
    return _document(
        id=UUID(row["id"]),
        original_amount=row["original_mc"],
        remaining_amount=row["remaining_mc"],
        held_amount=row["held_mc"],
        status=row["state"],
        priority=row["priority"],
        effective_at=_instant(row["effective_at"]),
        expires_at=_instant(row["expires_at"]),
        source=row["source"],
        reason=row["reason"],
        price_paid=row["price_paid_minor"],
        currency=row["currency"],
        metric_keys=row["metric_keys"],
        metadata=row["metadata"],
        created_at=_instant(row["created_at"]),
    )


def _document(
    *, id: UUID, status: str, original_amount: int, remaining_amount: int, **terms: Any
) -> dict[str, Any]:
    # A block that starts later has nothing booked yet; what it will bring is what people ask about.
    remaining = original_amount if status == "pending" else remaining_amount
    return {
        "id": typeid("blk", id),
        "original_amount": original_amount,
        "remaining_amount": remaining,
        "status": status,
        **terms,
    }


def _instant(text: str | None) -> str | None:
    instant = instant_parse(text) if text else None
    return instant_text(instant) if instant else None
