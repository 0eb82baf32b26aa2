"""What is left of one block is taken away, whatever would burn before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from billing.errors import BlockHeld, BlockNotFound, BlockSpent, InsufficientCredits
from billing.events import credit_adjusted
from billing.models import CreditAccount
from billing.services.catch_up import caught_up
from billing.services.credits import Cause
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import uuid7
from customers.models import Customer

_REFUSALS: Final[dict[str, type[DomainError]]] = {
    "not-found": BlockNotFound,
    "nothing-left": BlockSpent,
    "held": BlockHeld,
    "insufficient": InsufficientCredits,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockVoided:
    """How much was taken. `entry_id` is None for a block that had not started: nothing was booked."""

    taken_mc: int
    entry_id: UUID | None


def block_void(
    *,
    caller: Caller,
    customer: Customer,
    block_id: UUID,
    reason: str,
    cause: Cause | None = None,
    now: datetime,
) -> BlockVoided:
    """Take away what nobody holds of a block; one that starts later will not start.

    What was burned, and what repaid an overdraft, stays. Raises BlockNotFound, BlockSpent, BlockHeld,
    InsufficientCredits.
    """
    cause = cause or Cause(source_type="adjustment", source_id=uuid7())
    with transaction.atomic():
        answer = caught_up(
            lambda: call_function(
                "billing_block_void_v1",
                environment=caller.environment_id,
                account=customer.id,
                block=block_id,
                source_type=cause.source_type,
                source_id=cause.source_id,
                actor=caller.actor,
                reason=reason,
                key=cause.idempotency_key,
                request=caller.request_id,
                metadata=None,
                now=now,
            ),
            environment_id=caller.environment_id,
            customer_id=customer.id,
            now=now,
        )
        refusal = _REFUSALS.get(answer.status)
        if refusal is not None:
            raise refusal
        if answer.entry_id is not None:
            credit_adjusted(
                caller=caller,
                account=CreditAccount.objects.get(customer_id=customer.id),
                entry_id=answer.entry_id,
                amount_mc=-answer.taken,
                reason=reason,
                now=now,
            )
    return BlockVoided(taken_mc=answer.taken, entry_id=answer.entry_id)
