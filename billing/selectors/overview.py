"""An environment's credits in a few numbers, for the home page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.lookups import LessThanOrEqual

from billing.models import VerificationRun
from customers.kernel.database import call_one
from customers.models import Customer

# Accounts on which time has done something that nobody booked yet are read through the kernel, the others as they are.
# Work of higher apps that is due is not done for a sum over everybody: the kernel tells what is known so far.
_TOTALS: Final = """
WITH standing AS (
  SELECT balance_mc, reserved_mc FROM billing_credit_account
    WHERE environment_id = $1 AND (next_change_at IS NULL OR next_change_at > $2)
  UNION ALL
  SELECT r.balance, r.reserved FROM billing_credit_account a JOIN customers_customer c ON c.id = a.customer_id
    CROSS JOIN LATERAL billing_credits_read_v1($1, 'id', c.public_id, 'none', $2, NULL) r
    WHERE a.environment_id = $1 AND a.next_change_at <= $2
)
SELECT coalesce(sum(greatest(balance_mc, 0)), 0)::bigint, coalesce(sum(greatest(-balance_mc, 0)), 0)::bigint,
  coalesce(sum(reserved_mc), 0)::bigint, count(*), count(*) FILTER (WHERE balance_mc < 0),
  (SELECT count(*) FROM billing_hold WHERE environment_id = $1 AND state = 'active'),
  EXISTS (SELECT FROM billing_credit_block WHERE environment_id = $1)
FROM standing
"""

_EFFECTIVE: Final = F("credit_account__balance_mc") - F("credit_account__reserved_mc")
_SPENT: Final = Q(LessThanOrEqual(_EFFECTIVE, 0), credit_account__lifetime_earned_mc__gt=0)
_LOW: Final = Q(LessThanOrEqual(_EFFECTIVE, F("low_balance_threshold_mc"))) | _SPENT
_OVERDRAWN: Final = Q(credit_account__overdraft_mc__gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTotals:
    """All accounts of an environment together, in mc."""

    outstanding_mc: int
    overdraft_mc: int
    reserved_mc: int
    accounts: int
    overdrawn: int
    open_holds: int
    has_blocks: bool


def credit_totals(*, environment_id: UUID, now: datetime) -> CreditTotals:
    """What all customers have at `now`, whether or not any worker has run."""
    row = call_one(_TOTALS, [environment_id, now]) or (0, 0, 0, 0, 0, 0, False)
    return CreditTotals(
        outstanding_mc=row[0],
        overdraft_mc=row[1],
        reserved_mc=row[2],
        accounts=row[3],
        overdrawn=row[4],
        open_holds=row[5],
        has_blocks=row[6],
    )


def low_balances() -> QuerySet[Customer]:
    """Living customers whose effective balance is at their threshold or below, or who have nothing left to spend."""
    return Customer.objects.filter(_LOW, deleted_at__isnull=True)


def lowest_balances(*, limit: int) -> tuple[int, list[Customer]]:
    """How many customers are low, and who of them is lowest, in one query."""
    rows = low_balances().select_related("credit_account").annotate(how_many=Window(Count("*")))
    lowest: list[Any] = list(rows.order_by("credit_account__balance_mc", "id")[:limit])
    return (lowest[0].how_many if lowest else 0), lowest


def overdrawn() -> QuerySet[Customer]:
    """Living customers in overdraft."""
    return Customer.objects.filter(_OVERDRAWN, deleted_at__isnull=True)


def last_verification() -> VerificationRun | None:
    """The latest proof of the whole ledger."""
    return VerificationRun.objects.filter(customer_id__isnull=True).order_by("-id").first()
