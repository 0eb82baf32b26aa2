"""Group commit inside the web process: requests that would wait for each other are recorded together.

While `USAGE_GROUP_COMMIT_LANES` calls of this process are under way, further ones wait. When one ends, the first that
waits takes all that wait and records them by one set-based call, in one transaction; the time of the call before is the
time in which the next group forms. Alone, a request calls the database directly.

Nothing is answered before its commit. A group that fails, or meets an account that is locked for long, is taken apart:
each of its requests is then tried singly, in its own thread, so that nobody suffers from another's event. Nor does
anybody wait behind a call that does not come to its end: after PATIENCE_SECONDS the next one goes beside it.

An event whose price depends on a customer or plan that this process has not seen takes a group twice as long. It goes
alone, unless its customer has another under way, whose lock it would wait for; further ones are priced for whom that
found.
"""

from __future__ import annotations

import logging
from collections import deque
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
                self._leave()
        while not ticket.wait(PATIENCE_SECONDS) and not self._goes_beside(ticket):
            pass
        if ticket.outcome is None:
            try:
                self._lead(ticket)
            finally:
                self._leave()
        return _recorded(ticket)

    def _enter(self, wish: UsageWish, now: datetime) -> _Ticket | None:
        with self._lock:
            if self._under_way < settings.USAGE_GROUP_COMMIT_LANES:
                self._under_way += 1
                self._moved_at = elapsed_seconds()
                return None
            ticket = _Ticket(wish, now)
            self._waiting.append(ticket)
            return ticket

    def _goes_beside(self, ticket: _Ticket) -> bool:
        """Whether this one, which waits, is to lead the others that do while all lanes are at a standstill."""
        with self._lock:
            if ticket not in self._waiting or elapsed_seconds() - self._moved_at < PATIENCE_SECONDS:
                return False
            self._waiting.remove(ticket)
            self._under_way += 1
            self._moved_at = elapsed_seconds()
            return True

    def _leave(self) -> None:
        """Hand the lane to the first that waits; it leads whatever has come together by then."""
        with self._lock:
            self._moved_at = elapsed_seconds()
            # A lane too many, opened beside one that stood still, ends here.
            if not self._waiting or self._under_way > settings.USAGE_GROUP_COMMIT_LANES:
                self._under_way -= 1
                return
            leader = self._waiting.popleft()
        leader.wake()

    def _lead(self, leader: _Ticket) -> None:
        group = [leader, *self._followers(leader)]
        outcomes: list[Outcome] = [_Alone() for _ in group]
        try:
            if len(group) > 1:
                outcomes = usages_record(
                    environment_id=leader.wish.caller.environment_id,
                    wishes=[ticket.wish for ticket in group],
                    now=max(ticket.now for ticket in group),
                    is_patient=False,
                )
        except Exception:
            _log.warning("a group of %d usage events failed and is taken apart", len(group), exc_info=True)
        finally:
            leader.outcome = outcomes[0]
            for ticket, outcome in zip(group[1:], outcomes[1:], strict=True):
                ticket.wake(outcome)

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
