"""Group commit inside the web process: requests that would wait for each other are recorded together.

While `USAGE_GROUP_COMMIT_LANES` calls of this process are under way, further ones wait. When one ends, the first that
waits takes all that wait and records them by one set-based call, in one transaction; the time of the call before is the
time in which the next group forms. Alone, a request calls the database directly.

Who was answered just now is likely to come again at once. For a moment, at most LINGER_SECONDS, a group waits until as
many are there as were before: half of them at a time, in turns, would cost a quarter more.

Nothing is answered before its commit. Events of an account that somebody else holds are recorded after the others of
their group, which are answered meanwhile, and beside the next group. A group that fails, or meets an account that is
held for long, is taken apart: each of its requests is then tried singly, in its own thread, so that nobody suffers from
another's event. Nor does anybody wait behind a call that does not come to its end: after PATIENCE_SECONDS the next one
goes beside it.

An event whose price depends on a customer or plan that this process has not seen takes a group twice as long. It goes
alone, unless its customer has another under way, whose lock it would wait for; further ones are priced for whom that
found.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from threading import Lock
from typing import Final
from uuid import UUID

from django.conf import settings

from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.clock import elapsed_seconds
from metering.services.usage import Outcome, UsageInput, UsageRecorded, UsageWish, usage_record
from metering.services.usage_batch import usages_record
from metering.services.usage_ordinary import is_ordinary

_log = logging.getLogger(__name__)

#: How long all lanes may be at a standstill before one more is opened.
PATIENCE_SECONDS: Final = 0.1
#: How long a group waits for those who were answered just now.
LINGER_SECONDS: Final = 0.001
#: How long after a call ended somebody is likely to come again.
RETURN_SECONDS: Final = 0.005
#: The most that one group takes; larger ones gain nothing more.
GROUP_MAX: Final = 200


def usage_submit(*, caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    """As usage_record, by whichever way is faster at the moment."""
    if settings.USAGE_GROUP_COMMIT:
        return _groups.record(UsageWish(caller=caller, usage=usage), now)
    return usage_record(caller=caller, usage=usage, now=now)


class _Ticket:
    """A request that waits: for what became of it, or to lead the next group."""

    __slots__ = ("_woken", "now", "outcome", "wish")

    def __init__(self, wish: UsageWish, now: datetime) -> None:
        self.wish = wish
        self.now = now
        self.outcome: Outcome | None = None
        self._woken = Lock()
        self._woken.acquire()

    def wait(self, seconds: float) -> bool:
        """Whether it was woken within this time."""
        # `_woken` is a Lock rather than an Event: waking costs a third.
        return self._woken.acquire(timeout=seconds)

    def wake(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome
        self._woken.release()


class _Alone(Exception):
    """The group failed; what it would have done for this request is to be done for it alone."""


class GroupCommit:
    """The calls under way in this process, and who waits for them to end."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way = 0
        #: When a call began or ended last.
        self._moved_at = 0.0
        self._waiting: deque[_Ticket] = deque()
        #: How many there were when a call ended last, those it answered and those who waited.
        self._crowd = 1
        #: How many have to wait for a leader who lingers to go on, and what wakes it then.
        self._lingering: tuple[int, Lock] | None = None
        #: Customers of whom an event whose price is not known is under way. Only a hint, so nothing guards it.
        self._apart: set[tuple[UUID, str, str]] = set()

    def record(self, wish: UsageWish, now: datetime) -> UsageRecorded:
        """Record the event, alone or in a group. Raises what usage_record raises."""
        environment_id = wish.caller.environment_id
        if is_ordinary(wish.usage, environment_id, now):
            return self._record(wish, now)
        customer = (environment_id, wish.usage.by, wish.usage.reference)
        if customer in self._apart:
            return self._record(wish, now)
        self._apart.add(customer)
        try:
            return _record_alone(wish, now)
        finally:
            self._apart.discard(customer)

    def _record(self, wish: UsageWish, now: datetime) -> UsageRecorded:
        ticket = self._enter(wish, now)
        if ticket is None:
            try:
                return _record_alone(wish, now)
            finally:
                self._leave(1)
        while not ticket.wait(PATIENCE_SECONDS) and not self._goes_beside(ticket):
            pass
        if ticket.outcome is None:
            return self._lead(ticket)
        return _recorded(ticket)

    def _enter(self, wish: UsageWish, now: datetime) -> _Ticket | None:
        with self._lock:
            is_free = self._under_way < settings.USAGE_GROUP_COMMIT_LANES
            if is_free:
                self._under_way += 1
                moved_at, self._moved_at = self._moved_at, elapsed_seconds()
                if self._crowd == 1 or self._moved_at - moved_at > RETURN_SECONDS:
                    return None
            ticket = _Ticket(wish, now)
            if is_free:
                ticket.wake()
            else:
                self._waiting.append(ticket)
                self._announce()
            return ticket

    def _announce(self) -> None:
        if self._lingering is not None and len(self._waiting) >= self._lingering[0]:
            self._lingering[1].release()
            self._lingering = None

    def _goes_beside(self, ticket: _Ticket) -> bool:
        """Whether this one, which waits, is to lead the others that do while all lanes are at a standstill."""
        with self._lock:
            if ticket not in self._waiting or elapsed_seconds() - self._moved_at < PATIENCE_SECONDS:
                return False
            self._waiting.remove(ticket)
            self._under_way += 1
            self._moved_at = elapsed_seconds()
            return True

    def _leave(self, answered: int) -> None:
        """Hand the lane to the first that waits; it leads whatever has come together by then."""
        with self._lock:
            self._moved_at = elapsed_seconds()
            self._crowd = answered + len(self._waiting)
            # A lane too many, opened beside one that stood still, ends here.
            if not self._waiting or self._under_way > settings.USAGE_GROUP_COMMIT_LANES:
                self._under_way -= 1
                return
            leader = self._waiting.popleft()
        leader.wake()

    def _lead(self, leader: _Ticket) -> UsageRecorded:
        group = [leader]
        with ExitStack() as lane:
            lane.callback(lambda: self._leave(len(group)))
            self._linger()
            group += self._followers(leader)
            if len(group) == 1:
                return _record_alone(leader.wish, leader.now)
            _record_group(group, go_on=lane.close)
        return _recorded(leader)

    def _linger(self) -> None:
        """Wait for those who were here just now, but not for long."""
        with self._lock:
            wanted = self._crowd - 1
            if len(self._waiting) >= wanted or self._lingering is not None:
                return
            all_are_here = Lock()
            all_are_here.acquire()
            self._lingering = wanted, all_are_here
        if not all_are_here.acquire(timeout=LINGER_SECONDS):
            with self._lock:
                self._lingering = None

    def _followers(self, leader: _Ticket) -> list[_Ticket]:
        """Those that wait in the leader's environment; the others have a leader of their own."""
        environment_id = leader.wish.caller.environment_id
        followers: list[_Ticket] = []
        others: deque[_Ticket] = deque()
        with self._lock:
            while self._waiting and len(followers) < GROUP_MAX - 1:
                ticket = self._waiting.popleft()
                (followers if ticket.wish.caller.environment_id == environment_id else others).append(ticket)
            others.extend(self._waiting)
            self._waiting = others
        return followers


