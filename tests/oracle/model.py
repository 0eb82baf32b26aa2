"""An independent model of one customer's credits, written from spec sections 3, 4, 8 and 18.

Nothing is kept that can be worked out: what is held, reserved and left is added up anew each time it is
asked for, where the kernel maintains it. Where the specification is silent, the rule is the one the kernel documents:

 - at one instant holds end first, then blocks die, then blocks start;
 - credits for certain metrics do not repay overdraft, and no price of a conversion is paid from them;
 - a refund gives back last what burned first; what cannot go home repays overdraft if any metric may burn it, and then
   becomes a block on the dead one's terms, alive as long as that had been; what was overdraft, one without end;
 - an adjustment that only repays overdraft leaves no block;
 - a hold's missing part (NULL) is asked of nobody at commit: the policy was asked when it was made;
 - while other work is due first (`catch_up`), time passes only to just before it, and nothing moves or is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

GRACE: Final = timedelta(seconds=5)
_MICROSECOND: Final = timedelta(microseconds=1)
#: A metric that burns any block: what an operator's negative adjustment does.
ANY: Final = None
#: A metric no block is made for.
NONE: Final = ""
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Part = tuple[UUID | None, int]


@dataclass(kw_only=True)
class Block:
    id: UUID
    original: int
    priority: int
    starts: datetime
    ends: datetime | None
    metrics: frozenset[str] | None
    paid: bool
    made: datetime
    remaining: int = 0
    started: bool = False

    def is_dead(self, at: datetime) -> bool:
        return self.ends is not None and self.ends <= at

    def burns_for(self, metric: str | None) -> bool:
        return metric is ANY or self.metrics is None or metric in self.metrics

    def burn_place(self) -> tuple[int, datetime, bool, datetime, UUID]:
        return -self.priority, self.ends or _NEVER, self.paid, self.made, self.id


@dataclass(kw_only=True)
class Hold:
    id: UUID
    amount: int
    parts: list[Part]
    metric: str | None
    ends: datetime
    state: str = "active"
    committed: int | None = None


@dataclass(kw_only=True)
class Entry:
    kind: str
    cause: UUID
    parts: list[Part]
    balance_after: int
    effective_after: int
    at: datetime
    #: A debit's parts that were not given back yet.
    refundable: list[Part] = field(default_factory=list)

    @property
    def amount(self) -> int:
        return sum(amount for _, amount in self.parts)


@dataclass(kw_only=True)
class Account:
    policy: str = "block"
    limit: int | None = None
    overdraft: int = 0
    lifetime_earned: int = 0
    blocks: dict[UUID, Block] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    #: When it last moved: processes' clocks differ, an account's own never goes back.
    clock: datetime = _ALWAYS
    catch_up: datetime | None = None

    # --- What follows from the rest

    @property
    def balance(self) -> int:
        return sum(block.remaining for block in self.blocks.values()) - self.overdraft

    @property
    def reserved(self) -> int:
        return sum(hold.amount for hold in self._open())

    @property
    def effective(self) -> int:
        return self.balance - self.reserved

    def held(self, block: Block) -> int:
        return sum(amount for hold in self._open() for home, amount in hold.parts if home == block.id)

    def free(self, block: Block) -> int:
        return block.remaining - self.held(block)

    def live_blocks(self) -> list[Block]:
        return sorted((block for block in self.blocks.values() if block.remaining), key=Block.burn_place)

    def at(self, instant: datetime) -> Account:
        """This account as it will be at an instant to come if nobody does anything."""
        there = deepcopy(self)
        there.catch_up = None
        there.settle(instant)
        return there

    def due_by(self, instant: datetime) -> bool:
        return self._next_due() <= self._until(instant)

    def waits(self, now: datetime) -> bool:
        """Whether other work is due first."""
        return self.catch_up is not None and self.catch_up <= self._now(now)

    def _until(self, now: datetime) -> datetime:
        return now if self.catch_up is None else min(now, self.catch_up - _MICROSECOND)

    def _open(self) -> Iterable[Hold]:
        return (hold for hold in self.holds.values() if hold.state == "active")

    def _now(self, now: datetime) -> datetime:
        return max(now, self.clock)

    # --- Time passes

    def settle(self, now: datetime) -> None:
        while (due := self._next_due()) <= self._until(now):
            self._pass(due)

    def configure(self, *, catch_up: datetime | None, now: datetime) -> str:
        self.settle(now)
        self.catch_up = catch_up
        return "configured"

    def _next_due(self) -> datetime:
        ends = [hold.ends + GRACE for hold in self._open()]
        deaths = [b.ends for b in self.blocks.values() if b.started and b.ends and self.free(b) > 0]
        starts = [block.starts for block in self.blocks.values() if not block.started]
        return min([*ends, *deaths, *starts], default=_NEVER)

    def _pass(self, due: datetime) -> None:
        for hold in sorted(self._open(), key=lambda hold: (hold.ends, hold.id)):
            if hold.ends + GRACE <= due:
                hold.state = "expired"
                self.clock = self._now(due)
                self._bury(hold, hold.parts, due)
        for block in sorted(
            self.blocks.values(), key=lambda block: (block.ends or _NEVER, block.burn_place())
        ):
            if block.started and block.is_dead(due) and self.free(block):
                self._book("expire", block.id, [(block.id, -self.free(block))], due)
        for block in sorted(self.blocks.values(), key=lambda block: (block.starts, block.made, block.id)):
            if not block.started and block.starts <= due:
                self._start(block, "grant", block.id, due)

    def _bury(self, hold: Hold, freed: Iterable[Part], at: datetime) -> None:
        """What an ended hold gives back to a dead block dies at once."""
        gone = [
            (home, -amount) for home, amount in freed if home and amount and self.blocks[home].is_dead(at)
        ]
        if gone:
            self._book("expire", hold.id, gone, at)

    # --- Movements

    def grant(
        self,
        *,
        block: UUID,
        kind: str = "grant",
        credits: int,
        priority: int = 0,
        starts: datetime | None = None,
        ends: datetime | None = None,
        metrics: frozenset[str] | None = None,
        price_paid: int | None = None,
        now: datetime,
    ) -> str:
        self.settle(now)
        now = self._now(now)
        if self.waits(now):
            return "catch-up-due"
        begins = max(starts or now, now)
        if ends is not None and ends <= begins:
            return "expired"
        self.blocks[block] = made = Block(
            id=block,
            original=credits,
            priority=priority,
            starts=begins,
            ends=ends,
            metrics=metrics,
            paid=bool(price_paid),
            made=now,
        )
        if begins > now:
            return "pending"
        self._start(made, kind, block, now)
        return "granted"

    def prolong(self, *, block: UUID, new_block: UUID, ends: datetime | None, now: datetime) -> str:
        """What nobody holds of a block that has started goes into a new one on its other terms."""
        self.settle(now)
        now = self._now(now)
        old = self.blocks[block]
        if self.waits(now):
            return "catch-up-due"
        if not old.remaining:
            return "nothing-left"
        if not self.free(old):
            return "all-held"
        credits = self.free(old)
        if not self._may(credits, 0):
            return "insufficient"
        self._book("adjust", new_block, [(block, -credits)], now)
        self.blocks[new_block] = made = replace(
            old, id=new_block, original=credits, remaining=0, starts=now, ends=ends, made=now, started=False
        )
        earned = self.lifetime_earned
        self._start(made, "grant", new_block, now)
        self.lifetime_earned = earned
        return "granted"

    def _start(self, block: Block, kind: str, cause: UUID, at: datetime) -> None:
        repaid = 0 if block.metrics else min(self.overdraft, block.original)
        self.lifetime_earned += block.original
        block.original -= repaid
        block.started = True
        debt: list[Part] = [(None, repaid)] if repaid else []
        self._book(kind, cause, [*debt, (block.id, block.original)], at)

    def debit(
        self, *, cause: UUID, amount: int, metric: str | None, now: datetime, kind: str = "debit"
    ) -> str:
        self.settle(now)
        now = self._now(now)
        if self.waits(now):
            return "catch-up-due"
        parts, missing = self._plan(amount, metric, now)
        if not self._may(amount, missing):
            return "insufficient"
        self._book_debit(kind, cause, parts, missing, now)
        return "debited"

    def adjust(self, *, cause: UUID, delta: int, now: datetime) -> str:
        if 0 < delta <= self.at(now).overdraft and not self.waits(now):
            self.settle(now)
            self.lifetime_earned += delta
            self._book("adjust", cause, [(None, delta)], now)
            return "adjusted"
        if delta > 0:
            done = self.grant(block=cause, kind="adjust", credits=delta, now=now)
        else:
            done = self.debit(cause=cause, amount=-delta, metric=ANY, kind="adjust", now=now)
        return "adjusted" if done in {"granted", "debited"} else done

    def refund(
        self, *, entry: int, amount: int | None, cause: UUID, new_blocks: list[UUID], now: datetime
    ) -> str:
        self.settle(now)
        now = self._now(now)
        debit = self.entries[entry]
        if debit.kind != "debit":
            return "not-a-debit"
        if self.waits(now):
            return "catch-up-due"
        left = sum(part for _, part in debit.refundable)
        wanted = left if amount is None else amount
        if not left or wanted > left:
            return "exceeds-debit" if left else "nothing-left"
        spare = dict(zip((home for home, _ in debit.parts), new_blocks, strict=False))
        given = _take_back(debit.refundable, wanted)
        self._book("refund", cause, self._homes(given, spare, now), now)
        return "refunded"

    def _homes(self, given: list[Part], spare: dict[UUID | None, UUID], now: datetime) -> list[Part]:
        """Where refunded parts go: home, or else against overdraft, or else into new blocks."""
        homes = [(home, part) for home, part in given if home and not self.blocks[home].is_dead(now)]
        owed, made = self.overdraft, []
        for home, part in given:
            dead = self.blocks[home] if home else None
            if dead and not dead.is_dead(now):
                continue
            repaid = 0 if dead and dead.metrics else min(part, owed)
            owed -= repaid
            if part > repaid:
                made.append((self._successor(spare[home], dead, part - repaid, now), part - repaid))
        repaid = self.overdraft - owed
        return [*homes, *([(None, repaid)] if repaid else []), *made]

    def _successor(self, block: UUID, dead: Block | None, credits: int, now: datetime) -> UUID:
        lived = dead.ends - dead.starts if dead and dead.ends else None
        self.blocks[block] = Block(
            id=block,
            original=credits,
            priority=dead.priority if dead else 0,
            starts=now,
            ends=now + lived if lived else None,
            metrics=dead.metrics if dead else None,
            paid=False,
            made=now,
            started=True,
        )
        return block

    def convert(
        self,
        *,
        price: int,
        block: UUID,
        credits: int,
        priority: int,
        ends: datetime | None,
        metrics: frozenset[str] | None,
        now: datetime,
    ) -> str:
        self.settle(now)
        now = self._now(now)
        if self.waits(now):
            return "catch-up-due"
        parts, missing = self._plan(price, NONE, now)
        if ends is not None and ends <= now:
            return "expired"
        if not self._may(price, missing):
            return "insufficient"
        repaid = 0 if metrics else min(self.overdraft + missing, credits)
        self.blocks[block] = Block(
            id=block,
            original=credits - repaid,
            priority=priority,
            starts=now,
            ends=ends,
            metrics=metrics,
            paid=False,
            made=now,
            started=True,
        )
        self.lifetime_earned += credits
        debt: list[Part] = [(None, repaid - missing)] if repaid != missing else []
        taken: list[Part] = [(home, -part) for home, part in parts]
        self._book("convert", block, [*taken, *debt, (block, credits - repaid)], now)
        return "converted"

    def rollover(
        self,
        *,
        block: UUID,
        new_block: UUID,
        credits: int,
        priority: int,
        ends: datetime | None,
        now: datetime,
    ) -> str:
        self.settle(now - _MICROSECOND)
        now = self._now(now)
        old = self.blocks[block]
        if self.waits(now):
            return "catch-up-due"
        if ends is not None and ends <= now:
            return "expired"
        if self.free(old) < credits or (old.ends is not None and old.ends < now):
            return "insufficient"
        self.blocks[new_block] = Block(
            id=new_block,
            original=credits,
            priority=priority,
            starts=now,
            ends=ends,
            metrics=old.metrics,
            paid=False,
            made=now,
            started=True,
        )
        self._book("rollover", new_block, [(block, -credits), (new_block, credits)], now)
        return "rolled-over"

    # --- Holds

    def hold(self, *, hold: UUID, amount: int, metric: str | None, ends: datetime, now: datetime) -> str:
        self.settle(now)
        now = self._now(now)
        if self.waits(now):
            return "catch-up-due"
        parts, missing = self._plan(amount, metric, now)
        if not self._may(amount, missing):
            return "insufficient"
        unpinned: list[Part] = [(None, missing)] if missing else []
        self.clock = now
        self.holds[hold] = Hold(id=hold, amount=amount, parts=[*parts, *unpinned], metric=metric, ends=ends)
        return "held"

    def commit(self, *, hold: UUID, amount: int, now: datetime) -> str:
        self.settle(now)
        now = self._now(now)
        held = self.holds[hold]
        if held.state != "active":
            return f"{held.state}-already"
        if self.waits(now):
            return "catch-up-due"
        pinned = [(home, part) for home, part in held.parts if home]
        used = _first(pinned, amount)
        more, missing = self._plan(amount - sum(part for _, part in used), held.metric, now)
        if not self._may_exceed(amount - held.amount, missing):
            return "insufficient"
        held.state, held.committed, self.clock = "committed", amount, now
        if amount:
            self._book_debit("debit", hold, _merged([*used, *more]), missing, now)
        spent = dict(used)
        self._bury(held, [(home, part - spent.get(home, 0)) for home, part in pinned], now)
        return "committed"

    def release(self, *, hold: UUID, now: datetime) -> str:
        self.settle(now)
        held = self.holds[hold]
        if held.state != "active":
            return f"{held.state}-already"
        if self.waits(now):
            return "catch-up-due"
        held.state, self.clock = "released", self._now(now)
        self._bury(held, held.parts, self.clock)
        return "released"

    def extend(self, *, hold: UUID, ends: datetime, now: datetime) -> str:
        self.settle(now)
        held = self.holds[hold]
        if held.state != "active":
            return f"{held.state}-already"
        if self.waits(now):
            return "catch-up-due"
        held.ends = ends
        return "extended"

    # --- The rules

    def _may(self, amount: int, missing: int) -> bool:
        if self.policy == "block":
            return self.effective >= amount and not missing
        return self.limit is None or self.effective - amount >= -self.limit

    def _may_exceed(self, extra: int, missing: int) -> bool:
        return extra <= 0 or self._may(extra, missing)

    def _plan(self, amount: int, metric: str | None, at: datetime) -> tuple[list[Part], int]:
        parts: list[Part] = []
        for block in self.live_blocks():
            part = min(amount, self.free(block))
            if part and block.burns_for(metric) and not block.is_dead(at):
                parts.append((block.id, part))
                amount -= part
        return parts, amount

    def _book_debit(self, kind: str, cause: UUID, parts: list[Part], missing: int, at: datetime) -> None:
        debt: list[Part] = [(None, -missing)] if missing else []
        self._book(kind, cause, [*((home, -part) for home, part in parts), *debt], at)
        self.entries[-1].refundable = [(home, -part) for home, part in self.entries[-1].parts]

    def _book(self, kind: str, cause: UUID, parts: Sequence[Part], at: datetime) -> None:
        at = self.clock = self._now(at)
        for home, part in parts:
            if home is None:
                self.overdraft -= part
            else:
                self.blocks[home].remaining += part
        self.entries.append(
            Entry(
                kind=kind,
                cause=cause,
                parts=list(parts),
                balance_after=self.balance,
                effective_after=self.effective,
                at=at,
            )
        )


def _first(parts: Iterable[Part], amount: int) -> list[Part]:
    taken = []
    for home, part in parts:
        if amount:
            taken.append((home, min(part, amount)))
            amount -= taken[-1][1]
    return taken


def _take_back(parts: list[Part], amount: int) -> list[Part]:
    """Removes `amount` from the end of `parts`, in place, and returns what was removed, last first."""
    taken: list[Part] = []
    while amount:
        home, part = parts.pop()
        back = min(part, amount)
        amount -= back
        taken.append((home, back))
        if part > back:
            parts.append((home, part - back))
    return taken


def _merged(parts: Iterable[Part]) -> list[Part]:
    sums: dict[UUID | None, int] = {}
    for home, part in parts:
        sums[home] = sums.get(home, 0) + part
    return list(sums.items())
