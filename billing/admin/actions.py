"""Grant and adjust, from a customer's page. The same services as the API's; the reason is required of people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from billing.admin.forms import AdjustForm, GrantForm
from billing.errors import InsufficientCredits
from billing.models import LedgerEntry
from billing.selectors.entries import last_adjusted
from billing.services.accounts import account_settle
from billing.services.credits import Movement, credits_adjust, credits_grant
from billing.services.reads import Credits, credits_read
from customers.admin.customer_panels import Act, CustomerAction, Limited, action_register
from customers.admin.dialogs import Change, Outcome
from customers.admin.display import credits_text, mc_text
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid
from customers.models import Customer
from customers.services.approval_deeds import MC


def _grant(act: Act) -> Outcome:
    before = _standing(act)
    adjusted = last_adjusted(account_id=act.customer.id)
    movement = credits_grant(
        caller=act.caller,
        customer=act.customer,
        credits_mc=act.data["credits_mc"],
        source=act.data["source"],
        priority=act.data["priority"],
        expires_at=act.data["expires_at"],
        reason=act.data["reason"],
        metadata=dict(act.metadata) or None,
        idempotency_key=act.idempotency_key,
        now=act.now,
    )
    assert movement.block is not None  # noqa: S101 - a grant makes one
    return Outcome(
        message=f"Granted {credits_text(movement.amount_mc)} credits to {act.customer.label}.",
        effect_id=movement.block.id,
        changes=movement_changes(before, movement),
        notes=tuple(movement_notes(movement)),
        effect=_effect(before, adjusted, movement),
    )


def _adjust(act: Act) -> Outcome:
    before = _standing(act)
    adjusted = last_adjusted(account_id=act.customer.id)
    try:
        movement = credits_adjust(
            caller=act.caller,
            customer=act.customer,
            delta_mc=act.data["delta_mc"],
            reason=act.data["reason"],
            metadata=dict(act.metadata) or None,
            idempotency_key=act.idempotency_key,
            now=act.now,
        )
    except InsufficientCredits:
        available = credits_text(max(before.effective_mc, 0))
        raise InsufficientCredits(
            f"Not enough credits: {available} can be taken from this customer."
        ) from None
    return Outcome(
        message=f"Adjusted {act.customer.label} by {credits_text(movement.amount_mc)} credits.",
        effect_id=movement.entry_id,
        changes=movement_changes(before, movement),
        notes=tuple(movement_notes(movement)),
        effect=_effect(before, adjusted, movement),
    )


def movement_standing(caller: Caller, customer: Customer, now: datetime) -> Credits:
    """Where a customer stands before credits move: under the account's lock, so that nothing comes between."""
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)
    return credits_read(environment_id=caller.environment_id, by="id", reference=customer.public_id, now=now)


def _standing(act: Act) -> Credits:
    return movement_standing(act.caller, act.customer, act.now)


def _effect(before: Credits, adjusted: UUID | None, movement: Movement) -> tuple[str, ...]:
    """What an approval is good for: this amount, out of these blocks, while nobody gave or corrected anything else.

    Not the balance: a customer who uses credits all day could never be given any.
    """
    drained: list[str] = []
    if movement.amount_mc < 0 and movement.entry_id is not None:
        entry = LedgerEntry.objects.get(id=movement.entry_id)
        drained = sorted(str(block_id) for block_id in entry.block_ids)
    return (
        f"{movement.amount_mc} mc",
        f"earned {before.lifetime_earned_mc}",
        f"adjusted {adjusted}",
        *drained,
    )


def movement_changes(before: Credits, movement: Movement) -> list[Change]:
    """What a movement did to the account's numbers."""
    after = movement.account
    lines = (
        ("Balance", before.balance_mc, after.balance_mc),
        ("Reserved", before.reserved_mc, after.reserved_mc),
        ("Effective", before.effective_mc, after.effective_mc),
    )
    return [Change.of_credits(label, old, new) for label, old, new in lines]


def movement_notes(movement: Movement) -> Iterator[str]:
    """What the numbers do not say: the exact amount, and which blocks it touches."""
    yield f"{mc_text(movement.amount_mc)} in all."
    entry = LedgerEntry.objects.filter(id=movement.entry_id).first() if movement.entry_id else None
    made = movement.block.id if movement.block else None
    for block_id, amount in zip(entry.block_ids, entry.block_amounts, strict=True) if entry else ():
        if block_id is None:
            yield f"{credits_text(abs(amount))} credits {'repay overdraft' if amount > 0 else 'go into overdraft'}."
        elif block_id == made:
            yield f"{credits_text(amount)} credits become a new block."
        else:
            way = "into" if amount > 0 else "out of"
            yield f"{credits_text(abs(amount))} credits {way} block {typeid('blk', block_id)}."


action_register(
    CustomerAction(
        slug="grant",
        label="Grant",
        title="Grant credits",
        submit="Grant credits",
        icon="add_card",
        order=10,
        permission="billing.grant_credits",
        form=GrantForm,
        perform=_grant,
        limited=Limited(deed="credits.grant", amount=lambda _, data: (data["credits_mc"], MC)),
        is_primary=True,
        intro="Makes one block, on terms that never change. Overdraft is repaid first.",
    )
)
action_register(
    CustomerAction(
        slug="adjust",
        label="Adjust",
        title="Adjust balance",
        submit="Adjust balance",
        icon="tune",
        order=20,
        permission="billing.adjust_credits",
        form=AdjustForm,
        perform=_adjust,
        limited=Limited(deed="credits.adjust", amount=lambda _, data: (abs(data["delta_mc"]), MC)),
        intro="Corrects a balance by an entry of its own. Up repays overdraft and leaves a block, down drains blocks.",
    )
)