def _record_group(group: Sequence[_Ticket], *, go_on: Callable[[], object]) -> None:
    """Record them by one call, the first being its leader, and tell each what became of it. The next group may `go_on`
    while some of this one wait for an account that somebody else holds."""
    leader, *followers = group
    outcomes: list[Outcome] = [_Alone() for _ in group]

    def tell(known: Sequence[Outcome | None]) -> None:
        leader.outcome = known[0]
        for ticket, outcome in zip(followers, known[1:], strict=True):
            if outcome is not None:
                ticket.wake(outcome)
        go_on()

    try:
        outcomes = usages_record(
            environment_id=leader.wish.caller.environment_id,
            wishes=[ticket.wish for ticket in group],
            now=max(ticket.now for ticket in group),
            is_patient=False,
            tell=tell,
        )
    except Exception:
        _log.warning("a group of %d usage events failed and is taken apart", len(group), exc_info=True)
    finally:
        leader.outcome = leader.outcome or outcomes[0]
        for ticket, outcome in zip(followers, outcomes[1:], strict=True):
            if ticket.outcome is None:
                ticket.wake(outcome)


def _recorded(ticket: _Ticket) -> UsageRecorded:
    outcome = ticket.outcome
    if isinstance(outcome, UsageRecorded):
        return outcome
    if isinstance(outcome, DomainError):
        raise outcome
    return _record_alone(ticket.wish, ticket.now)


def _record_alone(wish: UsageWish, now: datetime) -> UsageRecorded:
    return usage_record(caller=wish.caller, usage=wish.usage, now=now)


_groups: Final = GroupCommit()
