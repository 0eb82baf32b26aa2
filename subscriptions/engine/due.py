"""What is due on a subscription, and when next. Days are 24 hours here; only periods follow a calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from subscriptions.engine.transitions import ACTIVE, OVERDUE, PAUSED, TRIALING

#: How long before its end a trial is told to be ending.
TRIAL_ENDING_DAYS: Final = 3

#: After one of these nothing else of the same instant is due any more as it was: look again.
_TURNS: Final = ("contract_end", "resume", "cancel_due", "overdue", "expire")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockwork:
    """All of a subscription, and of its variant, that says when something is due."""

    status: str
    is_prepaid: bool
    current_period_start: datetime
    current_period_end: datetime
    #: Nothing is due earlier than this: a warning whose time has passed already is due at once.
    not_before: datetime
    renewal_due_days: int = 0
    grace_period_days: int = 0
    is_renewed: bool = False
    cancel_at_period_end: bool = False
    trial_ends_at: datetime | None = None
    contract_end: datetime | None = None
    contract_ending_soon_days: int = 0
    resumes_at: datetime | None = None
    renewal_due_told: bool = False
    trial_ending_told: bool = False
    contract_ending_told: bool = False
    #: When each of its schedules fires next.
    next_grants_at: tuple[datetime, ...] = ()


def next_due(clockwork: Clockwork) -> datetime | None:
    """The first instant at which something is due; None when nothing will be."""
    instants = [instant for _, instant in _dues(clockwork)]
    return max(min(instants), clockwork.not_before) if instants else None


def due_kinds(clockwork: Clockwork, at: datetime) -> list[str]:
    """What is due by `at`, in the order in which it happens.

    `contract_ending_soon`, `trial_ending` and `renewal_due` are told; `contract_end`, `resume`, `trial_end`,
    `cancel_due`, `advance`, `overdue` and `expire` are actions of the table of transitions; `grants` are schedules.
    """
    kinds: list[str] = []
    for kind, instant in _dues(clockwork):
        if instant > at:
            continue
        kinds.append(kind)
        if kind in _TURNS:
            break
    return kinds


def dues_ahead(clockwork: Clockwork) -> list[tuple[str, datetime]]:
    """Every kind with its instant, as things stand now, earliest first; nothing follows the end of a contract."""
    ahead = sorted(_dues(clockwork), key=lambda due: due[1])
    end = clockwork.contract_end
    return [due for due in ahead if end is None or due[0] == "contract_end" or due[1] < end]


def _dues(clockwork: Clockwork) -> Iterator[tuple[str, datetime]]:
    """Every kind that is ahead with its instant, in the order for one instant."""
    if clockwork.status not in {TRIALING, ACTIVE, OVERDUE, PAUSED}:
        return
    yield from _warnings(clockwork)
    if clockwork.contract_end is not None:
        yield "contract_end", clockwork.contract_end
    if clockwork.status == PAUSED:
        yield from _end_of_pause(clockwork)
    elif clockwork.status == OVERDUE:
        yield "expire", clockwork.current_period_end + timedelta(days=clockwork.grace_period_days)
    else:
        yield from _running(clockwork)


def _warnings(clockwork: Clockwork) -> Iterator[tuple[str, datetime]]:
    if clockwork.contract_end is not None and _warns_of_contract(clockwork):
        yield (
            "contract_ending_soon",
            clockwork.contract_end - timedelta(days=clockwork.contract_ending_soon_days),
        )
    if clockwork.status == TRIALING and clockwork.trial_ends_at and not clockwork.trial_ending_told:
        yield "trial_ending", clockwork.trial_ends_at - timedelta(days=TRIAL_ENDING_DAYS)
    if _warns_of_renewal(clockwork):
        yield "renewal_due", renewal_due_at(clockwork)


def renewal_due_at(clockwork: Clockwork) -> datetime:
    """From when the next period can be renewed: at once when the period is shorter than the notice."""
    due = clockwork.current_period_end - timedelta(days=clockwork.renewal_due_days)
    return max(due, clockwork.current_period_start)


def _warns_of_contract(clockwork: Clockwork) -> bool:
    return clockwork.contract_ending_soon_days > 0 and not clockwork.contract_ending_told


def _warns_of_renewal(clockwork: Clockwork) -> bool:
    """Of a period that only a renewal follows: not while it is paused, canceled, on trial, or the contract's last."""
    return (
        clockwork.status in {TRIALING, ACTIVE}
        and not clockwork.renewal_due_told
        and not clockwork.cancel_at_period_end
        and _ends_unless_renewed(clockwork)
        and (clockwork.contract_end is None or clockwork.contract_end > clockwork.current_period_end)
    )


def _ends_unless_renewed(clockwork: Clockwork) -> bool:
    trial = clockwork.trial_ends_at if clockwork.status == TRIALING else None
    trial_goes_on = trial is not None and trial > clockwork.current_period_end
    return clockwork.is_prepaid and not clockwork.is_renewed and not trial_goes_on


def _end_of_pause(clockwork: Clockwork) -> Iterator[tuple[str, datetime]]:
    if clockwork.resumes_at is not None:
        yield "resume", clockwork.resumes_at


def _running(clockwork: Clockwork) -> Iterator[tuple[str, datetime]]:
    if clockwork.status == TRIALING and clockwork.trial_ends_at is not None:
        yield "trial_end", clockwork.trial_ends_at
    yield _end_of_period(clockwork), clockwork.current_period_end
    if clockwork.next_grants_at:
        yield "grants", min(clockwork.next_grants_at)


def _end_of_period(clockwork: Clockwork) -> str:
    if clockwork.cancel_at_period_end:
        return "cancel_due"
    return "overdue" if _ends_unless_renewed(clockwork) else "advance"
