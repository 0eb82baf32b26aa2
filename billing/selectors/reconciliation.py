"""What invoices, payments, credit notes and balances say of the same money, and where they do not agree.

Everything here should find nothing, whatever happens: constraints and services see to that. It is asked nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from customers.kernel.ids import typeid


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two that should agree and do not; amounts in minor units."""

    kind: str
    detail: str
    ours: int | None = None
    theirs: int | None = None
    currency: str = ""
    customer_id: str | None = None
    invoice_id: str | None = None
    payment_id: str | None = None
    topup_id: str | None = None
    provider_payment_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A query for rows (id, customer, currency, ours, theirs) that differ."""

    kind: str
    detail: str
    prefix: str
    sql: str


_OF_WINDOW: Final = (
    "i.environment_id = %(environment)s AND i.number IS NOT NULL AND (i.issued_at >= %(begin)s AND i.issued_at < "
    "%(end)s OR i.paid_at >= %(begin)s AND i.paid_at < %(end)s)"
)
_INVOICE: Final = (
    "SELECT * FROM (SELECT i.id, c.public_id, i.currency, {ours} AS ours, {theirs} AS theirs FROM billing_invoice i "
    "JOIN customers_customer c ON c.id = i.customer_id WHERE {window}) both_sides WHERE ours <> theirs"
)
_REFUNDED: Final = (
    "SELECT * FROM (SELECT p.id, c.public_id, p.currency, p.refunded_minor AS ours, "
    "(SELECT coalesce(sum(n.amount_minor), 0)::bigint FROM billing_credit_note n "
    "WHERE n.environment_id = p.environment_id AND n.invoice_id = p.invoice_id AND n.kind = 'refund' "
    "AND n.refund_status <> 'failed') AS theirs FROM billing_payment p "
    "JOIN billing_invoice i ON i.id = p.invoice_id JOIN customers_customer c ON c.id = i.customer_id "
    "WHERE p.status = 'succeeded' AND {window}) both_sides WHERE ours <> theirs"
)
_CHECKS: Final = (
    _Check(
        kind="invoice-payments-differ",
        detail="What the invoice says was paid, and what its payments come to.",
        prefix="inv",
        sql=_INVOICE.format(
            window=_OF_WINDOW,
            ours="i.paid_minor",
            theirs="(SELECT coalesce(sum(p.amount_minor), 0)::bigint FROM billing_payment p "
            "WHERE p.environment_id = i.environment_id AND p.invoice_id = i.id AND p.status = 'succeeded')",
        ),
    ),
    _Check(
        kind="invoice-lines-differ",
        detail="The invoice's subtotal, and what its lines come to.",
        prefix="inv",
        sql=_INVOICE.format(
            window=_OF_WINDOW,
            ours="i.subtotal_minor",
            theirs="(SELECT coalesce(sum(l.amount_minor), 0)::bigint FROM billing_invoice_line l "
            "WHERE l.environment_id = i.environment_id AND l.invoice_id = i.id)",
        ),
    ),
    _Check(
        kind="invoice-reductions-differ",
        detail="What the invoice says was credited, and what its credit notes took off it.",
        prefix="inv",
        sql=_INVOICE.format(
            window=_OF_WINDOW,
            ours="i.credited_minor",
            theirs="(SELECT coalesce(sum(n.amount_minor), 0)::bigint FROM billing_credit_note n "
            "WHERE n.environment_id = i.environment_id AND n.invoice_id = i.id AND n.kind = 'reduction')",
        ),
    ),
    _Check(
        kind="invoice-credits-differ",
        detail="Credit that the invoice used, and what was taken off the customer's credit for it.",
        prefix="inv",
        sql=_INVOICE.format(
            window=_OF_WINDOW,
            ours="CASE i.status WHEN 'void' THEN 0 ELSE i.credits_applied_minor END",
            theirs="(SELECT coalesce(-sum(m.amount_minor), 0)::bigint FROM billing_credit_movement m "
            "WHERE m.environment_id = i.environment_id AND m.invoice_id = i.id AND m.credit_note_id IS NULL)",
        ),
    ),
    _Check(
        kind="refunds-differ",
        detail="What the payment says went back, and what credit notes sent back.",
        prefix="pay",
        sql=_REFUNDED.format(window=_OF_WINDOW),
    ),
    _Check(
        kind="balance-differs",
        detail="A customer's credit, and what its movements come to.",
        prefix="",
        sql="SELECT * FROM (SELECT b.id, c.public_id, b.currency, b.balance_minor AS ours, "
        "(SELECT coalesce(sum(m.amount_minor), 0)::bigint FROM billing_credit_movement m "
        "WHERE m.environment_id = b.environment_id AND m.balance_id = b.id) AS theirs FROM billing_credit_balance b "
        "JOIN customers_customer c ON c.id = b.customer_id WHERE b.environment_id = %(environment)s) both_sides "
        "WHERE ours <> theirs",
    ),
)
_TOTALS: Final = (
    "SELECT upper(i.currency), count(*)::bigint, coalesce(sum(i.total_minor), 0)::bigint, "
    "coalesce(sum(i.paid_minor), 0)::bigint, coalesce(sum(i.total_minor - i.paid_minor - i.credited_minor) "
    "FILTER (WHERE i.status <> 'void'), 0)::bigint FROM billing_invoice i WHERE {window} GROUP BY 1 ORDER BY 1"
)
_PAID: Final = (
    "SELECT upper(p.currency), p.provider, count(*)::bigint, sum(p.amount_minor)::bigint, "
    "sum(p.refunded_minor)::bigint FROM billing_payment p WHERE p.environment_id = %(environment)s "
    "AND p.status = 'succeeded' AND p.settled_at >= %(begin)s AND p.settled_at < %(end)s "
    "GROUP BY 1, 2 ORDER BY 1, 2"
)


def differences_inside(*, environment_id: UUID, begin: datetime, end: datetime) -> Iterator[Difference]:
    """Where our own books disagree with each other, over invoices issued or paid in [begin, end)."""
    window = {"environment": environment_id, "begin": begin, "end": end}
    for check in _CHECKS:
        for row in _rows(check.sql, window):
            yield _difference(check, *row)


def totals_inside(*, environment_id: UUID, begin: datetime, end: datetime) -> dict[str, Any]:
    """What was invoiced, and what came in, in [begin, end)."""
    window = {"environment": environment_id, "begin": begin, "end": end}
    invoiced = ("currency", "count", "total", "paid", "due")
    paid = ("currency", "provider", "count", "amount", "refunded")
    return {
        "invoices": [
            dict(zip(invoiced, row, strict=True)) for row in _rows(_TOTALS.format(window=_OF_WINDOW), window)
        ],
        "payments": [dict(zip(paid, row, strict=True)) for row in _rows(_PAID, window)],
    }


def _difference(
    check: _Check, id: UUID, customer_id: str, currency: str, ours: int, theirs: int
) -> Difference:
    return Difference(
        kind=check.kind,
        detail=check.detail,
        ours=ours,
        theirs=theirs,
        currency=currency,
        customer_id=customer_id,
        invoice_id=typeid("inv", id) if check.prefix == "inv" else None,
        payment_id=typeid("pay", id) if check.prefix == "pay" else None,
    )


def _rows(sql: str, window: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, window)
        return list(cursor.fetchall())
