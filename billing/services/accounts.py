"""Accounts themselves: locked, brought up to date, and told what higher apps push down to them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from billing.services.catch_up import caught_up
from customers.kernel.database import call_function, call_one
from customers.models import Customer


def account_settle(*, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Lock an account, making it at first touch, and do all that is due on it by `now`, higher apps' work too."""
    caught_up(
        lambda: call_function(
            "billing_account_settle_v1", environment=environment_id, account=customer_id, now=now
        ),
        environment_id=environment_id,
        customer_id=customer_id,
        now=now,
    )


def account_lock(*, environment_id: UUID, customer_id: UUID, now: datetime) -> bool:
    """Lock an account for the rest of the transaction, settled to `now` or to just before its `catch_up_at`.

    For whoever does the work that is due then: what dies at that very instant is still there. Returns whether the
    account says that there is such work.
    """
    answer = call_function(
        "billing_account_settle_v1", environment=environment_id, account=customer_id, now=now
    )
    is_due: bool = answer.status == "catch-up-due"
    return is_due


def account_lock_first(environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Of a customer whose row is about to be locked as well; of one who is not there, nothing."""
    if Customer.objects.filter(id=customer_id, environment_id=environment_id).exists():
        account_lock(environment_id=environment_id, customer_id=customer_id, now=now)


def account_balance(*, customer_id: UUID) -> int:
    """The balance in mc as it is stored: for whoever holds the account's lock."""
    row = call_one("SELECT balance_mc FROM billing_credit_account WHERE customer_id = $1", [customer_id])
    assert row is not None  # noqa: S101 - a lock has made the account
    balance_mc: int = row[0]
    return balance_mc


def account_configure(
    *,
    environment_id: UUID,
    customer_id: UUID,
    catch_up_at: datetime | None,
    cycle_started_at: datetime | None,
    cycle_ends_at: datetime | None,
    plan_variant_id: UUID | None,
    usage_suspended: str | None,
    now: datetime,
) -> None:
    """Push down all that higher apps say of an account: the only way they do.

    Settles as account_lock does. Whoever works off an instant tells `now` as just before it, so that nothing dies of
    the configuration alone.
    """
    call_function(
        "billing_account_configure_v1",
        environment=environment_id,
        account=customer_id,
        catch_up_at=catch_up_at,
        cycle_started_at=cycle_started_at,
        cycle_ends_at=cycle_ends_at,
        plan_variant=plan_variant_id,
        usage_suspended=usage_suspended,
        now=now,
    )
