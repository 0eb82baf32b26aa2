"""Real past usage under a draft rule: what was charged, what would have been, customer by customer. Changes nothing.

A million events are a stream: the server keeps the rows, this process some thousand of them, and what is found is saved
every few hundred customers, from where another worker can go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.clock import elapsed_seconds
from customers.kernel.instants import instant_parse, instant_text
from customers.models import Customer, Job
from customers.services.jobs import Clock, JobWork, job_do, job_kind, job_start
from metering.engine.pricing import Pricing, definition_parse
from metering.engine.replay import Cycles, PastEvent, Replay, Tally, dimension_of
from metering.models import MeteringRule
from metering.selectors.event_archives import archived_require_none
from metering.selectors.metrics import metric_named

KIND: Final = "metering.replay"
#: So many events are replayed while the caller waits.
AT_ONCE_MAX: Final = 2_000
_ROWS: Final = 5_000
_CUSTOMERS_OF_A_SAVE: Final = 500
_SECONDS_OF_A_SAVE: Final = 5.0
_NOBODY: Final = UUID(int=0)
_ZERO: Final = Decimal(0)

# Each customer's events from the start of the cycle that `begin` is in, without those that were voided. Of events
# received at one instant the order of their debits is the order in which they were priced.
_STREAM: Final = """
WITH who AS (
  SELECT c.id, a.cycle_started_at, a.cycle_ends_at,
    ARRAY(SELECT DISTINCT k.cycle_started_at FROM metering_cycle_counter k
          WHERE k.customer_id = c.id AND k.metric_id = %(metric)s) AS starts
  FROM customers_customer c LEFT JOIN billing_credit_account a ON a.customer_id = c.id
  WHERE c.environment_id = %(environment)s AND c.id > %(after)s
    AND (%(customer)s::uuid IS NULL OR c.id = %(customer)s)
    AND (%(variant)s::uuid IS NULL OR a.plan_variant_id = %(variant)s)
)
SELECT w.id, w.cycle_started_at, w.cycle_ends_at, w.starts, e.units, e.cost_mc, e.received_at, e.rule_id,
  CASE WHEN %(with_properties)s THEN e.properties::text END, e.cycle_units, e.cycle_charged_mc
FROM who w JOIN metering_usage_event e ON e.customer_id = w.id AND e.metric_id = %(metric)s
WHERE e.received_at < %(end)s AND e.received_at >= least(
    %(month)s,
    CASE WHEN w.cycle_started_at <= %(begin)s AND %(begin)s < w.cycle_ends_at THEN w.cycle_started_at END,
    (SELECT max(s) FROM unnest(w.starts) AS s WHERE s <= %(begin)s))
  AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id)
ORDER BY w.id, e.received_at, coalesce(e.ledger_entry_id, e.id), e.id
"""
_COUNT: Final = """
SELECT count(*) FROM metering_usage_event e LEFT JOIN billing_credit_account a ON a.customer_id = e.customer_id
WHERE e.environment_id = %(environment)s AND e.metric_id = %(metric)s
  AND e.received_at >= %(begin)s AND e.received_at < %(end)s
  AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id)
  AND (%(customer)s::uuid IS NULL OR e.customer_id = %(customer)s)
  AND (%(variant)s::uuid IS NULL OR a.plan_variant_id = %(variant)s)
"""
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAsked:
    """The draft's terms as stored, and whose usage of which time (by receipt, [begin, end)) it is to price."""

    definition: dict[str, Any]
    metric_key: str
    begin: datetime
    end: datetime
    customer_id: UUID | None = None
    plan_variant_id: UUID | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "definition": self.definition,
            "metric_key": self.metric_key,
            "from": instant_text(self.begin),
            "to": instant_text(self.end),
            "customer": self.customer_id and str(self.customer_id),
            "plan_variant": self.plan_variant_id and str(self.plan_variant_id),
        }


