"""Random lives of several customers, on the real database and in the model, which must agree after every step."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing.services.verification import ledger_verify
from customers.kernel.ids import uuid7
from tests.oracle.kernel import (
    START,
    KernelAccount,
    app_connection,
    customer_make,
    environment_make,
    environment_see,
    superuser_connection,
)
from tests.oracle.model import ANY, GRACE, Account

#: How many steps in all; nightly runs set more.
STEPS = int(os.environ.get("PURSER_PROPERTY_STEPS", "6000"))
STEPS_OF_A_LIFE = 50

# Few and small values, so that things meet: equal priorities, equal ends, blocks used up exactly.
choices = st.integers(0, 1000)
customers = st.sampled_from([0, 0, 0, 0, 1, 2])
amounts = st.integers(1, 30)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
spans = st.sampled_from([0, 1, 2, 4, 5, 6, 10, 15]).map(lambda seconds: timedelta(seconds=seconds))
later = st.sampled_from([1, 5, 10, 15, 60, 600]).map(lambda seconds: timedelta(seconds=seconds))
maybe_later = st.none() | later
scopes = st.sampled_from([None, None, None, frozenset({"tokens"}), frozenset({"images", "tokens"})])
metrics = st.sampled_from(["tokens", "images", "calls", ANY])
priorities = st.sampled_from([0, 0, 5, 10])


class LedgerLives(RuleBasedStateMachine):
    """Each rule does one thing to the model and to the kernel and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = START
        self.touched: int | None = None
        # Balances as they were last seen at each instant: the past must never change.
        self.seen: dict[tuple[int, datetime], int] = {}
        with superuser_connection() as superuser:
            self.environment = environment_make(superuser)
        self.connection = app_connection()
        environment_see(self.connection, self.environment)

    @initialize(policies=st.lists(st.sampled_from(["block", "allow", "notify"]), min_size=3, max_size=3))
    def customers_come(self, policies: list[str]) -> None:
        self.models = [Account(policy=policy) for policy in policies]
        self.kernels = [
            KernelAccount(
                self.connection,
                self.environment,
                customer_make(self.connection, self.environment, policy=policy),
            )
            for policy in policies
        ]

    def holds(self) -> list[tuple[int, UUID]]:
        return [(who, hold) for who, model in enumerate(getattr(self, "models", ())) for hold in model.holds]

    def debits(self) -> list[tuple[int, int]]:
        """Who made them and which of his entries they are."""
        return [
            (who, index)
            for who, model in enumerate(getattr(self, "models", ()))
            for index, entry in enumerate(model.entries)
            if entry.kind == "debit"
        ]

    def both(self, who: int, deed: str, **arguments: Any) -> str:
        """Do it on both sides; a refusal with nothing due leaves every row as it was."""
        model, kernel = self.models[who], self.kernels[who]
        self.touched = who
        was_due = self._is_due(kernel)
        assert was_due or not model.due_by(self.now)
        self._forget_from(who, self.now)
        before = kernel.fingerprint()
        expected = getattr(model, deed)(**arguments, now=self.now)
        answered = getattr(kernel, deed)(**arguments, now=self.now)
        assert answered == expected
        if expected in _REFUSALS and not was_due:
            assert kernel.fingerprint() == before
        return expected

    # --- Rules

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.now += span
        self.latest = max(self.now, self.latest)

    @rule(who=customers, which=choices)
    def time_passes_until_something_ends_or_starts(self, who: int, which: int) -> None:
        """To the very instant, where one microsecond more or less decides."""
        model = self.models[who]
        instants = {block.ends for block in model.blocks.values()} | {
            block.starts for block in model.blocks.values()
        }
        instants |= {hold.ends for hold in model.holds.values()} | {
            hold.ends + GRACE for hold in model.holds.values()
        }
        coming = sorted(instant for instant in instants if instant and instant > self.now)
        if coming:
            self.now = coming[which % min(len(coming), 3)]
            self.latest = max(self.now, self.latest)

    @rule(milliseconds=st.integers(1, 3000))
    def a_slower_clock_asks(self, milliseconds: int) -> None:
        self.now = max(START, self.now - timedelta(milliseconds=milliseconds))

    @rule(
        who=customers,
        credits=amounts,
        priority=priorities,
        starts=st.none() | st.none() | spans,
        lives=maybe_later,
        metrics=scopes,
        price_paid=st.sampled_from([None, 0, 5]),
    )
    def grant(self, who, credits, priority, starts, lives, metrics, price_paid) -> None:
        starts = self.now + starts if starts is not None else None
        ends = (starts or self.now) + lives if lives else None
        self.both(
            who,
            "grant",
            block=uuid7(),
            credits=credits,
            priority=priority,
            starts=starts,
            ends=ends,
            metrics=metrics,
            price_paid=price_paid,
        )

    @rule(who=customers, ago=spans)
    def grant_what_is_dead(self, who: int, ago: timedelta) -> None:
        answered = self.both(who, "grant", block=uuid7(), credits=5, ends=self.now - ago)
        assert answered in {"expired", "catch-up-due"}

    # Other work: due at an instant, done at that instant.

    @rule(who=customers, ahead=spans)
    def other_work_will_be_due(self, who: int, ahead: timedelta) -> None:
        if self.models[who].catch_up is None:
            self.both(who, "configure", catch_up=self.now + ahead)

    @rule(who=customers)
    def other_work_is_called_off(self, who: int) -> None:
        self.both(who, "configure", catch_up=None)

    @precondition(lambda self: any(model.waits(self.now) for model in getattr(self, "models", ())))
    @rule(
        which=choices,
        credits=amounts,
        priority=priorities,
        lives=maybe_later,
        again=st.none() | later,
        how_many=st.integers(0, 2),
    )
    def other_work_is_done(self, which, credits, priority, lives, again, how_many) -> None:
        """At its instant: some credits roll over before that instant itself happens, then new ones come."""
        who = next(index for index, model in enumerate(self.models) if model.waits(self.now))
        model, now = self.models[who], self.now
        due = model.catch_up
        assert due is not None
        self.now = due - MICROSECOND
        self.both(who, "configure", catch_up=due + again if again else None)
        self.now = due
        ends = due + lives if lives else None
        for place in range(how_many):
            if model.blocks:
                blocks = sorted(model.blocks.values(), key=lambda block: (block.ends != due, block.id))
                self._roll_over(who, blocks[(which * place) % len(blocks)].id, credits, priority, ends)
        self.both(who, "grant", block=uuid7(), credits=credits, priority=priority, ends=ends)
        self.now = now

    @precondition(lambda self: any(model.blocks for model in getattr(self, "models", ())))
    @rule(which=choices, credits=amounts, priority=priorities, lives=maybe_later)
    def roll_over(self, which: int, credits: int, priority: int, lives: timedelta | None) -> None:
        who = next(index for index, model in enumerate(self.models) if model.blocks)
        blocks = sorted(self.models[who].blocks)
        ends = self.now + lives if lives else None
        self._roll_over(who, blocks[which % len(blocks)], credits, priority, ends)

    def _roll_over(self, who: int, block: UUID, credits: int, priority: int, ends: datetime | None) -> None:
        model = self.models[who]
        some = min(credits, model.free(model.blocks[block]) or credits)
        self.both(who, "rollover", block=block, new_block=uuid7(), credits=some, priority=priority, ends=ends)

    @precondition(lambda self: any(model.blocks for model in getattr(self, "models", ())))
    @rule(which=choices, lives=maybe_later)
    def prolong(self, which: int, lives: timedelta | None) -> None:
        """A block that has started; to a time at which it would not live anyway, or for ever."""
        who = next(index for index, model in enumerate(self.models) if model.blocks)
        there = self.models[who].at(self.now)
        started = sorted(block.id for block in there.blocks.values() if block.started)
        if started:
            block = started[which % len(started)]
            died = there.blocks[block].ends
            ends = max(died or self.now, there.clock, self.now) + lives if lives else None
            self.both(who, "prolong", block=block, new_block=uuid7(), ends=ends)

    @rule(who=customers, amount=amounts, metric=metrics)
    def debit(self, who: int, amount: int, metric: str | None) -> None:
        self.both(who, "debit", cause=uuid7(), amount=amount, metric=metric)

    @rule(who=customers, metric=metrics)
    def debit_all_there_is(self, who: int, metric: str | None) -> None:
        there = self.models[who].at(self.now)
        if there.effective > 0:
            self.both(who, "debit", cause=uuid7(), amount=there.effective, metric=metric)

    @rule(who=customers, delta=st.integers(-30, 30).filter(bool))
    def adjust(self, who: int, delta: int) -> None:
        self.both(who, "adjust", cause=uuid7(), delta=delta)

    @precondition(lambda self: self.debits())
    @rule(which=choices, amount=st.none() | amounts)
    def refund(self, which: int, amount: int | None) -> None:
        who, entry = self.debits()[-1 - which % len(self.debits())]
        self._refund(who, entry, amount)

    @precondition(lambda self: any(model.entries for model in getattr(self, "models", ())))
    @rule(which=choices)
    def refund_whatever_it_is(self, which: int) -> None:
        who = next(index for index, model in enumerate(self.models) if model.entries)
        entry = which % len(self.models[who].entries)
        self._refund(who, entry, None)

    def _refund(self, who: int, entry: int, amount: int | None) -> None:
        spare = [uuid7() for _ in self.models[who].entries[entry].parts]
        self.both(who, "refund", entry=entry, amount=amount, cause=uuid7(), new_blocks=spare)

    @rule(
        who=customers, price=amounts, credits=amounts, priority=priorities, lives=maybe_later, metrics=scopes
    )
    def convert(self, who, price, credits, priority, lives, metrics) -> None:
        ends = self.now + lives if lives else None
        self.both(
            who,
            "convert",
            price=price,
            block=uuid7(),
            credits=credits,
            priority=priority,
            ends=ends,
            metrics=metrics,
        )

    @rule(who=customers, amount=amounts, metric=metrics, lives=later)
    def hold(self, who: int, amount: int, metric: str | None, lives: timedelta) -> None:
        self.both(who, "hold", hold=uuid7(), amount=amount, metric=metric, ends=self.now + lives)

    @precondition(lambda self: self.holds())
    @rule(which=choices, amount=st.integers(0, 40), exactly=st.booleans())
    def commit(self, which: int, amount: int, exactly: bool) -> None:
        who, hold = self._some_hold(which)
        amount = self.models[who].holds[hold].amount if exactly else amount
        self.both(who, "commit", hold=hold, amount=amount)

    @precondition(lambda self: self.holds())
    @rule(which=choices)
    def release(self, which: int) -> None:
        who, hold = self._some_hold(which)
        self.both(who, "release", hold=hold)

    @precondition(lambda self: self.holds())
    @rule(which=choices, lives=later)
    def extend(self, which: int, lives: timedelta) -> None:
        who, hold = self._some_hold(which)
        self.both(who, "extend", hold=hold, ends=self.now + lives)

    @rule(
        who=customers,
        amount=amounts,
        credits=amounts,
        metric=metrics,
        lives=later,
        committed=st.none() | amounts,
    )
    def work_on_a_block_that_dies(self, who, amount, credits, metric, lives, committed) -> None:
        """A hold outlives its block, and ends at, before or after its own end."""
        self.both(who, "grant", block=uuid7(), credits=credits, priority=10, ends=self.now + lives)
        hold = uuid7()
        held = self.both(who, "hold", hold=hold, amount=amount, metric=metric, ends=self.now + lives + SECOND)
        self.now += lives
        self.latest = max(self.now, self.latest)
        if held == "held" and committed is not None:
            self.both(who, "commit", hold=hold, amount=committed)

    @precondition(lambda self: self.holds())
    @rule(which=choices)
    def somebody_elses_hold_is_not_found(self, which: int) -> None:
        who, hold = self._some_hold(which)
        stranger = self.kernels[(who + 1) % 3]
        self.models[(who + 1) % 3].settle(self.now)
        stranger.settle(self.now)
        before = stranger.fingerprint()
        assert stranger.commit(hold=hold, amount=1, now=self.now) == "not-found"
        assert stranger.release(hold=hold, now=self.now) == "not-found"
        assert stranger.fingerprint() == before

    @rule(
        who=customers,
        policy=st.sampled_from(["block", "allow", "notify"]),
        limit=st.none() | st.integers(0, 40),
    )
    def policy_changes(self, who: int, policy: str, limit: int | None) -> None:
        self.models[who].policy, self.models[who].limit = policy, limit
        self.kernels[who].policy_set(policy, limit)

    @rule(order=st.permutations([0, 1, 2]), how_many=st.integers(1, 3))
    def sweep(self, order: list[int], how_many: int) -> None:
        for who in order[:how_many]:
            self.models[who].settle(self.now)
            self.kernels[who].settle(self.now)
        self.touched = order[0]

    @rule(who=customers, ahead=spans)
    def look_ahead(self, who: int, ahead: timedelta) -> None:
        """A read at an instant to come shows what will be, and writes nothing."""
        kernel = self.kernels[who]
        before = kernel.fingerprint()
        self._compare_read(who, self.now + ahead)
        assert kernel.fingerprint() == before

    # --- After each step

    @precondition(lambda self: self.touched is not None)
    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        if self.touched is not None:
            self._compare_rows(self.touched)
        self.touched = None

    @precondition(lambda self: hasattr(self, "kernels"))
    @invariant()
    def reads_are_right_though_nobody_swept(self) -> None:
        for who in range(3):
            self._compare_read(who, self.now)

    def teardown(self) -> None:
        with closing(self.connection):
            for who, kernel in enumerate(getattr(self, "kernels", ())):
                self.models[who].settle(self.latest)
                kernel.settle(self.latest)
                self._compare_rows(who)
            self._the_past_stands()
        verified = ledger_verify(environment_id=self.environment)
        assert verified.findings == []

    # --- Comparing

    def _is_due(self, kernel: KernelAccount) -> bool:
        """Whether the kernel will write before it decides: at first touch, and when something may be due."""
        account = kernel.account()
        return account is None or (account.next_change_at is not None and account.next_change_at <= self.now)

    def _forget_from(self, who: int, instant: datetime) -> None:
        """A slower clock may still add to what a faster one has seen."""
        for seen in [key for key in self.seen if key[0] == who and key[1] >= instant]:
            del self.seen[seen]

    def _some_hold(self, which: int) -> tuple[int, UUID]:
        """Mostly one that is open, where there is one."""
        holds = self.holds()
        still_open = [(who, hold) for who, hold in holds if self.models[who].holds[hold].state == "active"]
        among = still_open if still_open and which % 5 else holds
        return among[which % len(among)]

    def _compare_read(self, who: int, at: datetime) -> None:
        due = self.models[who].catch_up
        if due is not None and due <= self.now:
            answer = self.kernels[who].read(at, now=self.now)
            assert (answer.status, answer.balance, answer.blocks) == ("catch-up-due", None, None)
            return
        model, answer = self.models[who].at(at), self.kernels[who].read(at, now=self.now)
        assert (answer.balance, answer.reserved, answer.lifetime_earned) == (
            model.balance,
            model.reserved,
            model.lifetime_earned,
        )
        shown = [(UUID(b["id"]), b["remaining_mc"], b["held_mc"]) for b in json.loads(answer.blocks)]
        assert shown == [(block.id, block.remaining, model.held(block)) for block in model.live_blocks()]
        if at == self.now:
            # Entries are dated by the account's own clock.
            self.seen[who, max(at, model.clock)] = model.balance

    def _compare_rows(self, who: int) -> None:
        model, kernel = self.models[who], self.kernels[who]
        account = kernel.account()
        if account is None:
            assert not model.entries
            assert not model.holds
            return
        assert (
            account.balance_mc,
            account.reserved_mc,
            account.overdraft_mc,
            account.lifetime_earned_mc,
        ) == (model.balance, model.reserved, model.overdraft, model.lifetime_earned)
        assert account.sequence == len(model.entries)
        self._compare_blocks(model, kernel)
        self._compare_holds(model, kernel)
        self._compare_entries(model, kernel)

    def _compare_blocks(self, model: Account, kernel: KernelAccount) -> None:
        rows = {row.id: row for row in kernel.rows("billing_credit_block")}
        assert rows.keys() == model.blocks.keys()
        for block in model.blocks.values():
            row = rows[block.id]
            assert (row.original_mc, row.remaining_mc, row.held_mc) == (
                block.original,
                block.remaining,
                model.held(block),
            )
            assert 0 <= row.held_mc <= row.remaining_mc <= row.original_mc
            assert (row.state == "pending") == (not block.started)
            assert (row.state == "live") == (block.remaining > 0)
            assert (row.effective_at, row.expires_at, row.priority) == (
                block.starts,
                block.ends,
                block.priority,
            )

    def _compare_holds(self, model: Account, kernel: KernelAccount) -> None:
        rows = {row.id: row for row in kernel.rows("billing_hold")}
        assert rows.keys() == model.holds.keys()
        for hold in model.holds.values():
            row = rows[hold.id]
            assert (row.state, row.committed_mc, row.expires_at) == (hold.state, hold.committed, hold.ends)
            assert list(zip(row.block_ids, row.block_amounts, strict=True)) == hold.parts

    def _compare_entries(self, model: Account, kernel: KernelAccount) -> None:
        rows = sorted(kernel.rows("billing_ledger_entry"), key=lambda row: row.sequence)
        assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
        for row, entry in zip(rows, model.entries, strict=True):
            assert (row.kind, row.source_id, row.amount_mc) == (entry.kind, entry.cause, entry.amount)
            assert list(zip(row.block_ids, row.block_amounts, strict=True)) == entry.parts
            assert (row.balance_after_mc, row.effective_after_mc) == (
                entry.balance_after,
                entry.effective_after,
            )
            assert row.occurred_at == entry.at

    def _the_past_stands(self) -> None:
        """The balance of any past instant is what its last entry left: the same as was read then."""
        for (who, instant), balance in self.seen.items():
            found = self.kernels[who].one(
                "SELECT balance_after_mc FROM billing_ledger_entry WHERE account_id = %s AND occurred_at <= %s"
                " ORDER BY sequence DESC LIMIT 1",
                instant,
            )
            assert (found or 0) == balance


_REFUSALS = {
    "catch-up-due",
    "expired",
    "insufficient",
    "not-a-debit",
    "exceeds-debit",
    "nothing-left",
    "all-held",
    "committed-already",
    "released-already",
    "expired-already",
}


@pytest.mark.slow
def test_random_lives_agree_with_the_model() -> None:
    run_state_machine_as_test(
        LedgerLives,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_OF_A_LIFE),
            stateful_step_count=STEPS_OF_A_LIFE,
            deadline=None,
            print_blob=True,
            phases=(Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
