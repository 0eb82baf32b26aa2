"""What time makes due on a subscription: done by whoever comes first, each thing dated when it was due.

docs/decisions/subscriptions.md says how; `_DEEDS` is the list of what there is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from billing.services.accounts import account_balance, account_lock, account_settle
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.database import call_table, connection_tidy, environment_scope
from customers.kernel.instants import instant_text
from subscriptions.engine.due import due_kinds
from subscriptions.engine.transitions import transition
from subscriptions.models import CreditGrantTemplate, Subscription
from subscriptions.services.advancing import period_begin, subscription_end
from subscriptions.services.grants import (
    Interval,
    RolledOver,
    cycle_templates,
    rollovers_make,
    schedules_ahead,
    schedules_fire,
)
from subscriptions.services.opening import fallback_open
from subscriptions.services.pausing import subscription_resumed
from subscriptions.services.periods import period_close
from subscriptions.services.standing import (
    clockwork_of,
    period_end,
    standing_clear,
    standing_push,
    standing_restore,
)
from subscriptions.services.timeline import named, planned, schedule_caller, subscription_note

_log = logging.getLogger("purser.subscriptions")

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_FIRST_ID: Final = UUID(int=0)
#: The smallest step of time: what happens "just before" an instant.
_JUST_BEFORE: Final = timedelta(microseconds=1)
#: Instants done in one transaction: a year of hourly cycles is many, and its memory stays small.
_STEPS_OF_A_TRANSACTION: Final = 50
#: Turns of one instant: more than it has, so that time stands still because of a fault.
_STEPS_OF_AN_INSTANT: Final = 20
_SUBSCRIPTIONS_OF_A_BATCH: Final = 100


@dataclass(slots=True, kw_only=True)
class Work:
    """One subscription at one instant."""

    subscription: Subscription
    at: datetime
    caller: Caller
    #: The balance just before the instant: what the ending period closes with.
    balance_before_mc: int
    rolled_over: RolledOver = field(default_factory=dict)

    def move(self, action: str) -> str:
        """Follow the table of transitions; returns the state before."""
        before: str = self.subscription.status
        self.subscription.status = transition(before, action)
        return before

    def note(self, what: str, before: str, data: dict[str, Any]) -> None:
        subscription_note(
            caller=self.caller,
            subscription=self.subscription,
            what=what,
            before=before,
            data=data,
            now=self.at,
        )

    def close(self) -> dict[str, Any] | None:
        return period_close(self.subscription, at=self.at, balance_mc=self.balance_before_mc)


def subscription_catch_up(*, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Do everything that is due on a customer's subscriptions by `now`. What fails is parked, and holds up nobody."""
    with environment_scope(environment_id):
        while _catch_up_some(environment_id, customer_id, now):
            pass


def subscriptions_advance(*, now: datetime) -> int:
    """Do what is due in all environments without a clock of their own; returns how many visits did something.

    One visit does at most a transaction's instants, so that one with a year to make up for holds up nobody.
    """
    done, is_more = 0, True
    while is_more:
        visits = Counter(_visit(due, now) for due in _all_due(now))
        done += visits[True] + visits[False]
        is_more = visits[True] > 0
    return done


def _all_due(now: datetime) -> Iterator[Any]:
    """Each once, the longest due first; read page by page, while those before are worked on."""
    after_at, after_id = _EARLIEST, _FIRST_ID
    while True:
        page = call_table(
            "subscriptions_due_v1",
            now=now,
            after_at=after_at,
            after_id=after_id,
            most=_SUBSCRIPTIONS_OF_A_BATCH,
        )
        yield from page
        if len(page) < _SUBSCRIPTIONS_OF_A_BATCH:
            return
        after_at, after_id = page[-1].due_at, page[-1].subscription_id


def _visit(due: Any, now: datetime) -> bool | None:
    """Whether more is due on it; None: it could not even be parked, and the next run tries again."""
    try:
        with environment_scope(due.environment_id):
            return _catch_up_some(due.environment_id, due.customer_id, now)
    except Exception:
        _log.exception("subscription not advanced", extra={"subscription_id": str(due.subscription_id)})
        connection_tidy()
        return None


