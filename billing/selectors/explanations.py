"""Why a balance moved: one ledger entry with everything that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from billing.models import Conversion, CreditBlock, LedgerEntry, Topup
from billing.selectors.sources import source_explained
from customers.kernel.ids import typeid_parse
from customers.models import ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`parts` are the entry's allocations with their blocks (None: overdraft); `told` what the cause's owner adds."""

    entry: LedgerEntry
    parts: tuple[tuple[CreditBlock | None, int], ...]
    refunds: tuple[LedgerEntry, ...]
    key_name: str | None
    topup: Topup | None
    conversion: Conversion | None
    told: dict[str, Any]


def entry_explained(*, customer_id: UUID, entry_id: UUID) -> Explanation | None:
    """An entry of this customer, explained; None when there is none."""
    entry = LedgerEntry.objects.filter(account_id=customer_id, id=entry_id).first()
    if entry is None:
        return None
    blocks = CreditBlock.objects.in_bulk([block_id for block_id in entry.block_ids if block_id])
    return Explanation(
        entry=entry,
        parts=tuple(
            (blocks.get(block_id) if block_id else None, amount)
            for block_id, amount in zip(entry.block_ids, entry.block_amounts, strict=True)
        ),
        refunds=tuple(
            LedgerEntry.objects.filter(account_id=customer_id, reverses_id=entry.id).order_by("sequence")
        ),
        key_name=_key_name(entry.actor),
        topup=Topup.objects.filter(id=entry.source_id).first() if entry.source_type == "topup" else None,
        conversion=Conversion.objects.filter(id=entry.source_id).first()
        if entry.source_type == "conversion"
        else None,
        told=source_explained(entry),
    )


def _key_name(actor: str) -> str | None:
    """What the API key that acted is called."""
    kind, _, reference = actor.partition(":")
    key_id = typeid_parse("key", reference) if kind == "key" else None
    return ApiKey.objects.filter(id=key_id).values_list("name", flat=True).first() if key_id else None
