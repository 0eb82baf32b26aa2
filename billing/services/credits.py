"""Grant, adjust, refund and convert credits: the kernel's functions as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.errors import (
    BalanceTooLarge,
    BlockWouldBeExpired,
    ExceedsDebit,
    InsufficientCredits,
    LedgerEntryNotFound,
    NotADebit,
    NothingLeftToRefund,
)
from billing.events import credit_adjusted, credit_granted, credit_refunded
from billing.models import Conversion, CreditAccount, CreditBlock, LedgerEntry
from billing.services.catch_up import caught_up
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import uuid7
from customers.models import Customer

_REFUSALS: Final[dict[str, type[DomainError]]] = {
    "insufficient": InsufficientCredits,
    "expired": BlockWouldBeExpired,
    "balance-too-large": BalanceTooLarge,
    "not-a-debit": NotADebit,
    "exceeds-debit": ExceedsDebit,
    "nothing-left": NothingLeftToRefund,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What a call did, and the account as it is now. `entry_id` is None while the block waits for its start."""

    account: CreditAccount
    amount_mc: int
    entry_id: UUID | None
    block: CreditBlock | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The one thing that causes a movement; the same thing cannot cause the same kind of movement twice."""

    source_type: str
    source_id: UUID
    idempotency_key: str | None = None


def credits_grant(
    *,
    caller: Caller,
    customer: Customer,
    credits_mc: int,
    source: str = "manual",
    reason: str = "",
    priority: int = 0,
    expires_at: datetime | None = None,
    effective_at: datetime | None = None,
    metric_keys: Sequence[str] | None = None,
    price_paid_minor: int | None = None,
    currency: str | None = None,
    metadata: dict[str, Any] | None = None,
    cause: Cause | None = None,
    block_id: UUID | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Movement:
    """Give a customer a block of `credits_mc` millicredits, on terms that never change. Overdraft is repaid first.

    Raises BlockWouldBeExpired, BalanceTooLarge.
    """
    block_id = block_id or uuid7()
    cause = cause or Cause(source_type="grant", source_id=block_id, idempotency_key=idempotency_key)
    with transaction.atomic():
        answer = _moved(
            "billing_credits_grant_v1",
            caller=caller,
            customer=customer,
            now=now,
            block=block_id,
            kind="grant",
            credits=credits_mc,
            priority=priority,
            effective_at=effective_at,
            expires_at=expires_at,
            metric_keys=list(metric_keys) if metric_keys else None,
            source=source,
            price_paid=price_paid_minor,
            currency=currency,
            metadata=metadata or {},
            **_because(caller, cause, reason),
        )
        block = CreditBlock.objects.select_related("account").get(id=block_id)
        movement = _movement(customer, credits_mc, answer.entry_id, block)
        credit_granted(
            caller=caller,
            account=movement.account,
            block=block,
            amount_mc=credits_mc,
            entry_id=answer.entry_id,
            now=now,
        )
    return movement


def credits_adjust(
    *,
    caller: Caller,
    customer: Customer,
    delta_mc: int,
    reason: str = "",
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Movement:
    """Correct a balance by `delta_mc` ≠ 0: up repays overdraft and leaves what is left as a block, down drains in burn
    order.

    Raises InsufficientCredits (policy `block` and less available), BalanceTooLarge.
    """
    block_id = uuid7()
    cause = Cause(source_type="adjustment", source_id=uuid7(), idempotency_key=idempotency_key)
    with transaction.atomic():
        answer = _moved(
            "billing_credits_adjust_v1",
            caller=caller,
            customer=customer,
            now=now,
            delta=delta_mc,
            block=block_id,
            metadata=metadata,
            **_because(caller, cause, reason),
        )
        movement = _movement(customer, delta_mc, answer.entry_id, _block(block_id))
        credit_adjusted(
            caller=caller,
            account=movement.account,
            entry_id=answer.entry_id,
            amount_mc=delta_mc,
            reason=reason,
            now=now,
        )
    return movement


def credits_refund(
    *,
    caller: Caller,
    customer: Customer,
    entry_id: UUID,
    amount_mc: int | None = None,
    reason: str = "",
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Movement:
    """Give back `amount_mc` of a debit (None: all that is left of it) into the blocks it came from.

    What cannot go back there, because the block is dead, becomes a new one on its terms (the movement has the first of
    these). Raises LedgerEntryNotFound, NotADebit, ExceedsDebit, NothingLeftToRefund.
    """
    debit = LedgerEntry.objects.filter(id=entry_id, account_id=customer.id).first()
    if debit is None:
        raise LedgerEntryNotFound
    cause = Cause(source_type="refund", source_id=uuid7(), idempotency_key=idempotency_key)
    with transaction.atomic():
        answer = _moved(
            "billing_credits_refund_v1",
            caller=caller,
            customer=customer,
            now=now,
            entry=entry_id,
            amount=amount_mc,
            new_blocks=[uuid7() for _ in debit.block_ids],
            metadata=metadata,
            **_because(caller, cause, reason),
        )
        movement = _movement(customer, answer.refunded, answer.entry_id, _block(answer.block_id))
        credit_refunded(
            caller=caller,
            account=movement.account,
            entry_id=answer.entry_id,
            refunded_entry_id=entry_id,
            amount_mc=answer.refunded,
            reason=reason,
            now=now,
        )
    return movement


def credits_convert(
    *,
    caller: Caller,
    customer: Customer,
    price_mc: int,
    credits_mc: int,
    priority: int = 0,
    expires_at: datetime | None = None,
    metric_keys: Sequence[str] | None = None,
    source: str = "plan_grant",
    reason: str = "",
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Movement:
    """Debit a price from credits that any metric may burn, and grant what it buys: both or neither, as one entry.

    Raises InsufficientCredits, BlockWouldBeExpired, BalanceTooLarge.
    """
    block_id, conversion_id = uuid7(), uuid7()
    cause = Cause(source_type="conversion", source_id=conversion_id, idempotency_key=idempotency_key)
    with transaction.atomic():
        answer = _moved(
            "billing_credits_convert_v1",
            caller=caller,
            customer=customer,
            now=now,
            price=price_mc,
            block=block_id,
            credits=credits_mc,
            priority=priority,
            expires_at=expires_at,
            metric_keys=list(metric_keys) if metric_keys else None,
            source=source,
            metadata=metadata or {},
            **_because(caller, cause, reason),
        )
        block = CreditBlock.objects.select_related("account").get(id=block_id)
        movement = _movement(customer, credits_mc - price_mc, answer.entry_id, block)
        Conversion.objects.create(
            id=conversion_id,
            environment_id=caller.environment_id,
            account_id=customer.id,
            entry_id=answer.entry_id,
            price_mc=price_mc,
            credits_mc=credits_mc,
            occurred_at=movement.account.last_entry_at or now,
        )
        credit_granted(
            caller=caller,
            account=movement.account,
            block=block,
            amount_mc=credits_mc,
            entry_id=answer.entry_id,
            now=now,
        )
    return movement


def credits_rollover(
    *,
    caller: Caller,
    customer: Customer,
    from_block_id: UUID,
    credits_mc: int,
    priority: int,
    expires_at: datetime | None,
    cause: Cause,
    metadata: dict[str, Any] | None = None,
    now: datetime,
) -> Movement:
    """Move what nobody holds of a block into a new one. The balance stays as it is, and nothing counts as earned.

    `now` may be the instant at which the block dies: this comes first. The work that is due then must have put the
    account's `catch_up_at` out of the way. Raises InsufficientCredits when less is free, BlockWouldBeExpired.
    """
    block_id = uuid7()
    answer = _moved(
        "billing_credits_rollover_v1",
        caller=caller,
        customer=customer,
        now=now,
        from_block=from_block_id,
        block=block_id,
        credits=credits_mc,
        priority=priority,
        expires_at=expires_at,
        metadata=metadata or {},
        **_because(caller, cause, ""),
    )
    return _movement(
        customer, 0, answer.entry_id, CreditBlock.objects.select_related("account").get(id=block_id)
    )


def _movement(
    customer: Customer, amount_mc: int, entry_id: UUID | None, block: CreditBlock | None
) -> Movement:
    return Movement(
        account=block.account if block else CreditAccount.objects.get(customer_id=customer.id),
        amount_mc=amount_mc,
        entry_id=entry_id,
        block=block,
    )


def _block(block_id: UUID | None) -> CreditBlock | None:
    """With its account, as they are now."""
    return CreditBlock.objects.select_related("account").filter(id=block_id).first() if block_id else None


def _because(caller: Caller, cause: Cause, reason: str) -> dict[str, Any]:
    return {
        "source_type": cause.source_type,
        "source_id": cause.source_id,
        "actor": caller.actor,
        "reason": reason,
        "key": cause.idempotency_key,
        "request": caller.request_id,
    }


def _moved(function: str, *, caller: Caller, customer: Customer, now: datetime, **arguments: Any) -> Any:
    """The kernel's answer, or the refusal it stands for. The account is made at first touch."""
    answer = caught_up(
        lambda: call_function(
            function, environment=caller.environment_id, account=customer.id, now=now, **arguments
        ),
        environment_id=caller.environment_id,
        customer_id=customer.id,
        now=now,
    )
    refusal = _REFUSALS.get(answer.status)
    if refusal is not None:
        raise refusal
    return answer
