"""A crowd beside the people of the demo: as much usage as an installation has that has run for long.

Events go through the set-based intake, so the ledger behind them is as real as any; `verify_ledger` proves it. A
third of them are priced in credits, the others are only metered. Every tenth priced one is of a single busy customer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from billing.services.credits import credits_grant
from customers.kernel.caller import Caller
from customers.kernel.memory import ConfigMoved, forget_environment
from customers.models import Customer
from customers.services.customers import customer_create
from metering.models import BillableMetric
from metering.services.metrics import metric_create
from metering.services.usage import UsageInput, UsageWish
from metering.services.usage_batch import usages_record

BUSY: Final = "crowd-busy"
_METERED: Final = "page_view"
_PRICED: Final = "chat_message"
_BATCH: Final = 500
_DAYS: Final = 28
_CREDITS_MC: Final = 10_000_000_000
_TOLD_EVERY: Final = 50

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """So many customers with so many events between them, over the last weeks."""

    customers: int
    events: int


NOBODY: Final = Crowd(customers=0, events=0)


def crowd_gather(*, caller: Caller, crowd: Crowd, ends_at: datetime, progress: Progress) -> int:
    """The crowd with all its usage, once: one that is there already grows no more. Returns how many events."""
    if crowd.events == 0 or Customer.objects.filter(external_id=BUSY).exists():
        return 0
    begins_at = ends_at - timedelta(days=_DAYS)
    _metric(caller, begins_at)
    names = list(_customers(caller, crowd, begins_at))
    step = (ends_at - begins_at) / (crowd.events // _BATCH + 1)
    for number, wishes in enumerate(_batches(caller, crowd, names), start=1):
        _record(caller, wishes, begins_at + number * step)
        if number % _TOLD_EVERY == 0:
            progress(f"{number * _BATCH:,} of {crowd.events:,} events of the crowd")
    return crowd.events


def _metric(caller: Caller, now: datetime) -> None:
    if BillableMetric.objects.filter(key=_METERED).exists():
        return
    metric_create(caller=caller, key=_METERED, name="Page views", description="Only counted.", now=now)
    forget_environment(caller.environment_id)


def _customers(caller: Caller, crowd: Crowd, now: datetime) -> Iterator[str]:
    for name in (BUSY, *(f"crowd-{number:05}" for number in range(1, crowd.customers))):
        customer = customer_create(
            caller=caller, external_id=name, attributes={"name": name.title()}, now=now
        )
        credits_grant(
            caller=caller,
            customer=customer,
            credits_mc=_CREDITS_MC,
            source="promotional",
            reason="Opening balance",
            now=now,
        )
        yield name


def _batches(caller: Caller, crowd: Crowd, names: list[str]) -> Iterator[list[UsageWish]]:
    chance = Random("crowd")  # noqa: S311 - a demo, no secret
    for first in range(0, crowd.events, _BATCH):
        last = min(first + _BATCH, crowd.events)
        yield [_wish(caller, number, names, chance) for number in range(first, last)]


def _wish(caller: Caller, number: int, names: list[str], chance: Random) -> UsageWish:
    is_priced = number % 3 == 0
    is_busy = is_priced and number % 30 == 0
    return UsageWish(
        caller=caller,
        usage=UsageInput(
            by="external",
            reference=BUSY if is_busy else chance.choice(names),
            metric_key=_PRICED if is_priced else _METERED,
            units=chance.randint(1, 12),
            key=f"crowd-{number}",
            needs_rule=is_priced,
            may_create=False,
        ),
    )


def _record(caller: Caller, wishes: list[UsageWish], now: datetime) -> None:
    try:
        outcomes = usages_record(environment_id=caller.environment_id, wishes=wishes, now=now)
    except ConfigMoved:
        forget_environment(caller.environment_id)
        return _record(caller, wishes, now)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return None
