"""What billing tells the world: its webhook events, and how each is put together from what just happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.models import CreditAccount, CreditBlock, Invoice, Topup
from customers.events import event_type
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text
from customers.services.outbox import event_emit

_BALANCES: Final = {"balance": 99000, "reserved_balance": 0, "effective_balance": 99000}
_BLOCK: Final = "blk_01k7x3s9c5ef6v8b2n4m6q8r0t"
_ENTRY: Final = "led_01k7x3s9c5ef6v8b2n4m6q8r0t"

event_type(
    "credit.granted",
    "Credits were given: a grant, a topup, a plan's budget, or the plan half of a conversion.",
    {
        "block_id": _BLOCK,
        "ledger_entry_id": _ENTRY,
        "amount": 100000,
        "source": "promotional",
        "priority": 0,
        "effective_at": "2026-04-03T09:01:00Z",
        "expires_at": None,
        **_BALANCES,
    },
    # Without an entry while it is dated ahead.
    nullable={"ledger_entry_id"},
)
event_type(
    "credit.consumed",
    "A debit: usage, or a commit of a reservation. Only for endpoints that name it; `*` and `credit.*` do not.",
    {
        "ledger_entry_id": _ENTRY,
        "amount": 1000,
        "source": {"type": "event", "id": "evt_01k7x3s9c5ef6v8b2n4m6q8r0t"},
        **_BALANCES,
    },
)
event_type(
    "credit.adjusted",
    "A balance was corrected by hand or by a call, up or down.",
    {"ledger_entry_id": _ENTRY, "amount": -1000, "reason": "duplicate import", **_BALANCES},
)
event_type(
    "credit.refunded",
    "All or part of a debit was given back.",
    {"ledger_entry_id": _ENTRY, "amount": 1000, "refunded_entry_id": _ENTRY, "reason": "", **_BALANCES},
)
event_type(
    "credit.expired",
    "Credits reached the end of their block's life unused.",
    {"block_ids": [_BLOCK], "amount": 5000, "balance": 99000, "effective_balance": 99000},
)
event_type(
    "credit.balance_low",
    "The effective balance fell to the customer's threshold; said once per crossing.",
    {"threshold": 10000, **_BALANCES},
)
event_type(
    "credit.overage",
    "A debit went beyond what the blocks cover, with the policy `notify`; said once, until the overdraft is repaid.",
    {"amount": 500, "overdraft": 500, "balance": -500},
)
event_type(
    "reservation.expired",
    "A reservation's time ran out; its credits went back.",
    {
        "reservation_id": "res_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "reserved_amount": 5000,
        "balance": 99000,
        "effective_balance": 99000,
    },
)
event_type(
    "topup.granted",
    "Credits that were bought arrived. `credit.granted` tells of the same credits.",
    {
        "topup_id": "top_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "block_id": _BLOCK,
        "ledger_entry_id": _ENTRY,
        "credits": 100000,
        "bonus_credits": 0,
        "price_paid": 1000,
        "currency": "usd",
        "package_id": None,
        "external_payment_id": "pi_123",
        "topup_request_id": None,
        **_BALANCES,
    },
    nullable={"price_paid", "currency", "external_payment_id"},
)
event_type(
    "topup.requested",
    "The effective balance fell to the auto-topup's threshold: charge the customer, then grant a topup that names the "
    "request. Said once; nothing else is asked for while the request is open.",
    {
        "topup_request_id": "tpr_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "package_id": "pkg_01k7x3s9c5ef6v8b2n4m6q8r0t",
        "credits": 100000,
        "bonus_credits": 0,
        "price": 1000,
        "currency": "usd",
        "threshold": 10000,
        "balance": 9000,
        "reserved_balance": 0,
        "effective_balance": 9000,
    },
)

_INVOICE: Final[dict[str, Any]] = {
    "invoice_id": "inv_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "number": "INV-000042",
    "status": "issued",
    "currency": "usd",
    "period_start": "2026-04-01T00:00:00Z",
    "period_end": "2026-05-01T00:00:00Z",
    "subtotal": 14900,
    "tax": 0,
    "credits_applied": 0,
    "total_amount": 14900,
    "amount_paid": 0,
    "amount_due": 14900,
    "due_date": "2026-05-15T00:00:00Z",
}
_INVOICE_PAID: Final = {**_INVOICE, "status": "paid", "amount_paid": 14900, "amount_due": 0}
_PAYMENT: Final = {
    "payment_id": "pay_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "payment_intent_id": "pi_3Nx8kStripe123456",
    "provider": "stripe",
    "attempt": 1,
}
event_type(
    "invoice.issued",
    "An invoice got its number: its amounts stand, and the customer owes them. One that comes to nothing is "
    "`invoice.paid` right after.",
    _INVOICE,
)
event_type(
    "invoice.paid",
    "All of an invoice is paid: by a provider, by hand, by credit, or because a credit note took back what was due.",
    {**_INVOICE_PAID, "amount": 14900, **_PAYMENT},
    nullable=_PAYMENT,
)
event_type(
    "invoice.payment_failed",
    "An attempt to charge an invoice failed; it stays open. `next_attempt_at` says when it is tried again by itself.",
    {
        **_INVOICE,
        **_PAYMENT,
        "failure_code": "card_declined",
        "failure_message": "The card was declined.",
        "next_attempt_at": "2026-05-04T00:00:00Z",
    },
    nullable={*_PAYMENT, "next_attempt_at"},
)
event_type(
    "invoice.voided",
    "An invoice was voided: nobody owes it, and what it billed can be billed again.",
    {**_INVOICE, "status": "void", "amount_due": 0, "reason": "Wrong plan"},
)
event_type(
    "invoice.uncollectible",
    "An invoice was given up: all attempts to charge it failed, or somebody said so.",
    {**_INVOICE, "status": "uncollectible"},
)


def invoice_event(
    *, caller: Caller, invoice: Invoice, what: str, data: Mapping[str, Any] | None = None, now: datetime
) -> None:
    """`invoice.<what>`: the invoice as it is now, and what `data` adds."""
    told = {
        "invoice_id": invoice.public_id,
        "number": invoice.number,
        "status": invoice.status,
        "currency": invoice.currency,
        "period_start": instant_text(invoice.period_start),
        "period_end": invoice.period_end_shown or instant_text(invoice.period_end),
        "subtotal": invoice.subtotal_minor,
        "tax": invoice.tax_minor,
        "credits_applied": invoice.credits_applied_minor,
        "total_amount": invoice.total_minor,
        "amount_paid": invoice.paid_minor,
        "amount_due": invoice.amount_due_minor,
        "due_date": instant_text(invoice.due_at) if invoice.due_at else None,
        **(data or {}),
    }
    event_emit(caller=caller, event=f"invoice.{what}", customer=invoice.customer_id, data=told, now=now)


def topup_granted(
    *, caller: Caller, account: CreditAccount, topup: Topup, block_id: UUID, entry_id: UUID, now: datetime
) -> None:
    """`topup.granted`."""
    request = topup.topup_request_id
    data = {
        "topup_id": topup.public_id,
        "block_id": typeid("blk", block_id),
        "ledger_entry_id": typeid("led", entry_id),
        "credits": topup.credits_mc,
        "bonus_credits": topup.bonus_credits_mc,
        "price_paid": topup.price_paid_minor,
        "currency": topup.currency,
        "package_id": typeid("pkg", topup.package_id) if topup.package_id else None,
        "external_payment_id": topup.external_payment_id,
        "topup_request_id": typeid("tpr", request) if request else None,
        **_balances(account),
    }
    event_emit(caller=caller, event="topup.granted", customer=account.customer_id, data=data, now=now)


def credit_granted(
    *,
    caller: Caller,
    account: CreditAccount,
    block: CreditBlock,
    amount_mc: int,
    entry_id: UUID | None,
    now: datetime,
) -> None:
    """`credit.granted`; without an entry yet when the block starts later."""
    data = {
        "block_id": block.public_id,
        "ledger_entry_id": typeid("led", entry_id) if entry_id else None,
        "amount": amount_mc,
        "source": block.source,
        "priority": block.priority,
        "effective_at": instant_text(block.effective_at),
        "expires_at": instant_text(block.expires_at) if block.expires_at else None,
        **_balances(account),
    }
    event_emit(caller=caller, event="credit.granted", customer=account.customer_id, data=data, now=now)


def credit_adjusted(
    *, caller: Caller, account: CreditAccount, entry_id: UUID, amount_mc: int, reason: str, now: datetime
) -> None:
    """`credit.adjusted`."""
    data = {
        "ledger_entry_id": typeid("led", entry_id),
        "amount": amount_mc,
        "reason": reason,
        **_balances(account),
    }
    event_emit(caller=caller, event="credit.adjusted", customer=account.customer_id, data=data, now=now)


def credit_refunded(
    *,
    caller: Caller,
    account: CreditAccount,
    entry_id: UUID,
    refunded_entry_id: UUID,
    amount_mc: int,
    reason: str,
    now: datetime,
) -> None:
    """`credit.refunded`."""
    data = {
        "ledger_entry_id": typeid("led", entry_id),
        "amount": amount_mc,
        "refunded_entry_id": typeid("led", refunded_entry_id),
        "reason": reason,
        **_balances(account),
    }
    event_emit(caller=caller, event="credit.refunded", customer=account.customer_id, data=data, now=now)


def _balances(account: CreditAccount) -> dict[str, Any]:
    return {
        "balance": account.balance_mc,
        "reserved_balance": account.reserved_mc,
        "effective_balance": account.effective_mc,
    }
