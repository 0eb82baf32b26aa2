"""An environment's invoices in a few numbers, for the home page and above the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.models import InvoiceStatus
from customers.kernel.database import call_all

WAITING: Final = (InvoiceStatus.ISSUED, InvoiceStatus.PROCESSING)
_TOTALS: Final = """
SELECT status, upper(currency), count(*), coalesce(sum(due), 0)::bigint,
  count(*) FILTER (WHERE is_late), coalesce(sum(due) FILTER (WHERE is_late), 0)::bigint
FROM (SELECT status, currency, total_minor - paid_minor - credited_minor AS due,
    due_at < $2 AND status IN ('issued', 'processing') AS is_late
  FROM billing_invoice
  WHERE environment_id = $1 AND status IN ('draft', 'issued', 'processing', 'uncollectible')) open_ones
GROUP BY 1, 2
UNION ALL
SELECT status, upper(currency), count(*), coalesce(sum(paid_minor), 0)::bigint, 0, 0
FROM billing_invoice WHERE environment_id = $1 AND status = 'paid' AND paid_at >= $3 GROUP BY 1, 2
"""
#: How far back what is paid is added up: all of it would be every invoice there ever was.
PAID_DAYS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSum:
    """How many invoices, and what they come to by currency: what is due of them, or what was paid."""

    count: int
    minor: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceTotals:
    drafts: InvoiceSum
    unpaid: InvoiceSum
    overdue: InvoiceSum
    uncollectible: InvoiceSum
    paid: InvoiceSum

    @property
    def is_empty(self) -> bool:
        every = (self.drafts, self.unpaid, self.overdue, self.uncollectible, self.paid)
        return not any(each.count for each in every)


def invoice_totals(*, environment_id: UUID, now: datetime) -> InvoiceTotals:
    """In one query, of two halves that an index leads each."""
    rows = [_Row(*row) for row in call_all(_TOTALS, [environment_id, now, now - timedelta(days=PAID_DAYS)])]
    late = [replace(row, count=row.late, minor=row.late_minor) for row in rows if row.late]
    return InvoiceTotals(
        drafts=_sum(row for row in rows if row.status == InvoiceStatus.DRAFT),
        unpaid=_sum(row for row in rows if row.status in WAITING),
        overdue=_sum(late),
        uncollectible=_sum(row for row in rows if row.status == InvoiceStatus.UNCOLLECTIBLE),
        paid=_sum(row for row in rows if row.status == InvoiceStatus.PAID),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    status: str
    currency: str
    count: int
    minor: int
    late: int
    late_minor: int


def _sum(rows: Iterable[_Row]) -> InvoiceSum:
    count, minor = 0, Counter[str]()
    for row in rows:
        count += row.count
        minor[row.currency] += row.minor
    return InvoiceSum(count=count, minor=minor)
