"""Which past usage events are still to be billed, or to be summed up."""

from __future__ import annotations

from typing import Final

from django.db import connection
from psycopg import sql

# By both times of an event: invoices go by its own, the summary of a period by that of its receipt.
_OPEN: Final = """
SELECT count(DISTINCT s.customer_id) FROM (
  SELECT e.customer_id, min(least(e.occurred_at, e.received_at)) AS first,
    max(greatest(e.occurred_at, e.received_at)) AS last
  FROM {table} e GROUP BY 1
) u
JOIN subscriptions_subscription s ON s.customer_id = u.customer_id
JOIN subscriptions_period p ON p.subscription_id = s.id AND p.starts_at <= u.last AND p.ends_at > u.first
WHERE p.closed_at IS NULL OR EXISTS (SELECT FROM subscriptions_price_term t WHERE t.subscription_id = s.id)
  AND NOT EXISTS (SELECT FROM subscriptions_period_invoice i WHERE i.period_id = p.id AND i.is_closing AND i.is_live)
"""


def events_unbilled(table: str) -> str | None:
    """Why a partition of events cannot be archived yet, as far as subscriptions go."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(_OPEN).format(table=sql.Identifier(table)))
        (customers,) = cursor.fetchone()
    if not customers:
        return None
    who = "One customer has" if customers == 1 else f"{customers:,} customers have"
    return f"{who} periods with usage in it that are still open, or not invoiced."
