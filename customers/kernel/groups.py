"""Calls of one process that would wait for each other are made together: usage by group commit, entitlement checks too.

While as many calls as there are lanes are under way, further ones wait. When one ends, the first that waits takes all
that wait and makes one call for them; the time of the call before is the time in which the next group forms. Alone, a
request is answered directly.

Who was answered just now is likely to come again at once. For a moment, at most LINGER_SECONDS, a group waits until as
many are there as were before: half of them at a time, in turns, would cost a quarter more. The last of them to come
makes the call, since it is awake; the first does so when they do not come.

A group that fails is taken apart: each of its requests is then tried singly, in its own thread, so that nobody suffers
from another's. Nor does anybody wait behind a call that does not come to its end: after PATIENCE_SECONDS the next one
goes beside it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from enum import Enum, auto
from threading import Lock
from typing import Final, Generic, TypeVar

from customers.kernel.clock import elapsed_seconds

_log = logging.getLogger(__name__)

Wish = TypeVar("Wish")
Answer = TypeVar("Answer")

#: How long all lanes may be at a standstill before one more is opened.
PATIENCE_SECONDS: Final = 0.1
#: How long a group waits for those who were answered just now.
LINGER_SECONDS: Final = 0.001
#: How long after a call ended somebody is likely to come again.
RETURN_SECONDS: Final = 0.005


class Failed(Exception):
    """What a group could not do for one of its requests, which is to be tried alone."""


#: Tells some of a group before the others what became of them; None for who has to wait.
Tell = Callable[[Sequence[Answer | Exception | None]], None]


class _Turn(Enum):
    """What a request is to do next."""

    ALONE = auto()
    #: It holds a lane, and may wait for others.
    FIRST = auto()
    LEADS = auto()
    WAITS = auto()
    OVER = auto()


_PAUSES: Final = (_Turn.FIRST, _Turn.WAITS)


class _Ticket(Generic[Wish, Answer]):
    """A request that waits: for what became of it, or to lead the next group."""

    __slots__ = ("_woken", "outcome", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.outcome: Answer | Exception | None = None
        self._woken = Lock()
        self._woken.acquire()

    def wait(self, seconds: float) -> bool:
        """Whether it was woken within this time."""
        # `_woken` is a Lock rather than an Event: waking costs a third.
        return self._woken.acquire(timeout=seconds)

    def wake(self, outcome: Answer | Exception | None = None) -> None:
        self.outcome = outcome
        self._woken.release()


class Groups(Generic[Wish, Answer]):
    """The calls of one kind under way in this process, and who waits for them to end.

    `together` answers each of the wishes, in their order: by what it wanted, by one of the `refusals`, which is raised,
    or by any other exception when it is to be tried alone. Only wishes of the same `kin` share a call, at most `most`.
    """

    def __init__(
        self,
        *,
        alone: Callable[[Wish], Answer],
        together: Callable[[Sequence[Wish], Tell[Answer]], Sequence[Answer | Exception]],
        lanes: Callable[[], int] = lambda: 1,
        kin: Callable[[Wish], Hashable] = lambda _wish: None,
        refusals: tuple[type[Exception], ...] = (),
        most: int,
    ) -> None:
        self._alone = alone
        self._together = together
        self._lanes = lanes
        self._kin = kin
        self._refusals = refusals
        self._most = most
        self._lock = Lock()
        self._under_way = 0
        #: When a call began or ended last.
        self._moved_at = 0.0
        self._waiting: deque[_Ticket[Wish, Answer]] = deque()
        #: How many there were when a call ended last, those it answered and those who waited.
        self._crowd = 1
        #: How many have to be there for a group to go on that waits for them; the first of them holds a lane.
        self._lingering: int | None = None

    def answer(self, wish: Wish) -> Answer:
        """What `alone` would answer or raise, by whichever way is faster at the moment."""
        ticket: _Ticket[Wish, Answer] = _Ticket(wish)
        turn = self._enter(ticket)
        if turn is _Turn.ALONE:
            try:
                return self._alone(wish)
            finally:
                self._leave(1)
        while turn in _PAUSES:
            turn = self._linger(ticket) if turn is _Turn.FIRST else self._wait(ticket)
        return self._lead(ticket) if turn is _Turn.LEADS else self._told(ticket)

    def _enter(self, ticket: _Ticket[Wish, Answer]) -> _Turn:
        with self._lock:
            if self._lingering is not None or self._under_way >= self._lanes():
                return self._join(ticket)
            self._under_way += 1
            moved_at, self._moved_at = self._moved_at, elapsed_seconds()
            is_likely = self._crowd > 1 and self._moved_at - moved_at <= RETURN_SECONDS
            return _Turn.FIRST if is_likely else _Turn.ALONE

    def _join(self, ticket: _Ticket[Wish, Answer]) -> _Turn:
        """Wait, or, when all are here now, take the lane over from the one that was first: this one is awake."""
        if self._lingering is not None and len(self._waiting) + 1 >= self._lingering:
            self._lingering = None
            return _Turn.LEADS
        self._waiting.append(ticket)
        return _Turn.WAITS

    def _linger(self, first: _Ticket[Wish, Answer]) -> _Turn:
        """Wait for those who were here just now, but not for long."""
        with self._lock:
            if self._lingering is not None:
                # Another lane's: two that wait for the same ones are one group.
                self._under_way -= 1
                return self._join(first)
            if len(self._waiting) + 1 >= self._crowd:
                return _Turn.LEADS
            self._waiting.appendleft(first)
            self._lingering = self._crowd
        if first.wait(LINGER_SECONDS):
            return _Turn.FIRST if first.outcome is None else _Turn.OVER
        with self._lock:
            if first not in self._waiting or self._lingering is None:
                return _Turn.WAITS
            self._waiting.remove(first)
            self._lingering = None
            return _Turn.LEADS

    def _wait(self, ticket: _Ticket[Wish, Answer]) -> _Turn:
        """Wait for an answer, for a lane that is handed over, or for all lanes to stand still."""
        while not ticket.wait(PATIENCE_SECONDS):
            if self._goes_beside(ticket):
                return _Turn.LEADS
        return _Turn.FIRST if ticket.outcome is None else _Turn.OVER

    def _goes_beside(self, ticket: _Ticket[Wish, Answer]) -> bool:
        """Whether this one, which waits, is to lead the others that do while all lanes are at a standstill."""
        with self._lock:
            stands_still = elapsed_seconds() - self._moved_at >= PATIENCE_SECONDS and self._lingering is None
            if not stands_still or ticket not in self._waiting:
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
            # A lane too many, opened beside one that stood still, ends here. So does one beside a group that forms.
            is_enough = self._under_way > self._lanes() or self._lingering is not None
            if not self._waiting or is_enough:
                self._under_way -= 1
                return
            leader = self._waiting.popleft()
        leader.wake()

    def _lead(self, leader: _Ticket[Wish, Answer]) -> Answer:
        group = [leader]
        with ExitStack() as lane:
            lane.callback(lambda: self._leave(len(group)))
            group += self._followers(leader)
            if len(group) == 1:
                return self._alone(leader.wish)
            self._answer_together(group, go_on=lane.close)
        return self._told(leader)

    def _followers(self, leader: _Ticket[Wish, Answer]) -> list[_Ticket[Wish, Answer]]:
        """Those that wait and are kin of the leader; the others have a leader of their own."""
        kin = self._kin(leader.wish)
        followers: list[_Ticket[Wish, Answer]] = []
        others: deque[_Ticket[Wish, Answer]] = deque()
        with self._lock:
            while self._waiting and len(followers) < self._most - 1:
                ticket = self._waiting.popleft()
                (followers if self._kin(ticket.wish) == kin else others).append(ticket)
            others.extend(self._waiting)
            self._waiting = others
        return followers

    def _answer_together(
        self, group: Sequence[_Ticket[Wish, Answer]], *, go_on: Callable[[], object]
    ) -> None:
        """Make one call for them, the first being its leader, and tell each what became of it. The next group may
        `go_on` as soon as some of this one are told before the others."""
        leader, *followers = group
        outcomes: Sequence[Answer | Exception] = [Failed() for _ in group]

        def tell(known: Sequence[Answer | Exception | None]) -> None:
            leader.outcome = known[0]
            for ticket, outcome in zip(followers, known[1:], strict=True):
                if outcome is not None:
                    ticket.wake(outcome)
            go_on()

        try:
            outcomes = self._together([ticket.wish for ticket in group], tell)
        except Exception:
            _log.warning("a group of %d calls failed and is taken apart", len(group), exc_info=True)
        finally:
            leader.outcome = leader.outcome or outcomes[0]
            for ticket, outcome in zip(followers, outcomes[1:], strict=True):
                if ticket.outcome is None:
                    ticket.wake(outcome)

    def _told(self, ticket: _Ticket[Wish, Answer]) -> Answer:
        outcome = ticket.outcome
        if isinstance(outcome, self._refusals):
            raise outcome
        if outcome is None or isinstance(outcome, Exception):
            return self._alone(ticket.wish)
        return outcome
