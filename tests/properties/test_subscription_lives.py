"""Random lives of a subscription, through the API and in the model, which must agree after every step.

Every action is previewed first: the preview says what the action then answers, and leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.kernel.instants import instant_text
from subscriptions.models import CreditGrantTemplate, GrantRun, PlanVariant, SubscriptionPeriod
from tests.clock import clock_set
from tests.conftest import Answer, Api, make_character
from tests.making import balance, make_metric, use
from tests.oracle.subscription import DAY, HOUR, Life, Refused, Template, Terms
from tests.subscriptions.deals import BEGIN, Deal, make_variant, subscribe

#: How many lives; nightly runs set more.
LIVES = int(os.environ.get("PURSER_SUBSCRIPTION_LIVES", "12"))
STEPS_OF_A_LIFE = 14

MICROSECOND = timedelta(microseconds=1)
CYCLES = ("hourly", "daily", "weekly", "monthly", "quarterly", "yearly")
LENGTHS = {
    "hourly": HOUR,
    "daily": DAY,
    "weekly": 7 * DAY,
    "monthly": 30 * DAY,
    "quarterly": 91 * DAY,
    "yearly": 365 * DAY,
}
#: Such that nobody fires hundreds of times in a period.
INTERVALS: dict[str, list[str | int]] = {
    "hourly": ["daily", 5000],
    "daily": ["hourly", "daily", "weekly", 30_000],
    "weekly": ["daily", "monthly", 200_000],
    "monthly": ["weekly", "monthly", "daily", 900_000],
    "quarterly": ["monthly", "weekly", 2_000_000],
    "yearly": ["monthly", 9_000_000],
}


def templates(cycle: str) -> st.SearchStrategy[Template]:
    return st.builds(
        Template,
        credits=st.integers(1, 9).map(lambda n: n * 1111),
        interval=st.sampled_from(["period", "period", "once", *INTERVALS[cycle]]),
        expires=st.sampled_from(["end", "end", "end", None, 7000, 1_000_000]),
        rollover=st.sampled_from([0, 33, 100]),
        cap=st.sampled_from([None, None, 12_000]),
        priority=st.sampled_from([10, 10, 3]),
    )


def terms(name: str, cycle: str) -> st.SearchStrategy[Terms]:
    given_by_it = st.lists(templates(cycle), min_size=1, max_size=3, unique_by=lambda each: each.interval)
    return st.builds(
        Terms,
        name=st.just(name),
        templates=given_by_it.map(tuple),
        cycle=st.just(cycle),
        prepaid=st.booleans(),
        renewal_due_days=st.sampled_from([0, 3]),
        grace_days=st.sampled_from([0, 1, 40]),
        usage_while_overdue=st.booleans(),
        trial_days=st.sampled_from([0, 0, 0, 2, 40]) if cycle != "hourly" else st.sampled_from([0, 1]),
    )


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a life begins with."""

    first: Terms
    second: Terms
    zone: str
    began_ago: int
    contract: int | None
    soon_days: int


CYCLE_PAIRS = [(cycle, cycle) for cycle in CYCLES] + [
    ("daily", "weekly"),
    ("monthly", "weekly"),
    ("quarterly", "monthly"),
    ("monthly", "yearly"),
]
beginnings = st.sampled_from(CYCLE_PAIRS).flatmap(
    lambda pair: st.builds(
        Beginning,
        first=terms("first", pair[0]),
        second=terms("second", pair[1]),
        zone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
        began_ago=st.sampled_from([0, 0, 0, 1, 5]),
        contract=st.sampled_from([None, None, None, 2, 7]),
        soon_days=st.sampled_from([0, 1, 30]),
    )
)
parts = st.sampled_from([0.4, 1, 1.7, 3])
steps = st.one_of(
    st.tuples(st.just("jump"), st.sampled_from([0, 0.3, 0.3, 1, 1, 2.5, 15])),
    st.tuples(st.just("jump to what is due"), st.sampled_from([-1, 0, 0, 0, 1])),
    st.tuples(st.just("jump to what is due"), st.sampled_from([-1, 0, 0, 0, 1])),
    st.tuples(st.just("scheduler"), st.integers(1, 2)),
    st.tuples(st.just("use"), st.integers(1, 15)),
    st.tuples(st.just("use"), st.integers(1, 15)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("renew"), st.none()),
    st.tuples(st.just("renew"), st.none()),
    st.tuples(st.just("renew when due"), st.none()),
    st.tuples(st.just("pause"), st.none() | parts),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(["first", "second"]), st.booleans())),
    st.tuples(st.just("cancel"), st.sampled_from([False, False, True])),
    st.tuples(st.just("uncancel"), st.none()),
    st.tuples(st.just("extend"), parts),
)


