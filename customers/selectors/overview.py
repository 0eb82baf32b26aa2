"""An environment's customers and webhook events in a few numbers, for the home page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from customers.kernel.database import call_one

#: Nobody needs to know how much more than this is waiting.
WAITING_MAX: Final = 10_000

_COUNTS: Final = """
SELECT (SELECT count(*) FROM customers_customer WHERE environment_id = $1 AND deleted_at IS NULL),
  (SELECT count(*) FROM (SELECT 1 FROM customers_outbox_event
    WHERE environment_id = $1 AND dispatched_at IS NULL LIMIT $2::bigint) waiting),
  (SELECT min(occurred_at) FROM (SELECT occurred_at FROM customers_outbox_event
    WHERE environment_id = $1 AND dispatched_at IS NULL ORDER BY id LIMIT 1) oldest),
  count(*), count(*) FILTER (WHERE status = 'active' AND failures > 0), count(*) FILTER (WHERE status = 'disabled'),
  (SELECT count(*) FROM (SELECT 1 FROM customers_webhook_delivery
    WHERE environment_id = $1 AND state = 'dead' LIMIT 1000) dead)
FROM customers_webhook_endpoint WHERE environment_id = $1 AND deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookHealth:
    """An environment's webhooks in four numbers; the dead stop being counted at 1,000."""

    endpoints: int
    failing: int
    disabled: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerTotals:
    """`waiting` webhook events stop being counted at WAITING_MAX."""

    customers: int
    waiting: int
    waiting_since: datetime | None
    webhooks: WebhookHealth


def customer_totals(*, environment_id: UUID) -> CustomerTotals:
    """How many customers there are, how many webhook events wait, and how their endpoints fare. In one query."""
    row = call_one(_COUNTS, [environment_id, WAITING_MAX]) or (0, 0, None, 0, 0, 0, 0)
    health = WebhookHealth(endpoints=row[3], failing=row[4], disabled=row[5], dead=row[6])
    return CustomerTotals(customers=row[0], waiting=row[1], waiting_since=row[2], webhooks=health)