def _catch_up_some(environment_id: UUID, customer_id: UUID, now: datetime) -> bool:
    """Whether more is due."""
    with transaction.atomic():
        is_due = account_lock(environment_id=environment_id, customer_id=customer_id, now=now)
        due = _due(customer_id, now)
        if not due:
            if is_due:
                standing_restore(environment_id=environment_id, customer_id=customer_id, now=now)
            return False
        subscription, *following = due
        try:
            with transaction.atomic():
                return _steps(subscription, _turn_ends(following, now)) or bool(following)
        except (OperationalError, InterfaceError):
            # Of the database, not of this subscription: the next one tries again.
            raise
        except Exception as error:
            _log.exception("subscription parked", extra={"subscription_id": subscription.public_id})
            _park(Subscription.objects.get(id=subscription.id), error, now)
        return True


def _park(subscription: Subscription, error: Exception, now: datetime) -> None:
    """The work was undone; the subscription waits for somebody, and its customer's calls go on as before."""
    subscription.failed_at = now
    subscription.failure = _failure(error)
    subscription.save(update_fields=["failed_at", "failure"])
    standing_restore(
        environment_id=subscription.environment_id, customer_id=subscription.customer_id, now=now
    )


def _failure(error: Exception) -> str:
    text = (
        f"{error.code}: {error.detail}"
        if isinstance(error, DomainError)
        else f"{type(error).__name__}: {error}"
    )
    return text[:1000]


def _due(customer_id: UUID, now: datetime) -> list[Subscription]:
    """The one that is due the longest and the next one, at whose instant it is that one's turn."""
    due = Subscription.objects.select_for_update(of=("self",), no_key=True)
    due = due.filter(customer_id=customer_id, next_due_at__lte=now, failed_at=None)
    due = due.select_related("variant__plan", "variant__price_plan_version__price_plan", "customer")
    return list(due.prefetch_related("variant__credit_grants").order_by("next_due_at", "id")[:2])


def _turn_ends(following: Sequence[Subscription], now: datetime) -> datetime:
    return next((each.next_due_at for each in following if each.next_due_at), now)


def _steps(subscription: Subscription, now: datetime) -> bool:
    instants: Counter[datetime] = Counter()
    for _ in range(_STEPS_OF_A_TRANSACTION):
        due_at = subscription.next_due_at
        if due_at is None or due_at > now:
            return due_at is None
        instants[due_at] += 1
        if instants[due_at] > _STEPS_OF_AN_INSTANT:
            raise RuntimeError(f"What is due at {instant_text(due_at)} does not come to an end.")
        _step(subscription, due_at)
    return True


def _step(subscription: Subscription, at: datetime) -> None:
    """Everything due at one instant, in the order of spec section 18."""
    standing_clear(subscription, now=at - _JUST_BEFORE)
    work = Work(
        subscription=subscription,
        at=at,
        caller=schedule_caller(subscription.environment_id),
        balance_before_mc=account_balance(customer_id=subscription.customer_id),
    )
    kinds = due_kinds(clockwork_of(subscription, not_before=at), at)
    _roll_over(work, kinds)
    account_settle(environment_id=subscription.environment_id, customer_id=subscription.customer_id, now=at)
    for kind in kinds:
        _DEEDS[kind](work)
    standing_push(subscription, now=at)
    fallback_open(caller=work.caller, ended=subscription, now=at)


def _roll_over(work: Work, kinds: Sequence[str]) -> None:
    """Before anything expires. Into a period that does not come, or of another variant, nothing rolls over."""
    subscription = work.subscription
    firing: dict[CreditGrantTemplate, Interval] = {}
    if "advance" in kinds:
        if subscription.pending_variant_id is not None:
            return
        period = Interval(work.at, period_end(subscription, steps=subscription.anchor_steps + 1))
        firing.update(dict.fromkeys(cycle_templates(subscription.variant), period))
    if "grants" in kinds:
        firing.update(schedules_ahead(subscription, now=work.at))
    work.rolled_over = rollovers_make(
        caller=work.caller, subscription=subscription, firing=firing, now=work.at
    )