class Lived:
    """One life on both sides."""

    def __init__(self, begins: Beginning) -> None:
        self.world = make_character("Lives").test
        self.api = Api(self.world.secret)
        self.now = BEGIN
        clock_set(self.world, BEGIN)
        self.beat = min(LENGTHS[begins.first.cycle], LENGTHS[begins.second.cycle])
        make_metric(self.api)
        self.terms = {each.name: each for each in (begins.first, begins.second)}
        self.variants = {name: self._variant(each) for name, each in self.terms.items()}
        self.life = Life(
            terms=begins.first,
            zone=begins.zone,
            started=BEGIN - begins.began_ago * self.beat / 2,
            contract_end=BEGIN + begins.contract * self.beat if begins.contract else None,
            ending_soon_days=begins.soon_days,
        )
        self.deal = self._subscribe(begins)

    def _variant(self, wanted: Terms) -> PlanVariant:
        rows = [self._template(each) for each in wanted.templates]
        return make_variant(
            self.world,
            *rows,
            billing_cycle=wanted.cycle,
            billing_mode="prepaid" if wanted.prepaid else "postpaid",
            renewal_due_days=wanted.renewal_due_days,
            grace_period_days=wanted.grace_days,
            allow_usage_while_overdue=wanted.usage_while_overdue,
            trial_days=wanted.trial_days,
        )

    @staticmethod
    def _template(wanted: Template) -> dict[str, Any]:
        custom = isinstance(wanted.interval, int)
        interval = {"period": "billing_cycle", "once": "billing_cycle"}.get(
            str(wanted.interval), wanted.interval
        )
        return {
            "name": repr(wanted),
            "credits_mc": wanted.credits,
            "grant_type": "one_time" if wanted.interval == "once" else "recurring",
            "grant_interval": "custom" if custom else interval,
            "interval_seconds": wanted.interval if custom else None,
            "expires_at_interval_end": wanted.expires == "end",
            "expires_after_seconds": wanted.expires if isinstance(wanted.expires, int) else None,
            "rollover_percentage": wanted.rollover,
            "accumulation_cap_mc": wanted.cap,
            "priority": wanted.priority,
        }

    def _subscribe(self, begins: Beginning) -> Deal:
        made = self.api.post("/v1/customers", {"external_id": "user_1", "timezone": begins.zone})
        assert made.status == 201, made
        given_by_it = self.life.begin(BEGIN)
        deal = subscribe(
            self.api,
            self.world,
            self.variants["first"],
            start_date=instant_text(self.life.started),
            contract_end=instant_text(self.life.contract_end) if self.life.contract_end else None,
            contract_ending_soon_days=begins.soon_days,
        )
        assert deal.payload("created")["credits_granted"] == given_by_it
        return deal

    # --- Steps

    def step(self, what: str, how: Any) -> None:
        step = getattr(self, f"_{what.replace(' ', '_')}", None)
        if step is not None:
            step(how)
        else:
            self._act(what, how)

    def _jump(self, beats: float) -> None:
        self._now(self.now + beats * self.beat)

    def _jump_to_what_is_due(self, microseconds: int) -> None:
        due = self.life.next_due()
        if due is not None:
            self._now(max(due + microseconds * MICROSECOND, self.now))

    def _scheduler(self, times: int) -> None:
        for _ in range(times):
            self.deal.work(self.now)
        self.life.catch_up(self.now)

    def _read(self, _: None) -> None:
        self.life.catch_up(self.now)
        assert balance(self.api)["balance"] == self.life.balance

    def _renew_when_due(self, _: None) -> None:
        self.life.catch_up(self.now)
        if self.life.status in ("active", "trialing"):
            self._now(max(self.life.renewable_from(), self.now))
        self._act("renew", None)

    def _use(self, credits: int) -> None:
        refused = _refusal(lambda: self.life.use(credits * 1000, self.now))
        assert _code(use(self.api, credits)) == refused

    def _now(self, instant: datetime) -> None:
        self.now = instant
        self.deal.time(instant)

    def _act(self, what: str, how: Any) -> None:
        action, body, deed = self._wanted(what, how)
        key = uuid4().hex
        before = self._fingerprint()
        preview = self.deal.act(action, {**body, "preview": True}, idempotency_key=f"p-{key}")
        assert self._fingerprint() == before
        given_by_it: list[int] = []
        refused = _refusal(lambda: given_by_it.append(deed()))
        answer = self.deal.act(action, body, idempotency_key=key)
        assert (answer.status, _code(answer)) == (preview.status, _code(preview))
        assert _code(answer) == refused, (what, answer, self.life)
        if refused is not None:
            assert self._fingerprint() == before
            return
        assert {**preview.json, "preview": False} == answer.json
        self._compare(answer.json, given_by_it[0])
        again = self.deal.act(action, body, idempotency_key=key)
        assert (again.status, again["credits_granted"] in (0, given_by_it[0])) == (answer.status, True)

    def _wanted(self, what: str, how: Any) -> tuple[str, dict[str, Any], Callable[[], int]]:
        life, now = self.life, self.now
        if what == "pause":
            until = now + how * self.beat if how else None
            body = {"resumes_at": instant_text(until)} if until else {}
            return "pause", body, lambda: life.pause(until, now)
        if what == "change":
            name, at_once = how
            body = {
                "plan_variant_id": self.variants[name].public_id,
                "effective": "immediate" if at_once else "period_end",
            }
            return "change", body, lambda: life.change(self.terms[name], at_once, now)
        if what == "cancel":
            return "cancel", {"cancel_immediately": how}, lambda: life.cancel(how, now)
        if what == "extend":
            until = max(now, life.contract_end or now) + how * self.beat
            return "extend", {"contract_end": instant_text(until)}, lambda: life.extend(until, now)
        return what, {}, lambda: getattr(life, what)(now)

    # --- Comparing

    def _compare(self, shown: dict[str, Any], given_by_it: int) -> None:
        life = self.life
        assert shown["credits_granted"] == given_by_it
        assert shown["balance"] == life.balance
        assert shown["status"] == life.status
        assert shown["is_renewed"] == life.renewed
        assert shown["cancel_at_period_end"] == life.cancel_planned
        assert shown["plan_variant_id"] == self.variants[life.terms.name].public_id
        pending = self.variants[life.pending.name].public_id if life.pending else None
        assert shown["pending_plan_variant_id"] == pending
        for name, instant in {
            "current_period_start": life.start,
            "current_period_end": life.end,
            "contract_end": life.contract_end,
            "trial_ends_at": life.trial_end,
            "paused_at": life.paused_at,
            "resumes_at": life.resumes_at,
            "next_due_at": life.next_due(),
        }.items():
            assert shown[name] == (instant_text(instant) if instant else None), name

    def end(self) -> None:
        """All rows, once everything that is due has been done twice."""
        self.step("scheduler", 2)
        self.step("read", None)
        life, shown = self.life, self.deal.look()
        assert (shown["status"], shown["failure"]) == (life.status, "")
        assert self.deal.told() == [(name, instant_text(instant)) for name, instant in life.told]
        with environment_scope(self.world.id):
            self._compare_runs()
            self._compare_periods()
        self._compare_sums()
        verified = ledger_verify(environment_id=self.world.id)
        assert verified.findings == []

    def _compare_runs(self) -> None:
        names = {variant.id: name for name, variant in self.variants.items()}
        rows = {row.id: row for row in CreditGrantTemplate.objects.all()}
        fired = [
            (
                names[rows[run.template_id].variant_id],
                rows[run.template_id].name,
                run.starts_at,
                run.rolled_mc,
            )
            for run in GrantRun.objects.all()
        ]
        expected = [(name, repr(template), start, rolled) for name, template, start, rolled in self.life.runs]
        assert sorted(fired) == sorted(expected)
        assert len(fired) == len({run[:3] for run in fired})

    def _compare_periods(self) -> None:
        rows = SubscriptionPeriod.objects.filter(opening_balance_mc__isnull=False).order_by("starts_at")
        found = [(row.starts_at, row.ends_at, _used(row)) for row in rows]
        assert found == [(period.start, period.end, period.used) for period in self.life.periods]
        gaps = [(one[1], other[0]) for one, other in pairwise(found) if one[1] != other[0]]
        # Only a contract that had ended and was revived leaves a time without a period.
        assert len(gaps) <= sum(name == "contract_ended" for name, _ in self.life.told)
        assert all(end < start for end, start in gaps)

    def _compare_sums(self) -> None:
        sums: dict[str, int] = {}
        for entry in _all_history(self.api):
            sums[entry["kind"]] = sums.get(entry["kind"], 0) + entry["amount"]
        life = self.life
        assert sums.get("grant", 0) == life.granted
        assert -sums.get("expire", 0) == life.expired
        assert -sums.get("debit", 0) == life.used
        assert sum(sums.values()) == life.balance == life.granted - life.expired - life.used

    def _fingerprint(self) -> list[Any]:
        with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as raw:
            return [
                raw.execute(
                    f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
                    " WHERE environment_id = %s",
                    (self.world.id,),
                ).fetchone()
                for table in _TABLES
            ]


