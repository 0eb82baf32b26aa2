"""An environment's invoices in a few numbers, for the home page and above the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Upper

from billing.models import Invoice, InvoiceStatus

_OPEN: Final = (
    InvoiceStatus.DRAFT,
    InvoiceStatus.ISSUED,
    InvoiceStatus.PROCESSING,
    InvoiceStatus.UNCOLLECTIBLE,
)
WAITING: Final = (InvoiceStatus.ISSUED, InvoiceStatus.PROCESSING)
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
    """In two queries, both of them led by an index."""
    invoices = Invoice.objects.filter(environment_id=environment_id)
    due = Sum(F("total_minor") - F("paid_minor") - F("credited_minor"), default=0)
    is_late = Q(due_at__lt=now, status__in=WAITING)
    rows = list(
        _by_currency(invoices.filter(status__in=_OPEN), "status").annotate(
            count=Count("id"), minor=due, late=Count("id", filter=is_late), late_minor=_late_sum(is_late)
        )
    )
    recent = invoices.filter(status=InvoiceStatus.PAID, paid_at__gte=now - timedelta(days=PAID_DAYS))
    paid = _by_currency(recent).annotate(count=Count("id"), minor=Sum("paid_minor"))
    late = [{**row, "count": row["late"], "minor": row["late_minor"]} for row in rows if row["late"]]
    return InvoiceTotals(
        drafts=_sum([row for row in rows if row["status"] == InvoiceStatus.DRAFT]),
        unpaid=_sum([row for row in rows if row["status"] in WAITING]),
        overdue=_sum(late),
        uncollectible=_sum([row for row in rows if row["status"] == InvoiceStatus.UNCOLLECTIBLE]),
        paid=_sum(list(paid)),
    )


def _by_currency(invoices: QuerySet[Invoice], *names: str) -> QuerySet[Any, dict[str, Any]]:
    rows: QuerySet[Any, dict[str, Any]] = invoices.order_by().annotate(code=Upper("currency"))
    return rows.values("code", *names)


def _late_sum(is_late: Q) -> Sum:
    return Sum(F("total_minor") - F("paid_minor") - F("credited_minor"), filter=is_late, default=0)


def _sum(rows: list[dict[str, Any]]) -> InvoiceSum:
    minor: dict[str, int] = {}
    for row in rows:
        minor[row["code"]] = minor.get(row["code"], 0) + int(row["minor"])
    return InvoiceSum(count=sum(row["count"] for row in rows), minor=minor)
