"""Why an event cost what it cost: the rule version that priced it, and the arithmetic again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from billing.models import CreditAccount
from customers.kernel.database import call_one
from metering.engine.pricing import Breakdown, breakdown, definition_parse
from metering.models import UsageEvent

# The rule's text, because its decimals must not pass through a float; and what the cycle had seen before the event.
_DEFINITION: Final = "SELECT definition::text FROM metering_rule WHERE id = $1"
_BEFORE: Final = """
SELECT coalesce(sum(units), 0), coalesce(sum(cost_mc), 0)::bigint FROM metering_usage_event
WHERE customer_id = $1 AND metric_id = $2 AND received_at >= $3 AND (received_at, id) < ($4, $5)
  AND ($6 = '' OR metering_dimension_value(properties -> $6) = $7)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`is_exact`: the arithmetic comes to what was charged. It may not when plans have moved the cycle since."""

    breakdown: Breakdown
    dimension: str
    value: str
    cycle_units: Decimal
    cycle_started_at: datetime | None
    is_exact: bool


def event_explain(event: UsageEvent) -> Explanation | None:
    """The arithmetic behind an event's cost; None for an event that no rule priced."""
    row = call_one(_DEFINITION, [event.rule_id]) if event.rule_id else None
    if row is None:
        return None
    pricing = definition_parse(json.loads(row[0]))
    found = pricing.rate_of(event.properties)
    if found is None:
        return None
    rate, value = found
    dimension: str = getattr(pricing, "dimension", "")
    began = _cycle_start(event) if rate.depends_on_cycle else None
    units, charged = _before(event, began, dimension, value) if began else (Decimal(0), 0)
    lines = breakdown(rate, units=event.units, cycle_units=units, charged_mc=charged)
    return Explanation(
        breakdown=lines,
        dimension=dimension,
        value=value,
        cycle_units=units,
        cycle_started_at=began,
        is_exact=lines.cost_mc == event.cost_mc,
    )


def _cycle_start(event: UsageEvent) -> datetime:
    """As metering_cycle_start does: the account's period if the event fell in it, else the calendar month."""
    account = CreditAccount.objects.filter(customer_id=event.customer_id).first()
    begin, end = (account.cycle_started_at, account.cycle_ends_at) if account else (None, None)
    if begin and end and begin <= event.received_at < end:
        return begin
    return event.received_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _before(event: UsageEvent, began: datetime, dimension: str, value: str) -> tuple[Decimal, int]:
    row = call_one(
        _BEFORE, [event.customer_id, event.metric_id, began, event.received_at, event.id, dimension, value]
    )
    return (row[0], row[1]) if row else (Decimal(0), 0)
