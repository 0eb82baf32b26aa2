"""The record of who changed what. Written by the service that makes the change, in its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from customers.kernel.caller import Caller
from customers.models import AuditRecord


def audit_record(
    *,
    caller: Caller,
    action: str,
    object_type: str,
    object_id: str,
    customer_id: UUID | None = None,
    reason: str = "",
    changes: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """One record, e.g. action `customer.updated`, object_type `customer`; `changes` maps a field to [before, after]."""
    AuditRecord.objects.create(
        environment_id=caller.environment_id,
        actor=caller.actor,
        action=action,
        object_type=object_type,
        object_id=object_id,
        customer_id=customer_id,
        reason=reason,
        changes=dict(changes or {}),
        request_id=caller.request_id,
        address=caller.address,
        occurred_at=now,
    )
