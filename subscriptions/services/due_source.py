"""What a test clock has to do for subscriptions: renewals, grants, ends of trials, periods and contracts."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.services.catch_up import catch_up_run
from customers.kernel.database import call_all, call_one
from customers.services.due_work import Moment

_NEXT: Final = (
    "SELECT s.next_due_at, coalesce(c.external_id, c.public_id) FROM subscriptions_subscription s "
    "JOIN customers_customer c ON c.id = s.customer_id "
    "WHERE s.environment_id = $1 AND s.next_due_at IS NOT NULL AND s.failed_at IS NULL "
    "ORDER BY s.next_due_at LIMIT 1"
)
_DUE: Final = (
    "SELECT DISTINCT customer_id FROM subscriptions_subscription "
    "WHERE environment_id = $1 AND next_due_at <= $2 AND failed_at IS NULL AND customer_id > $3 "
    "ORDER BY customer_id LIMIT $4"
)
_LATEST: Final = (
    "SELECT greatest((SELECT max(starts_at) FROM subscriptions_period WHERE environment_id = $1), "
    "(SELECT max(occurred_at) FROM subscriptions_change WHERE environment_id = $1))"
)
_CUSTOMERS_OF_A_BATCH: Final = 500


def subscriptions_next_due(*, environment_id: UUID) -> Moment | None:
    """The first instant at which anything is due for a subscription; parked ones wait for somebody to retry them."""
    row = call_one(_NEXT, [environment_id])
    return Moment(at=row[0], what=f"the subscription of {row[1]}") if row else None


def subscriptions_run(*, environment_id: UUID, at: datetime) -> int:
    """Do what is due by `at`, customer by customer; returns how many those were."""
    customers, last = 0, UUID(int=0)
    while due := call_all(_DUE, [environment_id, at, last, _CUSTOMERS_OF_A_BATCH]):
        for (customer_id,) in due:
            catch_up_run(environment_id=environment_id, customer_id=customer_id, now=at)
        customers, last = customers + len(due), due[-1][0]
    return customers


def subscriptions_latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last thing that was done to a subscription, or the start of its last period."""
    row = call_one(_LATEST, [environment_id])
    return None if row is None or row[0] is None else Moment(at=row[0], what="a subscription's life")
