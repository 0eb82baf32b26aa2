"""Another expiry for what is left of a block. Terms never change: it is taken away, and given anew on the same ones.

Both entries name the new block as what caused them. What was earned stays as it is: these credits were given before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.errors import BlockNotFound
from billing.models import BlockState, CreditBlock
from billing.services.block_voids import block_void
from billing.services.credits import Cause, Movement, credits_grant
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.models import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockExtended:
    """`movement` gave the new block; `held_mc` stays in the old one, for the holds that pin it."""

    movement: Movement
    held_mc: int


def block_extend(
    *,
    caller: Caller,
    customer: Customer,
    block_id: UUID,
    expires_at: datetime | None,
    reason: str,
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> BlockExtended:
    """Move what nobody holds of a block into a new one that dies later, or never. The same price, priority, metrics.

    Raises BlockNotFound, BlockSpent, BlockHeld, InsufficientCredits, ValidationFailed.
    """
    with transaction.atomic():
        block = _block(customer, block_id)
        _check_later(block, expires_at)
        new_id = uuid7()
        moves = Cause(source_type="extension", source_id=new_id)
        voided = block_void(
            caller=caller, customer=customer, block_id=block.id, reason=reason, cause=moves, now=now
        )
        # One that has not started was earned by nobody yet: its successor is when it starts, like any grant.
        has_started = voided.entry_id is not None
        movement = credits_grant(
            caller=caller,
            customer=customer,
            credits_mc=voided.taken_mc,
            source=block.source,
            reason=reason,
            priority=block.priority,
            expires_at=expires_at,
            effective_at=None if has_started else block.effective_at,
            metric_keys=block.metric_keys,
            price_paid_minor=block.price_paid_minor,
            currency=block.currency,
            metadata={**block.metadata, **(metadata or {}), "extends": block.public_id},
            cause=replace(moves, idempotency_key=idempotency_key) if has_started else None,
            block_id=new_id,
            idempotency_key=idempotency_key,
            now=now,
        )
        return BlockExtended(movement=movement, held_mc=_block(customer, block_id).held_mc)


def _block(customer: Customer, block_id: UUID) -> CreditBlock:
    block = CreditBlock.objects.filter(id=block_id, account_id=customer.id).first()
    if block is None:
        raise BlockNotFound
    return block


def _check_later(block: CreditBlock, expires_at: datetime | None) -> None:
    if block.state not in {BlockState.LIVE, BlockState.PENDING}:
        # What is left of it, if anything, is for block_void to say.
        return
    if block.expires_at is None:
        raise _refused("This block never expires.")
    if expires_at is not None and expires_at <= block.expires_at:
        raise _refused(f"Must be later than the block's own, {block.expires_at:%Y-%m-%d %H:%M:%S} UTC.")


def _refused(message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("expires_at", "invalid", message)])