_TABLES = (
    "subscriptions_subscription",
    "subscriptions_period",
    "subscriptions_grant_schedule",
    "subscriptions_grant_run",
    "subscriptions_change",
    "customers_outbox_event",
    "billing_credit_account",
    "billing_credit_block",
    "billing_ledger_entry",
)


def _used(period: SubscriptionPeriod) -> int | None:
    return None if period.usage_summary is None else int(period.usage_summary["total_credits_consumed"])


def _all_history(api: Api) -> list[dict[str, Any]]:
    entries, query = [], "?limit=100"
    while True:
        page = api.get(f"/v1/customer-by-external-id/user_1/credits/history{query}").json
        entries += page["data"]
        following = page["pagination"]["next_cursor"]
        if following is None:
            return entries
        query = f"?limit=100&cursor={following}"


def _refusal(deed: Callable[[], Any]) -> str | None:
    try:
        deed()
    except Refused as refused:
        return str(refused)
    return None


def _code(answer: Answer) -> str | None:
    return None if answer.status < 300 else answer.refusal()[1]


@pytest.mark.slow
@settings(
    max_examples=LIVES,
    deadline=None,
    print_blob=True,
    phases=(Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(begins=beginnings, life=st.lists(steps, min_size=6, max_size=STEPS_OF_A_LIFE))
def test_random_lives_agree_with_the_model(begins: Beginning, life: list[tuple[str, Any]]) -> None:
    lived = Lived(begins)
    for what, how in life:
        lived.step(what, how)
    lived.end()
