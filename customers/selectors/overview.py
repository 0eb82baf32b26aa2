"""An environment's customers and webhook events in a few numbers, for the home page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from customers.kernel.database import call_one
from customers.models import Approval
from customers.selectors.approvals import ALARM, ApprovalTotals

#: Nobody needs to know how much more than this is waiting.
WAITING_MAX: Final = 10_000

_COUNTS: Final = """
SELECT (SELECT count(*) FROM customers_customer WHERE environment_id = $1 AND deleted_at IS NULL),
  (SELECT count(*) FROM (SELECT 1 FROM customers_outbox_event WHERE environment_id = $1 AND dispatched_at IS NULL
    UNION ALL SELECT 1 FROM customers_untold_debit WHERE environment_id = $1 LIMIT $2::bigint) waiting),
  (SELECT min(occurred_at) FROM (
    (SELECT occurred_at FROM customers_outbox_event
      WHERE environment_id = $1 AND dispatched_at IS NULL ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT occurred_at FROM customers_untold_debit WHERE environment_id = $1 LIMIT $2::bigint)) oldest),
  count(*), count(*) FILTER (WHERE status = 'active' AND failures > 0), count(*) FILTER (WHERE status = 'disabled'),
  (SELECT count(*) FROM (SELECT 1 FROM customers_webhook_delivery
    WHERE environment_id = $1 AND state = 'dead' LIMIT 1000) dead),
  (SELECT count(*) FROM customers_approval
    WHERE environment_id = $1 AND state = 'pending' AND expires_at > $3),
  (SELECT jsonb_agg(broken) FROM (
    SELECT id, deed, amount, currency, subject, requested_by, reason FROM customers_approval
    WHERE environment_id = $1 AND is_break_glass AND decided_at > $4 ORDER BY decided_at DESC LIMIT 6) broken)
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
    approvals: ApprovalTotals


def customer_totals(*, environment_id: UUID, wall_now: datetime) -> CustomerTotals:
    """How many customers there are, how many webhook events wait, how their endpoints fare, what waits for a second
    person and what was done without one. In one query.
    """
    row = call_one(_COUNTS, [environment_id, WAITING_MAX, wall_now, wall_now - ALARM])
    assert row is not None  # noqa: S101 - it counts
    approvals = ApprovalTotals(
        waiting=row[7], broken_glasses=[_broken(kept) for kept in json.loads(row[8] or "[]")]
    )
    health = WebhookHealth(endpoints=row[3], failing=row[4], disabled=row[5], dead=row[6])
    return CustomerTotals(
        customers=row[0], waiting=row[1], waiting_since=row[2], webhooks=health, approvals=approvals
    )


def _broken(kept: Mapping[str, Any]) -> Approval:
    """As far as the home page names it."""
    return Approval(**{**kept, "id": UUID(kept["id"])})