def _trial_ending(work: Work) -> None:
    work.subscription.trial_ending_told = True
    assert work.subscription.trial_ends_at is not None  # noqa: S101 - or it were not due
    work.note(
        "trial_ending",
        work.subscription.status,
        {"trial_ends_at": instant_text(work.subscription.trial_ends_at)},
    )


def _renewal_due(work: Work) -> None:
    work.subscription.renewal_due_told = True
    renew_by = instant_text(work.subscription.current_period_end)
    work.note("renewal_due", work.subscription.status, {"renew_by": renew_by})


def _contract_ending_soon(work: Work) -> None:
    subscription = work.subscription
    subscription.contract_ending_told = True
    assert subscription.contract_end is not None  # noqa: S101 - or it were not due
    days = -((work.at - subscription.contract_end) // timedelta(days=1))
    work.note(
        "contract_ending_soon",
        subscription.status,
        {"contract_end": instant_text(subscription.contract_end), "days_remaining": days},
    )


def _trial_end(work: Work) -> None:
    before = work.move("trial_end")
    subscription_note(
        caller=work.caller,
        subscription=work.subscription,
        what="trial_ended",
        before=before,
        data={"effective": "immediate"}
        | named("previous", work.subscription.variant)
        | planned(work.subscription)
        | {"credits_granted": 0},
        told_as="changed",
        now=work.at,
    )


def _contract_end(work: Work) -> None:
    subscription = work.subscription
    summary = work.close()
    before = work.move("contract_end")
    subscription_end(subscription, now=work.at)
    assert subscription.contract_end is not None  # noqa: S101 - or it were not due
    work.note(
        "contract_ended",
        before,
        {"contract_end": instant_text(subscription.contract_end), "usage_summary": summary},
    )


def _cancel_due(work: Work) -> None:
    summary = work.close()
    before = work.move("cancel_due")
    subscription_end(work.subscription, now=work.at)
    work.note("canceled", before, {"ended_at": instant_text(work.at), "usage_summary": summary})


def _overdue(work: Work) -> None:
    subscription = work.subscription
    summary = work.close()
    before = work.move("overdue")
    grace = timedelta(days=subscription.variant.grace_period_days)
    work.note(
        "overdue",
        before,
        {
            "grace_ends_at": instant_text(subscription.current_period_end + grace),
            "usage_allowed": subscription.variant.allow_usage_while_overdue,
            "usage_summary": summary,
        },
    )


def _expire(work: Work) -> None:
    before = work.move("expire")
    subscription_end(work.subscription, now=work.at)
    work.note("expired", before, {"ended_at": instant_text(work.at)})


def _resume(work: Work) -> None:
    subscription_resumed(caller=work.caller, subscription=work.subscription, reason="", now=work.at)


def _advance(work: Work) -> None:
    summary = work.close()
    before = work.move("advance")
    period_begin(
        caller=work.caller,
        subscription=work.subscription,
        before=before,
        summary=summary,
        rolled_over=work.rolled_over,
        now=work.at,
    )


def _grants(work: Work) -> None:
    schedules_fire(
        caller=work.caller, subscription=work.subscription, rolled_over=work.rolled_over, now=work.at
    )


#: By the names of engine/due.py.
_DEEDS: Final[dict[str, Callable[[Work], None]]] = {
    "trial_ending": _trial_ending,
    "renewal_due": _renewal_due,
    "contract_ending_soon": _contract_ending_soon,
    "trial_end": _trial_end,
    "contract_end": _contract_end,
    "cancel_due": _cancel_due,
    "overdue": _overdue,
    "expire": _expire,
    "resume": _resume,
    "advance": _advance,
    "grants": _grants,
}
