"""What happens to an invoice, written down with it: its audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.models import Invoice, InvoiceEvent
from customers.kernel.caller import Caller


def invoice_event_record(
    *,
    caller: Caller,
    invoice: Invoice,
    type: str,
    data: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime,
) -> InvoiceEvent:
    """One event, such as `invoice.charge_attempted`; `data` is JSON-able."""
    return InvoiceEvent.objects.create(
        environment_id=invoice.environment_id,
        invoice=invoice,
        type=type,
        data=dict(data or {}),
        actor=caller.actor,
        reason=reason,
        request_id=caller.request_id,
        occurred_at=now,
    )
