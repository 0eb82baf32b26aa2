"""What an Idempotency-Key made, found where it is stored with its effect: for ever."""

from __future__ import annotations

from uuid import UUID

from billing.models import CreditBlock, LedgerEntry


def block_of_key(*, environment_id: UUID, cause_type: str, key: str) -> UUID | None:
    """The block of a grant: one that starts later has no entry yet."""
    blocks = CreditBlock.objects.filter(
        environment_id=environment_id, cause_type=cause_type, idempotency_key=key
    )
    return blocks.values_list("id", flat=True).first()


def entry_of_key(*, environment_id: UUID, source_type: str, key: str) -> UUID | None:
    """The ledger entry of an adjustment, refund or conversion."""
    entries = LedgerEntry.objects.filter(
        environment_id=environment_id, source_type=source_type, idempotency_key=key
    )
    return entries.values_list("id", flat=True).first()
