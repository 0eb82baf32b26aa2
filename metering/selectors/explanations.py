"""Why an event cost what it cost: the rule version that priced it, and the arithmetic again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from billing.models import CreditAccount
from metering.engine.pricing import Breakdown, breakdown
from metering.models import UsageEvent
from metering.selectors.rule_versions import RuleConfig, rule_pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`is_exact`: the arithmetic comes to what was charged, as it always should."""

    rule: RuleConfig
    breakdown: Breakdown
    dimension: str
    value: str
    cycle_units: Decimal
    cycle_started_at: datetime | None
    is_exact: bool


def event_explain(event: UsageEvent) -> Explanation | None:
    """The arithmetic behind an event's cost; None for an event that no rule priced.

    An event whose price depends on the cycle remembers where the cycle stood before it.
    """
    if event.rule_id is None:
        return None
    rule = rule_pinned(environment_id=event.environment_id, rule_id=event.rule_id)
    found = rule.pricing.rate_of(_exact(event.properties))
    if found is None:
        return None
    rate, value = found
    units = event.cycle_units or Decimal(0)
    lines = breakdown(rate, units=event.units, cycle_units=units, charged_mc=event.cycle_charged_mc or 0)
    return Explanation(
        rule=rule,
        breakdown=lines,
        dimension=rule.dimension,
        value=value,
        cycle_units=units,
        cycle_started_at=_cycle_start(event) if rate.depends_on_cycle else None,
        is_exact=lines.cost_mc == event.cost_mc,
    )


def _cycle_start(event: UsageEvent) -> datetime:
    """As metering_cycle_start does: the account's period if the event fell in it, else the calendar month."""
    account = CreditAccount.objects.filter(customer_id=event.customer_id).first()
    begin, end = (account.cycle_started_at, account.cycle_ends_at) if account else (None, None)
    if begin and end and begin <= event.received_at < end:
        return begin
    return event.received_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _exact(properties: dict[str, object] | None) -> dict[str, object]:
    """Stored numbers come back as floats that print as they were written; rates are looked up by that text."""
    return {
        name: Decimal(repr(value)) if isinstance(value, float) else value
        for name, value in (properties or {}).items()
    }
