"""A customer's end in one transaction: what the sources tell people to do by hand, in the order in which it is safe."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from billing.models import Hold, HoldState
from billing.services.accounts import account_balance, account_settle
from billing.services.auto_topups import auto_topup_remove
from billing.services.credits import credits_adjust
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text
from customers.models import Customer, Environment
from customers.services.customers import customer_delete
from metering.services.reservations import reservation_release
from subscriptions.models import LIVE_STATES, Subscription, WindDown
from subscriptions.services.actions import subscription_cancel

#: Keys of our own; no caller's key begins with §.
_KEY: Final = "§wind-down:"


def customer_wind_down(
    *,
    caller: Caller,
    customer: Customer,
    reason: str = "",
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> WindDown:
    """Release holds, void the balance, delete the customer. What they owe stays owed, and is told.

    `metadata` is for the entry that voids.
    Raises what its parts raise; then nothing has happened.
    """
    with transaction.atomic():
        return WindDown.objects.create(
            environment_id=caller.environment_id,
            customer_id=customer.id,
            reason=reason,
            outcome=_wind_down(caller, customer, reason, metadata, now),
            actor=caller.actor,
            idempotency_key=idempotency_key,
            request_id=caller.request_id,
            created_at=now,
        )


def wind_down_preview(
    *, caller: Caller, customer: Customer, reason: str = "", now: datetime
) -> dict[str, Any]:
    """What it would do: the same work, undone."""
    with transaction.atomic():
        outcome = _wind_down(caller, customer, reason, None, now)
        transaction.set_rollback(True)
    # The entry is gone again, so its id names nothing.
    return {**outcome, "ledger_entry_id": None}


def _wind_down(
    caller: Caller, customer: Customer, reason: str, metadata: dict[str, Any] | None, now: datetime
) -> dict[str, Any]:
    """The order matters: voiding must not ask for a topup, and what is held cannot be voided.

    The account comes first of all: who needs both takes it before the customer's row.
    """
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)
    auto_topup_remove(caller=caller, customer=customer, now=now)
    canceled = _cancel_subscriptions(caller, customer, reason, now)
    released = _release_holds(caller, customer, now)
    pending = call_function(
        "billing_pending_blocks_void_v1", environment=caller.environment_id, account=customer.id, now=now
    )
    voided_mc, entry_id = _void_balance(caller, customer, reason, metadata, now)
    deleted = customer_delete(caller=caller, customer_id=customer.id, reason=reason, now=now)
    balance_mc = account_balance(customer_id=customer.id)
    return {
        "reservations_released": released,
        "pending_credits_voided": pending.credits,
        "credits_voided": voided_mc,
        "ledger_entry_id": typeid("led", entry_id) if entry_id else None,
        "balance": balance_mc,
        "amount_owed": max(-balance_mc, 0),
        "subscriptions_canceled": canceled,
        "deleted_at": instant_text(deleted.deleted_at) if deleted.deleted_at else None,
    }


def _cancel_subscriptions(caller: Caller, customer: Customer, reason: str, now: datetime) -> list[str]:
    live = Subscription.objects.filter(customer_id=customer.id, status__in=LIVE_STATES).order_by("id")
    ids = list(live.values_list("id", flat=True))
    for subscription_id in ids:
        subscription_cancel(
            caller=caller,
            subscription_id=subscription_id,
            immediately=True,
            falls_back=False,
            reason=reason or "Wind-down",
            now=now,
        )
    return [typeid("sub", subscription_id) for subscription_id in ids]


def _release_holds(caller: Caller, customer: Customer, now: datetime) -> list[dict[str, Any]]:
    # What has run out already ends by itself, first.
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)
    version = Environment.objects.values_list("config_version", flat=True).get(id=caller.environment_id)
    holds = Hold.objects.filter(account_id=customer.id, state=HoldState.ACTIVE).order_by("id")
    released = []
    for hold_id, amount_mc in list(holds.values_list("id", "amount_mc")):
        reservation_release(
            caller=caller,
            config_version=version,
            reservation_id=hold_id,
            key=_KEY + typeid("res", hold_id),
            now=now,
        )
        released.append({"reservation_id": typeid("res", hold_id), "amount": amount_mc})
    return released


def _void_balance(
    caller: Caller, customer: Customer, reason: str, metadata: dict[str, Any] | None, now: datetime
) -> tuple[int, UUID | None]:
    balance_mc = account_balance(customer_id=customer.id)
    if balance_mc <= 0:
        return 0, None
    movement = credits_adjust(
        caller=caller,
        customer=customer,
        delta_mc=-balance_mc,
        reason=reason or "Wind-down",
        metadata=metadata,
        now=now,
    )
    return balance_mc, movement.entry_id
