"""An environment's subscriptions in a few numbers, for the home page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec

from customers.kernel.database import call_one
from customers.kernel.ids import typeid
from subscriptions.engine.recurring import minor_per_month
from subscriptions.models import LIVE_STATES, SubscriptionState

#: Who pays, or owes: not those on trial, nor those whose time stands still.
_PAYING: Final = (SubscriptionState.ACTIVE, SubscriptionState.OVERDUE)

_TOTALS: Final = """
SELECT (SELECT coalesce(json_agg(counted), '[]')::text FROM (
    SELECT s.status, v.billing_cycle AS cycle, v.currency, count(*) AS number, count(s.failed_at) AS failed,
      coalesce(sum(v.price_minor), 0)::text AS minor
    FROM subscriptions_subscription s JOIN subscriptions_plan_variant v ON v.id = s.variant_id
    WHERE s.environment_id = $1 AND (s.status = ANY ($2) OR s.failed_at IS NOT NULL) GROUP BY 1, 2, 3) counted),
  (SELECT coalesce(json_agg(parked), '[]')::text FROM (
    SELECT s.id, s.failure, coalesce(nullif(c.display_name, ''), nullif(c.external_id, ''), c.public_id) AS customer
    FROM subscriptions_subscription s JOIN customers_customer c ON c.id = s.customer_id
    WHERE s.environment_id = $1 AND s.failed_at IS NOT NULL ORDER BY s.failed_at DESC LIMIT $3) parked),
  (SELECT count(DISTINCT p.subscription_id) FROM subscriptions_period p
    WHERE p.environment_id = $1 AND p.invoice_failure <> ''),
  (SELECT coalesce(json_agg(failed), '[]')::text FROM (
    SELECT s.id, p.invoice_failure AS failure,
      coalesce(nullif(c.display_name, ''), nullif(c.external_id, ''), c.public_id) AS customer
    FROM subscriptions_period p JOIN subscriptions_subscription s ON s.id = p.subscription_id
    JOIN customers_customer c ON c.id = s.customer_id
    WHERE p.environment_id = $1 AND p.invoice_failure <> '' ORDER BY p.ends_at DESC LIMIT $3) failed)
"""
_rows: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A subscription of which something failed that was to happen by itself."""

    public_id: str
    customer: str
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionTotals:
    """`by_state` counts live ones; `monthly_minor` is the price of active and overdue ones per month, by currency.

    `not_invoiced` have a period that was to be invoiced by itself and could not be.
    """

    by_state: Mapping[str, int]
    parked: int
    parked_latest: Sequence[Failed]
    not_invoiced: int
    not_invoiced_latest: Sequence[Failed]
    monthly_minor: Mapping[str, int]

    @property
    def live(self) -> int:
        return sum(self.by_state.values())


def subscription_totals(*, environment_id: UUID, named: int) -> SubscriptionTotals:
    """In one query; the latest of those that failed by name, so many."""
    found = call_one(_TOTALS, [environment_id, list(LIVE_STATES), named])
    counted, parked, not_invoiced, latest = found or ("[]", "[]", 0, "[]")
    rows = _rows(counted)
    by_state: Counter[str] = Counter()
    for row in rows:
        by_state[row["status"]] += row["number"] if row["status"] in LIVE_STATES else 0
    return SubscriptionTotals(
        by_state=by_state,
        parked=sum(row["failed"] for row in rows),
        parked_latest=[_failed(row) for row in _rows(parked)],
        not_invoiced=not_invoiced,
        not_invoiced_latest=[_failed(row) for row in _rows(latest)],
        monthly_minor=_monthly(rows),
    )


def _failed(row: Mapping[str, Any]) -> Failed:
    return Failed(public_id=typeid("sub", UUID(row["id"])), customer=row["customer"], failure=row["failure"])


def _monthly(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    prices: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        minor = int(row["minor"])
        if row["status"] in _PAYING and minor:
            prices[row["currency"]].append((row["cycle"], minor))
    return {currency: minor_per_month(prices[currency]) for currency in sorted(prices)}
