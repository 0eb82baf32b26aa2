"""Record many usage events as if sent one by one in that order: ordinary ones in one round trip (usage_ordinary.py),
those of customers whose account somebody else holds in another, all others in two or three.

    open   find the customers, lock their accounts in the order of their ids, read where they stand
    decide in Python, event by event, by the pricing engine that also prices single events
    store  events, entries, blocks, accounts, counters: set-based

Everything the decision rests on is read under the locks, so nothing can have moved when it is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import connection, transaction

from billing.services.catch_up import catch_up_run
from customers.errors import Unavailable
from customers.kernel.database import call_function
from customers.kernel.groups import Tell
from customers.kernel.ids import uuid7, uuid7_run
from customers.kernel.memory import ConfigMoved, forget_environment
from metering.selectors.config import EnvironmentConfig, config_get
from metering.services.quotes import guess_key, standing_remember
from metering.services.usage import Outcome, UsageRecorded, UsageWish
from metering.services.usage_decisions import Account, Counter, CounterKey, Decisions, Earlier, Reference
from metering.services.usage_ordinary import Extraordinary, ordinary_record

_log = logging.getLogger(__name__)

#: How often a batch is opened anew: for customers to make, for keys taken meanwhile, for deadlocks.
_ATTEMPTS: Final = 8
#: How often work that is due first is done before the events of that customer are refused.
_CATCH_UPS: Final = 3
_TURNS: Final = 3


class _Way(Enum):
    """How events are recorded; each way takes longer than the one before, and leaves fewer for the next."""

    #: What is ordinary, past accounts that somebody else holds.
    PASSING = auto()
    #: What is ordinary, once those accounts are free.
    WAITING = auto()
    LONG = auto()


class _Events(NamedTuple):
    """What is asked for, and the ids that events get: in the order sent, whichever are recorded first."""

    wishes: Sequence[UsageWish]
    ids: Sequence[UUID]

    def only(self, places: Sequence[int]) -> _Events:
        return _Events([self.wishes[place] for place in places], [self.ids[place] for place in places])


def usages_record(
    *,
    environment_id: UUID,
    wishes: Sequence[UsageWish],
    now: datetime,
    is_patient: bool = True,
    tell: Tell[UsageRecorded] | None = None,
) -> list[Outcome]:
    """Record `wishes` as if sent one by one in this order; a refused one never refuses another. Durable on return.

    Outcomes are in the order of the wishes: a refusal is a DomainError; what the database cannot store, its error.
    Raises ConfigMoved when this process's catalogue is old, and LockNotAvailable unless `is_patient`, when an account
    is locked for long: then nothing was recorded but what `tell` was told of, which may be most of it while some is
    waited for.
    """
    if not wishes:
        return []
    events = _Events(wishes, uuid7_run(len(wishes)))
    # Whoever is inside a transaction keeps what they lock, and so has to lock it in order.
    way = _Way.WAITING if connection.in_atomic_block else _Way.PASSING
    return _tried(environment_id, events, now, is_patient=is_patient, way=way, tell=tell)


def _tried(
    environment_id: UUID,
    events: _Events,
    now: datetime,
    *,
    is_patient: bool,
    way: _Way,
    tell: Tell[UsageRecorded] | None = None,
) -> list[Outcome]:
    try:
        return _together(environment_id, events, now, is_patient=is_patient, way=way, tell=tell)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # One of them holds something that cannot be stored: each alone then, so that it spoils nothing but itself.
        if len(events.ids) == 1:
            return [error]
        each = (events.only([place]) for place in range(len(events.ids)))
        return [_after_others(environment_id, alone, now, way=way)[0] for alone in each]


def _together(
    environment_id: UUID,
    events: _Events,
    now: datetime,
    *,
    is_patient: bool,
    way: _Way,
    tell: Tell[UsageRecorded] | None,
) -> list[Outcome]:
    if way is _Way.LONG:
        return _recorded(environment_id, events, now, is_patient=is_patient)
    try:
        outcomes, is_any_busy = ordinary_record(
            config_get(environment_id), *events, now, waits=way is _Way.WAITING
        )
    except (Extraordinary, psycopg.errors.LockNotAvailable):
        return _recorded(environment_id, events, now, is_patient=is_patient)
    left = [place for place, outcome in enumerate(outcomes) if outcome is None]
    next_way = _Way.WAITING if is_any_busy and way is _Way.PASSING else _Way.LONG
    if len(left) == len(outcomes):
        return _together(environment_id, events, now, is_patient=is_patient, way=next_way, tell=tell)
    rest: Iterator[Outcome] = iter(())
    if left and tell is not None:
        tell(outcomes)
        rest = iter(_tried(environment_id, events.only(left), now, is_patient=is_patient, way=next_way))
    elif left:
        rest = iter(_after_others(environment_id, events.only(left), now, way=next_way))
    return [next(rest) if outcome is None else outcome for outcome in outcomes]


def _after_others(environment_id: UUID, events: _Events, now: datetime, *, way: _Way) -> list[Outcome]:
    """Others of this call are recorded by now: it cannot be sent again for a new catalogue, nor fail as a whole."""
    for _ in range(_TURNS):
        try:
            return _tried(environment_id, events, now, is_patient=True, way=way)
        except ConfigMoved:
            forget_environment(environment_id)
        except (psycopg.Error, Unavailable):
            _log.exception("some events of a batch could not be recorded after the others")
            break
    refusal = Unavailable(
        "This event could not be recorded at the moment. Send it again.", retry_after_seconds=1
    )
    return [refusal for _ in events.ids]


class _Again(Exception):
    """Undo what was locked and made, and open again."""


@dataclass(slots=True)
class _Progress:
    """How it is to be done, and what earlier attempts found must be done first."""

    is_patient: bool
    make: set[Reference] = field(default_factory=set)
    due: set[UUID] = field(default_factory=set)
    caught_up: dict[UUID, int] = field(default_factory=dict)
    given_up: set[UUID] = field(default_factory=set)


def _recorded(environment_id: UUID, events: _Events, now: datetime, *, is_patient: bool) -> list[Outcome]:
    progress = _Progress(is_patient)
    for _ in range(_ATTEMPTS):
        # Before the transaction: what is read inside one is not kept for the next batch.
        config = config_get(environment_id)
        try:
            with transaction.atomic():
                outcomes, decisions = _attempt(config, events, progress, now)
        except _Again:
            _catch_up(environment_id, progress, now)
        except psycopg.errors.DeadlockDetected:
            _log.warning("a batch of usage met a deadlock and is tried again")
        else:
            _remember(decisions, events.wishes)
            return outcomes
    raise Unavailable("The accounts are busy. Try again.", retry_after_seconds=1)


def _attempt(
    config: EnvironmentConfig, events: _Events, progress: _Progress, now: datetime
) -> tuple[list[Outcome], Decisions]:
    wishes = events.wishes
    if any(wish.caller.knows(config.version) < config.version for wish in wishes):
        raise ConfigMoved
    decisions = _open(config, wishes, progress, now)
    progress.due = {each.customer_id for each in decisions.due() if each.customer_id} - progress.given_up
    if progress.due:
        raise _Again
    decisions.quote(wish.usage for wish in wishes)
    _read_counters(config.environment_id, decisions.counters, now)
    outcomes: list[Outcome] = [
        decisions.decide(wish, event_id) for wish, event_id in zip(wishes, events.ids, strict=True)
    ]
    if decisions.to_make:
        progress.make |= decisions.to_make
        raise _Again
    if decisions.rows:
        _store(config.environment_id, decisions, now)
    return outcomes, decisions


def _remember(decisions: Decisions, wishes: Sequence[UsageWish]) -> None:
    """For the next prices of these customers, which then are ordinary."""
    environment_id = decisions.config.environment_id
    for usage, standing in decisions.standings(wish.usage for wish in wishes):
        standing_remember(guess_key(environment_id, usage), standing)


def _catch_up(environment_id: UUID, progress: _Progress, now: datetime) -> None:
    for customer_id in sorted(progress.due):
        times = progress.caught_up[customer_id] = progress.caught_up.get(customer_id, 0) + 1
        try:
            catch_up_run(environment_id=environment_id, customer_id=customer_id, now=now)
        except Exception:
            _log.exception("work that is due first failed", extra={"customer_id": str(customer_id)})
            times = _CATCH_UPS
        if times >= _CATCH_UPS:
            progress.given_up.add(customer_id)
    progress.due = set()


class _Opened(msgspec.Struct, array_like=True):
    customer_id: UUID
    is_new: bool
    plan_variant_id: UUID | None
    effective_mc: int
    policy: str
    overage_limit_mc: int | None
    suspended: str | None
    is_due: bool
    burnable: list[tuple[int, list[str] | None]] | None


class _Earlier(msgspec.Struct, array_like=True):
    key: str
    event_id: UUID
    cost_mc: int
    customer_id: UUID
    fingerprint: bytes


_opened_of: Final = msgspec.json.Decoder(list[_Opened | None]).decode
_earlier_of: Final = msgspec.json.Decoder(list[_Earlier]).decode
_counters_of: Final = msgspec.json.Decoder(list[tuple[Any, int]], float_hook=str).decode
_json: Final = msgspec.json.Encoder(decimal_format="number").encode


def _open(
    config: EnvironmentConfig, wishes: Sequence[UsageWish], progress: _Progress, now: datetime
) -> Decisions:
    references = list(dict.fromkeys((wish.usage.by, wish.usage.reference) for wish in wishes))
    answer = call_function(
        "metering_usage_open_v1",
        environment=config.environment_id,
        config_version=config.version,
        bys=[by for by, _ in references],
        references=[reference for _, reference in references],
        new_customers=[uuid7() if reference in progress.make else None for reference in references],
        keys=list({wish.usage.key for wish in wishes}),
        is_patient=progress.is_patient,
        now=now,
    )
    if answer.status == "stale-config":
        raise ConfigMoved
    return Decisions(
        config=config,
        accounts=_accounts(references, _opened_of(answer.accounts)),
        recorded=_earlier(answer.recorded),
        given_up=frozenset(progress.given_up),
        now=now,
    )


def _accounts(references: Sequence[Reference], opened: Iterable[_Opened | None]) -> dict[Reference, Account]:
    """By reference; two references to one customer share their account."""
    by_customer: dict[UUID, Account] = {}
    accounts: dict[Reference, Account] = {}
    for reference, row in zip(references, opened, strict=True):
        if row is None:
            accounts[reference] = Account()
            continue
        account = by_customer.get(row.customer_id)
        if account is None:
            account = by_customer[row.customer_id] = _account(row)
        accounts[reference] = account
    return accounts


def _account(row: _Opened) -> Account:
    return Account(
        customer_id=row.customer_id,
        is_born=not row.is_new,
        plan_variant_id=row.plan_variant_id,
        effective_mc=row.effective_mc,
        policy=row.policy,
        overage_limit_mc=row.overage_limit_mc,
        suspended=row.suspended,
        is_due=row.is_due,
        burnable=None if row.burnable is None else [list(block) for block in row.burnable],
    )


def _earlier(recorded: str | None) -> dict[str, Earlier]:
    if recorded is None:
        return {}
    return {
        row.key: Earlier(row.event_id, row.cost_mc, row.customer_id, row.fingerprint)
        for row in _earlier_of(recorded)
    }


def _read_counters(environment_id: UUID, counters: dict[CounterKey, Counter], now: datetime) -> None:
    wanted = list(counters)
    if not wanted:
        return
    answer = call_function(
        "metering_counters_read_v1",
        environment=environment_id,
        customers=[key.customer_id for key in wanted],
        metrics=[key.metric_id for key in wanted],
        rules=[counters[key].rule_id for key in wanted],
        dimensions=[key.dimension for key in wanted],
        values=[key.value for key in wanted],
        now=now,
    )
    for key, (units, charged_mc) in zip(wanted, _counters_of(answer.counters), strict=True):
        counters[key].read(units, charged_mc)


def _store(environment_id: UUID, decisions: Decisions, now: datetime) -> None:
    counters = decisions.counter_rows()
    answer = call_function(
        "metering_usage_store_v1",
        environment=environment_id,
        events=_json(decisions.rows).decode(),
        counters=_json(counters).decode() if counters else None,
        now=now,
    )
    if answer.status == "key-taken":
        raise _Again
