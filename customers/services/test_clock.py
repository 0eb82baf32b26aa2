"""Test clocks: a test environment's own time, which stands still until it is moved.

Moving it lives through what lies between: the clock stops at every instant at which something is due, that is done, and
both are committed together. So whoever is interrupted leaves the clock at the last instant that is done, and the same
call again goes on from there. Two at once take turns, instant by instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction

from customers.errors import (
    DomainError,
    TestClockBackwards,
    TestClockBehindFacts,
    TestClockMissing,
    TestClockOnLive,
    TestClockStuck,
)
from customers.kernel.caller import Caller
from customers.kernel.changes import config_changed
from customers.kernel.database import call_function
from customers.kernel.instants import instant_text
from customers.kernel.memory import forget_environment
from customers.models import EnvironmentKind
from customers.services.audit import audit_record
from customers.services.due_work import DueSource, Moment, due_moments, due_sources, latest_fact

#: How often the sources are gone through at one instant before one that finds no end is named. One source may make
#: work for another at the same instant, so once is not enough.
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDue:
    """What a source is waiting for."""

    source: str
    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """The environment's present, whether it stands still, and what will be due, the soonest first."""

    frozen_time: datetime | None
    now: datetime
    due: Sequence[NextDue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """Where the clock stands, where it stood before, and what was done between: instants, and work by source."""

    frozen_time: datetime
    advanced_from: datetime
    instants: int
    done: Mapping[str, int]
    next_due_at: datetime | None


def clock_show(*, environment_id: UUID, kind: str, frozen_at: datetime | None, now: datetime) -> ClockState:
    """Where the clock stands. Raises TestClockOnLive."""
    _check_kind(kind)
    return ClockState(frozen_time=frozen_at, now=now, due=clock_due(environment_id=environment_id))


def clock_due(*, environment_id: UUID) -> list[NextDue]:
    """What each source waits for, the soonest first."""
    due = [
        NextDue(source=source.name, at=moment.at, what=moment.what)
        for source, moment in due_moments(environment_id=environment_id)
    ]
    return sorted(due, key=lambda each: each.at)


def clock_set(*, caller: Caller, frozen_time: datetime, reason: str = "", now: datetime) -> Advanced:
    """Stop the environment's time at `frozen_time`. What is due by then is done first, at its own instants.

    Raises TestClockOnLive, TestClockBehindFacts, TestClockStuck.
    """
    with transaction.atomic():
        before = _locked(caller.environment_id)
        fact = latest_fact(environment_id=caller.environment_id)
        if fact is not None and frozen_time < fact.at:
            raise _behind(fact)
        _audit(caller, "test_clock.set", before, frozen_time, reason, now)
        present = before or now
        _clock_store(caller.environment_id, min(present, frozen_time))
    return _Journey(caller.environment_id, since=present, until=frozen_time).travel()


def clock_advance(*, caller: Caller, to: datetime, reason: str = "", now: datetime) -> Advanced:
    """Let the environment's time run up to and including `to`: all that is due on the way is done, in order.

    Raises TestClockOnLive, TestClockMissing, TestClockBackwards; TestClockStuck with the clock at the last good one.
    """
    with transaction.atomic():
        before = _running(caller.environment_id)
        if to < before:
            raise TestClockBackwards(extra={"frozen_time": instant_text(before)})
        _audit(caller, "test_clock.advanced", before, to, reason, now)
    return _Journey(caller.environment_id, since=before, until=to).travel()


@transaction.atomic
def clock_advance_to_next(*, caller: Caller, reason: str = "", now: datetime) -> Advanced:
    """Let time run up to the next instant at which anything is due, and do it. When nothing is, it stays.

    Raises TestClockOnLive, TestClockMissing, TestClockStuck.
    """
    before = _running(caller.environment_id)
    due = clock_due(environment_id=caller.environment_id)
    to = max(due[0].at, before) if due else before
    _audit(caller, "test_clock.advanced", before, to, reason, now)
    return _Journey(caller.environment_id, since=before, until=to).travel()


@transaction.atomic
def clock_remove(*, caller: Caller, wall_now: datetime, reason: str = "", now: datetime) -> None:
    """Give the environment the system's time back. What is due by then is done by the sweeps, as everywhere.

    Raises TestClockOnLive, TestClockMissing; TestClockBehindFacts when something happened after `wall_now`.
    """
    before = _running(caller.environment_id)
    fact = latest_fact(environment_id=caller.environment_id)
    if fact is not None and wall_now < fact.at:
        raise _behind(fact)
    _audit(caller, "test_clock.removed", before, None, reason, now)
    _clock_store(caller.environment_id, None)


@dataclass(slots=True)
class _Journey:
    """A clock on its way."""

    environment_id: UUID
    since: datetime
    until: datetime
    instants: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def travel(self) -> Advanced:
        while self._step():
            self.instants += 1
        moments = [moment.at for _, moment in due_moments(environment_id=self.environment_id)]
        return Advanced(
            frozen_time=_running(self.environment_id),
            advanced_from=self.since,
            instants=self.instants,
            done=dict(+self.done),
            next_due_at=min(moments, default=None),
        )

    @transaction.atomic
    def _step(self) -> bool:
        """Go to the next instant and do what is due there; False at the end of the way."""
        present = _running(self.environment_id)
        due = _first_due(self.environment_id, self.until)
        at = max(present, due.at) if due else max(present, self.until)
        if at > present:
            _clock_store(self.environment_id, at)
        if due:
            self._work(at)
        return due is not None

    def _work(self, at: datetime) -> None:
        for _ in range(_ROUNDS):
            for source in due_sources():
                self.done[source.name] += _run(source, self.environment_id, at)
            if _first_due(self.environment_id, at) is None:
                return
        raise _stuck(self.environment_id, at)


def _run(source: DueSource, environment_id: UUID, at: datetime) -> int:
    try:
        return source.run(environment_id=environment_id, at=at)
    except DomainError as refusal:
        raise TestClockStuck(
            f"At {instant_text(at)}, {source.name}: {refusal.detail}",
            extra={"source": source.name, "due_at": instant_text(at), "cause": refusal.code},
        ) from refusal


def _stuck(environment_id: UUID, at: datetime) -> TestClockStuck:
    source, moment = next(each for each in due_moments(environment_id=environment_id) if each[1].at <= at)
    return TestClockStuck(
        f"At {instant_text(at)}, {source.name} find no end: {moment.what}.",
        extra={"source": source.name, "due_at": instant_text(moment.at), "what": moment.what},
    )


def _first_due(environment_id: UUID, until: datetime) -> Moment | None:
    moments = [moment for _, moment in due_moments(environment_id=environment_id) if moment.at <= until]
    return min(moments, key=lambda moment: moment.at, default=None)


def _locked(environment_id: UUID) -> datetime | None:
    """The clock's instant, under the environment's lock."""
    row = call_function("customers_test_clock_lock_v1", environment=environment_id)
    _check_kind(row.kind)
    frozen_at: datetime | None = row.frozen_at
    return frozen_at


def _running(environment_id: UUID) -> datetime:
    """The same, of an environment that has a clock."""
    frozen_at = _locked(environment_id)
    if frozen_at is None:
        raise TestClockMissing
    return frozen_at


def _check_kind(kind: str) -> None:
    if kind != EnvironmentKind.TEST:
        raise TestClockOnLive


def _clock_store(environment_id: UUID, frozen_at: datetime | None) -> None:
    call_function("customers_test_clock_set_v1", environment=environment_id, frozen_at=frozen_at)
    config_changed(environment_id)
    transaction.on_commit(partial(forget_environment, environment_id))


def _behind(fact: Moment) -> TestClockBehindFacts:
    return TestClockBehindFacts(
        f"There is something later: {fact.what}, at {instant_text(fact.at)}.",
        extra={"latest_fact_at": instant_text(fact.at), "latest_fact": fact.what},
    )


def _audit(
    caller: Caller, action: str, before: datetime | None, after: datetime | None, reason: str, now: datetime
) -> None:
    shown = [None if instant is None else instant_text(instant) for instant in (before, after)]
    audit_record(
        caller=caller,
        action=action,
        object_type="environment",
        object_id=str(caller.environment_id),
        reason=reason,
        changes={"frozen_time": shown},
        now=now,
    )
