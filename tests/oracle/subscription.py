"""An independent model of one customer's credit subscription, written from spec sections 4, 10 and 18.

It knows no rows, no locks and no scheduler: it has a list of blocks, and a loop that asks what is due next. Where the
specification is silent, the rule is the one the decisions document:

 - at one instant: notices; then the contract's end; then the end of a pause, of a trial, of grace, of the period; then
   the grants of other intervals. After an end or a resumption everything is looked at anew;
 - a notice whose time had passed when it came up is given then;
 - a pause makes the shifted end of the period the new anchor;
 - other intervals count from the anchor once that has begun, before from the start; a change at once carries on an
   interval that both variants have, a change at the period's end begins the new variant's intervals anew.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)
_MONTHS: Final = {"monthly": 1, "quarterly": 3, "yearly": 12}
_DAYS: Final = {"daily": 1, "weekly": 7}
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_LIVE: Final = ("trialing", "active", "overdue", "paused")


class Refused(Exception):
    """With the code of the problem."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """`interval` is "period", "once", a cycle, or a number of seconds."""

    credits: int
    interval: str | int = "period"
    #: "end" of the interval, seconds after its start, or None.
    expires: str | int | None = "end"
    rollover: int = 0
    cap: int | None = None
    priority: int = 10


@dataclass(frozen=True, kw_only=True)
class Terms:
    name: str
    templates: tuple[Template, ...]
    cycle: str = "monthly"
    prepaid: bool = False
    renewal_due_days: int = 3
    grace_days: int = 3
    usage_while_overdue: bool = True
    trial_days: int = 0


@dataclass(kw_only=True, eq=False)
class Block:
    left: int
    priority: int
    expires: datetime


@dataclass(kw_only=True)
class Schedule:
    """`next` is the start of interval `number`, except right after a pause, which shifts it as it stands."""

    anchor: datetime
    number: int = 0
    next: datetime


@dataclass(kw_only=True)
class Period:
    start: datetime
    end: datetime
    #: What was used in it, once it is over.
    used: int | None = None


def after(anchor: datetime, interval: str | int, zone: str, times: int) -> datetime:
    """The start of the interval `times` after the anchor; local time is kept, days that a month lacks are its last."""
    if times == 0:
        return anchor
    if isinstance(interval, int):
        return anchor + timedelta(seconds=interval * times)
    if interval == "hourly":
        return anchor + HOUR * times
    here = anchor.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if interval in _DAYS:
        then = here + DAY * _DAYS[interval] * times
    else:
        months = here.year * 12 + here.month - 1 + _MONTHS[interval] * times
        year, month = months // 12, months % 12 + 1
        then = here.replace(year=year, month=month, day=min(here.day, monthrange(year, month)[1]))
    return then.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(kw_only=True)
class Life:
    """Everything that ever happened to one subscription, and what is to come."""

    terms: Terms
    zone: str
    started: datetime
    contract_end: datetime | None
    ending_soon_days: int
    status: str = "active"
    renewed: bool = False
    cancel_planned: bool = False
    pending: Terms | None = None
    paused_at: datetime | None = None
    resumes_at: datetime | None = None
    before_pause: str = ""
    trial_end: datetime | None = None
    given_notice: set[str] = field(default_factory=set)
    schedules: dict[Template, Schedule] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    last_block: dict[tuple[str, Template], Block] = field(default_factory=dict)
    runs: list[tuple[str, Template, datetime, int]] = field(default_factory=list)
    told: list[tuple[str, datetime]] = field(default_factory=list)
    uses: list[tuple[datetime, int]] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)
    granted: int = 0
    expired: int = 0

    def begin(self, now: datetime) -> int:
        self.anchor, number = self.started, 0
        while after(self.started, self.terms.cycle, self.zone, number + 1) <= now:
            number += 1
        self.steps = number + 1
        self.start = after(self.started, self.terms.cycle, self.zone, number)
        self.end = self._cut(self._whole_end())
        self.floor = now
        trial_end = self.started + DAY * self.terms.trial_days
        if trial_end > now:
            self.status, self.trial_end = "trialing", trial_end
        self.periods.append(Period(start=self.start, end=self.end))
        once = [each for each in self.terms.templates if each.interval == "once"]
        given = sum(self._fire(each, self.start, self.end, now) for each in once)
        given += self._fire_period(now) + self._schedules_begin(now)
        self._tell("created", now)
        return given

    # --- Credits

    @property
    def balance(self) -> int:
        return sum(block.left for block in self.blocks)

    @property
    def used(self) -> int:
        return sum(mc for _, mc in self.uses)

    def use(self, mc: int, now: datetime) -> None:
        self.catch_up(now)
        refuses = not self.terms.usage_while_overdue
        if self.status == "paused" or (self.status == "overdue" and refuses):
            raise Refused("usage-suspended")
        if mc > self.balance:
            raise Refused("insufficient-credits")
        self.uses.append((now, mc))
        # Older blocks stand first in the list.
        for block in sorted(self.blocks, key=lambda block: (-block.priority, block.expires)):
            some = min(mc, block.left)
            block.left -= some
            mc -= some

    def _expire(self, by: datetime) -> None:
        self.expired += sum(block.left for block in self.blocks if block.expires <= by)
        self.blocks = [block for block in self.blocks if block.expires > by]

    def _give(self, credits: int, priority: int, expires: datetime | None) -> Block:
        block = Block(left=credits, priority=priority, expires=expires or _NEVER)
        self.blocks.append(block)
        self.granted += credits
        return block

    def _fire(
        self, template: Template, start: datetime, end: datetime, now: datetime, rolled: int = 0
    ) -> int:
        expires: datetime | None = end if template.expires == "end" else None
        if isinstance(template.expires, int):
            expires = start + SECOND * template.expires
        known = any(run[:3] == (self.terms.name, template, start) for run in self.runs)
        if known or (expires is not None and expires <= now):
            return 0
        self.last_block[self.terms.name, template] = self._give(template.credits, template.priority, expires)
        self.runs.append((self.terms.name, template, start, rolled))
        return template.credits

    def _roll(self, template: Template, until: datetime, now: datetime) -> int:
        """Before anything of `now` expires."""
        last = self.last_block.get((self.terms.name, template))
        if last is None or last.expires != now:
            return 0
        some = last.left * template.rollover // 100
        if template.cap is not None:
            some = min(some, max(template.cap - template.credits, 0))
        if some > 0:
            last.left -= some
            self.blocks.append(Block(left=some, priority=max(0, template.priority - 5), expires=until))
        return some

    # --- What fires

    def _of_period(self) -> list[Template]:
        return [each for each in self.terms.templates if each.interval == "period"]

    def _of_intervals(self) -> list[Template]:
        return [each for each in self.terms.templates if each.interval not in ("period", "once")]

    def _fire_period(self, now: datetime, rolled: dict[Template, int] | None = None) -> int:
        rolled = rolled or {}
        return sum(
            self._fire(each, self.start, self.end, now, rolled.get(each, 0)) for each in self._of_period()
        )

    def _following(self, template: Template) -> datetime:
        schedule = self.schedules[template]
        return after(schedule.anchor, template.interval, self.zone, schedule.number + 1)

    def _due(self, now: datetime) -> list[Template]:
        return [each for each, schedule in self.schedules.items() if schedule.next <= now]

    def _fire_interval(self, template: Template, now: datetime, rolled: int = 0) -> int:
        schedule, end = self.schedules[template], self._following(template)
        start = schedule.next
        schedule.number, schedule.next = schedule.number + 1, end
        return self._fire(template, start, end, now, rolled)

    def _fire_present(self, template: Template, now: datetime) -> int:
        schedule = self.schedules[template]
        schedule.number = 0
        while self._following(template) <= now:
            schedule.number += 1
        schedule.next = after(schedule.anchor, template.interval, self.zone, schedule.number)
        return self._fire_interval(template, now)

    def _schedules_begin(self, now: datetime) -> int:
        mine, given = self._of_intervals(), 0
        self.schedules = {each: schedule for each, schedule in self.schedules.items() if each in mine}
        for template in mine:
            if template not in self.schedules:
                anchor = self.anchor if self.anchor <= now else self.started
                self.schedules[template] = Schedule(anchor=anchor, next=anchor)
                given += self._fire_present(template, now)
        return given

    # --- Periods

    def _whole_end(self, more: int = 0) -> datetime:
        return after(self.anchor, self.terms.cycle, self.zone, self.steps + more)

    def _cut(self, end: datetime) -> datetime:
        return min(end, self.contract_end) if self.contract_end else end

    def _close(self, at: datetime) -> None:
        period = self.periods[-1]
        if period.used is None:
            period.end = at
            period.used = sum(mc for instant, mc in self.uses if period.start <= instant < at)

    def _next_period(self) -> None:
        if self.pending is not None:
            if self.pending.cycle != self.terms.cycle:
                self.anchor, self.steps = self.end, 0
            if self.pending != self.terms:
                self.schedules = {}
            self.terms, self.pending = self.pending, None
        self.steps += 1
        self.start, self.end = self.end, self._cut(self._whole_end())
        self.renewed = False
        self.given_notice.discard("renewal_due")
        self.periods.append(Period(start=self.start, end=self.end))

    def _over(self, status: str) -> None:
        self.status = status
        self.schedules, self.pending, self.renewed = {}, None, False
        self.paused_at = self.resumes_at = None

    # --- Time

    def _tell(self, what: str, at: datetime) -> None:
        self.told.append((what, at))

    def renewable_from(self) -> datetime:
        return max(self.end - DAY * self.terms.renewal_due_days, self.start)

    def _waits_for_renewal(self) -> bool:
        free = self.status == "trialing" and self.trial_end is not None and self.trial_end > self.end
        return self.terms.prepaid and not self.renewed and not free

    def _ahead(self) -> Iterator[tuple[datetime, str]]:
        """In the order of one instant."""
        if self.status not in _LIVE:
            return
        for instant, notice in self._notices():
            if notice not in self.given_notice:
                yield instant, notice
        if self.contract_end:
            yield self.contract_end, "contract_end"
        if self.status == "paused" and self.resumes_at:
            yield self.resumes_at, "resume"
        if self.status == "overdue":
            yield self.end + DAY * self.terms.grace_days, "expire"
        if self.status in ("trialing", "active"):
            yield from self._running()

    def _notices(self) -> Iterator[tuple[datetime, str]]:
        if self.contract_end and self.ending_soon_days:
            yield self.contract_end - DAY * self.ending_soon_days, "contract_ending_soon"
        if self.status == "trialing" and self.trial_end:
            yield self.trial_end - 3 * DAY, "trial_ending"
        runs = self.status in ("trialing", "active")
        is_last = self.contract_end is not None and self.contract_end <= self.end
        if runs and not self.cancel_planned and self._waits_for_renewal() and not is_last:
            yield self.renewable_from(), "renewal_due"

    def _running(self) -> Iterator[tuple[datetime, str]]:
        if self.status == "trialing" and self.trial_end:
            yield self.trial_end, "trial_end"
        yield self.end, "period_end"
        for schedule in self.schedules.values():
            yield schedule.next, "grants"

    def next_due(self) -> datetime | None:
        instants = [instant for instant, _ in self._ahead()]
        return max(min(instants), self.floor) if instants else None

    def catch_up(self, now: datetime) -> None:
        while True:
            due = self.next_due()
            if due is None or due > now:
                break
            self._do(due)
            self.floor = due
        self._expire(now)

    def _do(self, at: datetime) -> None:
        # What died before this instant is gone; what dies at it is still there.
        self._expire(at - timedelta(microseconds=1))
        kinds: list[str] = []
        for instant, kind in self._ahead():
            if instant <= at and kind not in kinds:
                kinds.append(kind)
                if kind in ("contract_end", "resume", "expire") or (kind == "period_end" and self._ends()):
                    break
        advances = "period_end" in kinds and not self._ends()
        rolled = self._roll_all(kinds, advances, at)
        self._expire(at)
        for kind in kinds:
            self._happen(kind, at, rolled)

    def _ends(self) -> bool:
        return self.cancel_planned or self._waits_for_renewal()

    def _roll_all(self, kinds: list[str], advances: bool, at: datetime) -> dict[Template, int]:
        if advances and self.pending is not None:
            return {}
        rolled = {}
        if "grants" in kinds:
            for template in self._due(at):
                rolled[template] = self._roll(template, self._following(template), at)
        if advances:
            for template in self._of_period():
                rolled[template] = self._roll(template, self._cut(self._whole_end(1)), at)
        return rolled

    def _happen(self, kind: str, at: datetime, rolled: dict[Template, int]) -> None:
        if kind in ("contract_ending_soon", "trial_ending", "renewal_due"):
            self.given_notice.add(kind)
            self._tell(kind, at)
        elif kind == "contract_end":
            self._close(at)
            self._over("contract_ended")
            self._tell("contract_ended", at)
        elif kind == "resume":
            self._resume(at)
        elif kind == "expire":
            self._over("expired")
            self._tell("expired", at)
        elif kind == "trial_end":
            self.status = "active"
            self._tell("changed", at)
        elif kind == "period_end":
            self._period_ends(at, rolled)
        else:
            for template in self._due(at):
                self._fire_interval(template, at, rolled.get(template, 0))

    def _period_ends(self, at: datetime, rolled: dict[Template, int]) -> None:
        self._close(at)
        if self.cancel_planned:
            self._over("canceled")
            self._tell("canceled", at)
        elif self._waits_for_renewal():
            self.status = "overdue"
            self._tell("overdue", at)
        else:
            self._next_period()
            self._fire_period(at, rolled)
            self._schedules_begin(at)
            self._tell("renewed", at)

    # --- What somebody asks for; each returns the mc that it gave

    def _ask(self, now: datetime, *states: str) -> None:
        self.catch_up(now)
        if self.status not in states:
            raise Refused("subscription-state-conflict")
        self.floor = now

    def renew(self, now: datetime) -> int:
        self.catch_up(now)
        if not self.terms.prepaid:
            raise Refused("not-prepaid")
        if self.renewed:
            raise Refused("already-renewed")
        if self.contract_end and self.contract_end <= self.end:
            raise Refused("subscription-state-conflict")
        if self.status in ("active", "trialing") and now < self.renewable_from():
            raise Refused("renewal-not-due")
        self._ask(now, "trialing", "active", "overdue")
        if self.status != "overdue":
            self.renewed = True
            return 0
        self.status = "active"
        self._next_period()
        given = self._fire_period(now) + self._schedules_begin(now)
        self._tell("renewed", now)
        return given + sum(self._fire_present(template, now) for template in self._due(now))

    def pause(self, until: datetime | None, now: datetime) -> int:
        self._ask(now, "trialing", "active")
        self.before_pause, self.status = self.status, "paused"
        self.paused_at, self.resumes_at = now, until
        self._tell("paused", now)
        return 0

    def resume(self, now: datetime) -> int:
        self._ask(now, "paused")
        self._resume(now)
        return 0

    def _resume(self, now: datetime) -> None:
        assert self.paused_at is not None
        by = now - self.paused_at
        self.status, self.paused_at, self.resumes_at = self.before_pause, None, None
        self.anchor, self.steps = self._whole_end() + by, 0
        self.end = self.periods[-1].end = self._cut(self.anchor)
        if self.trial_end:
            self.trial_end += by
        if self.renewable_from() > now:
            self.given_notice.discard("renewal_due")
        for schedule in self.schedules.values():
            schedule.anchor += by
            schedule.next += by
        self._tell("resumed", now)

    def change(self, terms: Terms, at_once: bool, now: datetime) -> int:
        self._ask(now, "trialing", "active")
        given = 0
        if at_once:
            if terms == self.terms:
                raise Refused("same-plan-variant")
            given = self._change_now(terms, now)
        elif terms != self.terms:
            self.pending = terms
        elif self.pending is None:
            raise Refused("same-plan-variant")
        else:
            self.pending = None
        self._tell("changed", now)
        return given

    def _change_now(self, terms: Terms, now: datetime) -> int:
        more = max(self._worth(terms, now) - self._worth(self.terms, now), 0)
        if terms.cycle != self.terms.cycle:
            self.anchor, self.steps = self._whole_end(), 0
        carried = {
            mine: schedule
            for each, schedule in self.schedules.items()
            for mine in terms.templates
            if mine.interval == each.interval
        }
        self.terms, self.pending, self.schedules = terms, None, carried
        if more:
            mine = self._of_period()
            dies = any(each.expires is not None for each in mine)
            self._give(more, max(each.priority for each in mine), self.end if dies else None)
        return more + self._schedules_begin(now)

    def _worth(self, terms: Terms, now: datetime) -> int:
        """Of the rest of the period: by the seconds left of what a whole period of these terms would have."""
        whole = (after(self.start, terms.cycle, self.zone, 1) - self.start) // SECOND
        left = min((self.end - now) // SECOND, whole)
        return sum(each.credits for each in terms.templates if each.interval == "period") * left // whole

    def cancel(self, at_once: bool, now: datetime) -> int:
        self._ask(now, *_LIVE)
        if not at_once and self.status != "overdue":
            self.cancel_planned = True
            self._tell("changed", now)
        else:
            self._close(now)
            self._over("canceled")
            self._tell("canceled", now)
        return 0

    def uncancel(self, now: datetime) -> int:
        self._ask(now, "trialing", "active", "paused")
        if not self.cancel_planned:
            raise Refused("subscription-state-conflict")
        self.cancel_planned = False
        self._tell("changed", now)
        return 0

    def extend(self, until: datetime, now: datetime) -> int:
        self._ask(now, *_LIVE, "contract_ended")
        if until <= now or (self.contract_end and until <= self.contract_end):
            raise Refused("contract-end-refused")
        self.contract_end, given = until, 0
        self.given_notice.discard("contract_ending_soon")
        if self.status == "contract_ended":
            given = self._revive(now)
        elif self.status != "overdue":
            self.end = self.periods[-1].end = self._cut(self._whole_end())
        self._tell("extended", now)
        return given

    def _revive(self, now: datetime) -> int:
        self.status, self.cancel_planned = "active", False
        self.given_notice.discard("renewal_due")
        self.anchor, self.steps, self.start = now, 1, now
        self.end = self._cut(self._whole_end())
        self.periods.append(Period(start=self.start, end=self.end))
        return self._fire_period(now) + self._schedules_begin(now)