def replay_start(*, caller: Caller, asked: ReplayAsked, now: datetime, clock: Clock) -> Job:
    """Replay: at once when there is little to do, else as a job. `now` is the environment's, `clock` the wall clock.

    Raises InvalidMeteringRule, MetricUnknown, UsageArchived, ValidationFailed.
    """
    if asked.customer_id is not None and asked.plan_variant_id is not None:
        raise _refused("plan_variant_id", "Of a customer or of a plan variant, not of both.")
    # What is still to come would be missing, and would be there when another worker went on.
    end = min(asked.end, now)
    if asked.begin >= end:
        raise _refused("from", "Must be before the end, and in the past.")
    stored = definition_parse(asked.definition).to_json()
    archived_require_none(begin=_month(asked.begin), end=end)
    parameters = ReplayAsked(
        definition=stored,
        metric_key=asked.metric_key,
        begin=asked.begin,
        end=end,
        customer_id=asked.customer_id,
        plan_variant_id=asked.plan_variant_id,
    ).to_json()
    if _Plan.of(caller.environment_id, parameters).count() <= AT_ONCE_MAX:
        return job_do(caller=caller, kind=KIND, parameters=parameters, clock=clock)
    return job_start(caller=caller, kind=KIND, parameters=parameters, now=clock())


