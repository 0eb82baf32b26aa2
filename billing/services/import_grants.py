"""Rows that are grants, such as the balances with which customers come from another system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from django.db.models import Q

from billing.models import (
    BlockSource,
    BlockState,
    CreditAccount,
    CreditBlock,
    EntryKind,
    Invoice,
    LedgerEntry,
)
from billing.selectors.effects import block_of_key
from billing.services.block_voids import block_void
from billing.services.credits import credits_grant
from customers.errors import DomainError, FieldError, IdempotencyKeyReused, ImportRowStays, ValidationFailed
from customers.kernel.amounts import AMOUNT_MAX, credits_spelled
from customers.kernel.caller import Caller
from customers.models import Customer, RowOutcome, RowReversal
from customers.services.customers import customer_resolve
from customers.services.import_cells import (
    CellRefusedError,
    read_credits,
    read_instant,
    read_key,
    read_list,
    read_object,
    read_reason,
    read_whole,
)
from customers.services.import_kinds import (
    CUSTOMER_FIELDS,
    Effect,
    ImportField,
    ImportKind,
    Reversed,
    RowWish,
    customer_reference,
    each_alone,
    key_of_row,
)

_METRICS_MAX: Final = 50
_METRIC_KEY_MAX: Final = 64
_PRIORITY_MAX: Final = 100


def _bring(caller: Caller, wishes: Sequence[RowWish], now: datetime) -> list[Effect | DomainError]:
    """Accounts are locked in the order of their customers, as batches of usage lock them."""
    found = {wish.position: _customer(caller, wish.values) for wish in wishes}
    ordered = sorted(wishes, key=lambda wish: _place(found[wish.position]))

    def grant(wish: RowWish) -> Effect:
        customer = found[wish.position]
        if isinstance(customer, DomainError):
            raise customer
        return _granted(caller, customer, wish, now)

    outcomes = dict(zip((wish.position for wish in ordered), each_alone(ordered, grant), strict=True))
    return [outcomes[wish.position] for wish in wishes]


def _customer(caller: Caller, values: Mapping[str, Any]) -> Customer | DomainError:
    try:
        by, reference = customer_reference(values)
        kind: Literal["id", "external"] = "id" if by == "id" else "external"
        return customer_resolve(environment_id=caller.environment_id, by=kind, reference=reference)
    except DomainError as refusal:
        return refusal


def _place(customer: Customer | DomainError) -> str:
    return "" if isinstance(customer, DomainError) else str(customer.id)


def _granted(caller: Caller, customer: Customer, wish: RowWish, now: datetime) -> Effect:
    terms = dict(wish.values)
    credits_mc = _credits(terms)
    key = terms.pop("idempotency_key", wish.key)
    earlier = block_of_key(environment_id=caller.environment_id, cause_type="grant", key=key)
    if earlier is not None:
        return _granted_before(customer, earlier)
    for name in ("customer_id", "external_customer_id", "credits", "credits_mc"):
        terms.pop(name, None)
    movement = credits_grant(
        caller=caller, customer=customer, credits_mc=credits_mc, idempotency_key=key, now=now, **terms
    )
    assert movement.block is not None  # noqa: S101 - a grant makes one
    return _effect(RowOutcome.MADE, customer, movement.block, credits_mc)


def _credits(terms: Mapping[str, Any]) -> int:
    if "credits" in terms and "credits_mc" in terms:
        raise _refused("credits", "Give credits or credits_mc, not both.")
    amount: int = terms["credits"] if "credits" in terms else terms["credits_mc"]
    if not 0 < amount <= AMOUNT_MAX:
        raise _refused("credits", "Must be above 0.")
    return amount


def _granted_before(customer: Customer, block_id: UUID) -> Effect:
    block = CreditBlock.objects.get(id=block_id)
    if block.account_id != customer.id:
        raise IdempotencyKeyReused
    return _effect(RowOutcome.UNCHANGED, customer, block, 0)


def _effect(outcome: RowOutcome, customer: Customer, block: CreditBlock, credits_mc: int) -> Effect:
    return Effect(
        outcome=outcome,
        object_type="block",
        object_id=block.id,
        label=block.public_id,
        details={"credits": credits_mc, "customer": customer.label[:255]},
    )


def _take_back(caller: Caller, effect: Effect, reason: str, now: datetime) -> Reversed:
    block = CreditBlock.objects.select_related("account__customer").get(id=effect.object_id)
    if block.state == BlockState.VOIDED:
        raise ImportRowStays("The block was voided before.")
    voided = block_void(
        caller=caller, customer=block.account.customer, block_id=block.id, reason=reason, now=now
    )
    gone = effect.details["credits"] - voided.taken_mc
    if gone == 0:
        return Reversed()
    taken, granted = credits_spelled(voided.taken_mc), credits_spelled(effect.details["credits"])
    note = f"{taken} of {granted} credits were left, and are taken back."
    return Reversed(outcome=RowReversal.PARTLY, note=note)


def customer_has_value(customer_id: UUID) -> str | None:
    """Why a customer cannot be taken back, as far as credits and money go. What left as it came in is no reason."""
    account = CreditAccount.objects.filter(customer_id=customer_id).first()
    if account is None:
        return None
    if account.balance_mc or account.reserved_mc:
        return "The customer has credits, owes some, or holds some."
    if CreditBlock.objects.filter(account_id=customer_id, state=BlockState.PENDING).exists():
        return "Credits of the customer start later."
    moved = LedgerEntry.objects.filter(account_id=customer_id).exclude(
        Q(kind=EntryKind.GRANT) | Q(kind=EntryKind.ADJUST)
    )
    if moved.exists():
        return "The customer has used credits."
    return "The customer has invoices." if Invoice.objects.filter(customer_id=customer_id).exists() else None


def _refused(name: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(name, "invalid", message)])


def _source(text: str) -> str:
    if text not in BlockSource.values:
        raise CellRefusedError(f"Must be one of {', '.join(BlockSource.values)}.")
    return text


def _priority(text: str) -> int:
    priority = read_whole(text)
    if not 0 <= priority <= _PRIORITY_MAX:
        raise CellRefusedError(f"Must be from 0 to {_PRIORITY_MAX}.")
    return priority


def _metric_keys(text: str) -> list[str]:
    keys = read_list(text)
    if not 0 < len(keys) <= _METRICS_MAX or any(not 0 < len(key) <= _METRIC_KEY_MAX for key in keys):
        raise CellRefusedError(f"Must be 1 to {_METRICS_MAX} keys of at most {_METRIC_KEY_MAX} characters.")
    return keys


GRANTS: Final = ImportKind(
    name="grants",
    title="Grants and opening balances",
    intro="A row gives a customer who is there one block of credits, with a source and a reason.",
    resource="credits",
    fields=(
        *CUSTOMER_FIELDS,
        ImportField(
            name="credits",
            label="Credits",
            read=read_credits,
            aliases=("balance", "opening_balance", "amount", "remaining"),
            hint="12.5 is 12,500 mc.",
        ),
        ImportField(
            name="credits_mc",
            label="Credits, in mc",
            read=read_whole,
            aliases=("amount_mc", "balance_mc", "remaining_mc", "millicredits", "mc"),
            hint="12500 is 12.5 credits.",
        ),
        ImportField(
            name="source",
            label="Source",
            read=_source,
            hint=f"One of {', '.join(BlockSource.values)}; else manual.",
        ),
        ImportField(name="reason", label="Reason", read=read_reason, aliases=("description", "note")),
        ImportField(name="priority", label="Priority", read=_priority, hint="0 to 100; 10 burns before 0."),
        ImportField(
            name="effective_at",
            label="Starts",
            read=read_instant,
            aliases=("starts", "starts_at", "valid_from"),
        ),
        ImportField(
            name="expires_at",
            label="Expires",
            read=read_instant,
            aliases=("expires", "expiry", "expiry_date", "valid_until"),
        ),
        ImportField(name="metric_keys", label="Only for metrics", read=_metric_keys, aliases=("metrics",)),
        ImportField(
            name="idempotency_key",
            label="Idempotency key",
            read=read_key,
            aliases=("key", "transaction_id"),
            hint="Once for ever: a grant under a known key is not made again.",
        ),
        ImportField(name="metadata", label="Metadata", read=read_object, hint="A JSON object."),
    ),
    needs=(("external_customer_id", "customer_id"), ("credits_mc", "credits"), ("reason",)),
    bring=_bring,
    take_back=_take_back,
    identity=key_of_row,
    page=50,
    amount=("credits", "credits"),
    deeds=("credits.grant", "credits.adjust"),
    reversal="What is left of exactly these blocks is taken back. What was spent, is held, or repaid an overdraft "
    "stays.",
)
