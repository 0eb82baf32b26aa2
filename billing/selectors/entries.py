"""What moved an account."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from billing.models import EntryKind, LedgerEntry


def entries_of(
    *,
    customer_id: UUID,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[LedgerEntry]:
    """A customer's ledger, newest first. `since` is included, `until` is not."""
    conditions: dict[str, Any] = {"kind": kind, "occurred_at__gte": since, "occurred_at__lt": until}
    given = {name: value for name, value in conditions.items() if value is not None}
    return LedgerEntry.objects.filter(account_id=customer_id, **given).order_by("-sequence")


def last_adjusted(*, account_id: UUID) -> UUID | None:
    """The cause of an account's newest adjustment, which one index finds."""
    adjusted = LedgerEntry.objects.filter(account_id=account_id, kind=EntryKind.ADJUST)
    return adjusted.order_by("-occurred_at", "-sequence").values_list("source_id", flat=True).first()