def _refused(field_name: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field_name, "invalid", message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A replay's parameters, with the rules of its metric."""

    sql: Mapping[str, Any]
    draft: Pricing
    rules: Mapping[UUID, tuple[Pricing, MeteringRule]]

    @classmethod
    def of(cls, environment_id: UUID, parameters: Mapping[str, Any]) -> _Plan:
        begin = _instant(parameters["from"])
        metric = metric_named(key=parameters["metric_key"])
        rules = MeteringRule.objects.filter(metric=metric)
        return cls(
            sql={
                "environment": environment_id,
                "metric": metric.id,
                "begin": begin,
                "end": _instant(parameters["to"]),
                "month": _month(begin),
                "customer": parameters["customer"] and UUID(parameters["customer"]),
                "variant": parameters["plan_variant"] and UUID(parameters["plan_variant"]),
            },
            draft=definition_parse(parameters["definition"]),
            rules={rule.id: (definition_parse(rule.definition), rule) for rule in rules},
        )

    @property
    def dimensions(self) -> frozenset[str]:
        named = {dimension_of(self.draft), *(dimension_of(pricing) for pricing, _ in self.rules.values())}
        return frozenset(named - {""})

    def count(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, self.sql)
            return int(cursor.fetchone()[0])

    def replaces(self, rule: MeteringRule | None) -> bool:
        """Whether the draft would have come before this rule: a customer's own wins, then a plan variant's."""
        if rule is None or self.sql["customer"] is not None:
            return True
        if self.sql["variant"] is not None:
            return rule.customer_id is None
        return rule.customer_id is None and rule.plan_variant_id is None

    def event(self, row: tuple[Any, ...]) -> PastEvent:
        units, cost_mc, received_at, rule_id, properties, cycle_units, cycle_charged_mc = row
        pricing, rule = self.rules.get(rule_id) or (None, None)
        return PastEvent(
            # A correction below zero cannot be priced, and counts as nothing, as in the cycle's counters.
            units=max(units, _ZERO),
            cost_mc=cost_mc,
            received_at=received_at,
            rule=pricing,
            properties=_decode(properties) if properties else None,
            cycle_units=cycle_units,
            cycle_charged_mc=cycle_charged_mc,
            is_replayed=units > 0 and self.replaces(rule),
        )


def _month(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _instant(text: str) -> datetime:
    instant = instant_parse(text)
    assert instant is not None  # noqa: S101 - we wrote it
    return instant


@dataclass(slots=True)
class _Found:
    """What was found since the last save, and in all."""

    total: Tally
    customers: int
    winners: int
    losers: int
    after: str
    rows: list[tuple[UUID, Tally]] = field(default_factory=list)

    @classmethod
    def since(cls, checkpoint: Mapping[str, Any] | None) -> _Found:
        known = dict(checkpoint or {"customers": 0, "winners": 0, "losers": 0, "after": str(_NOBODY)})
        return cls(total=Tally(**known.pop("total", {})), **known)

    def add(self, customer_id: UUID, tally: Tally) -> None:
        self.after = str(customer_id)
        if not tally.events:
            return
        self.rows.append((customer_id, tally))
        self.total.add(tally)
        self.customers += 1
        self.winners += tally.after_mc < tally.before_mc
        self.losers += tally.after_mc > tally.before_mc

    def checkpoint(self) -> dict[str, Any]:
        return {
            "total": asdict(self.total),
            "customers": self.customers,
            "winners": self.winners,
            "losers": self.losers,
            "after": self.after,
        }


@job_kind(KIND, resource="catalog")
def replay(work: JobWork) -> dict[str, Any]:
    """Customer by customer; a customer's row is saved with the checkpoint behind it, so each is there once."""
    plan = _Plan.of(work.environment_id, work.parameters)
    found = _Found.since(work.checkpoint)
    work.save(done=found.total.events, checkpoint=found.checkpoint(), total=plan.count())
    saved_at = elapsed_seconds()
    for customer_id, rows in groupby(_stream(plan, UUID(found.after)), key=lambda row: row[0]):
        found.add(customer_id, _replayed(plan, rows, work, found.total.events))
        if len(found.rows) >= _CUSTOMERS_OF_A_SAVE or elapsed_seconds() - saved_at > _SECONDS_OF_A_SAVE:
            _save(work, found)
            saved_at = elapsed_seconds()
    _save(work, found)
    return _result(work.parameters, found)


def _replayed(plan: _Plan, rows: Iterable[tuple[Any, ...]], work: JobWork, done: int) -> Tally:
    replayed: Replay | None = None
    for number, row in enumerate(rows):
        if replayed is None:
            current = (row[1], row[2]) if row[1] and row[2] else None
            replayed = Replay(
                draft=plan.draft,
                dimensions=plan.dimensions,
                cycles=Cycles(row[3], current),
                begin=plan.sql["begin"],
            )
        replayed.add(plan.event(row[4:]))
        # One customer may have a million of them.
        if number % 50_000 == 49_999:
            work.beat(done=done + replayed.tally.events)
    return replayed.tally if replayed else Tally()


def _stream(plan: _Plan, after: UUID) -> Iterator[tuple[Any, ...]]:
    """The rows, a few thousand at a time. Outside a transaction the cursor outlives the saves in between."""
    parameters = {**plan.sql, "after": after, "with_properties": bool(plan.dimensions)}
    with connection.chunked_cursor() as cursor:
        cursor.execute(_STREAM, parameters)
        while rows := cursor.fetchmany(_ROWS):
            yield from rows


def _save(work: JobWork, found: _Found) -> None:
    customers = Customer.objects.in_bulk([customer_id for customer_id, _ in found.rows])
    rows = [_row(customers[customer_id], tally) for customer_id, tally in found.rows]
    work.save(done=found.total.events, checkpoint=found.checkpoint(), results=rows)
    found.rows.clear()


def _row(customer: Customer, tally: Tally) -> dict[str, Any]:
    return {
        "customer_id": customer.public_id,
        "external_customer_id": customer.external_id,
        "display_name": customer.display_name,
        **_shown(tally),
    }


def _shown(tally: Tally) -> dict[str, Any]:
    return {
        "events": tally.events,
        "before": tally.before_mc,
        "after": tally.after_mc,
        "difference": tally.after_mc - tally.before_mc,
        "kept_events": tally.kept,
        "unpriced_events": tally.unpriced,
        "reproduced": tally.mismatched == 0,
        "mismatched_events": tally.mismatched,
    }


def _result(parameters: Mapping[str, Any], found: _Found) -> dict[str, Any]:
    return {
        "billable_metric_key": parameters["metric_key"],
        "from": parameters["from"],
        "to": parameters["to"],
        **_shown(found.total),
        "customers": found.customers,
        "winners": found.winners,
        "losers": found.losers,
        "unchanged": found.customers - found.winners - found.losers,
    }
