"""What is due on a subscription, when, and in which order at one instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subscriptions.engine.due import Clockwork, due_kinds, next_due

START = datetime(2026, 4, 1, tzinfo=UTC)
END = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def clockwork(**facts: Any) -> Clockwork:
    """A prepaid month with the usual three days of notice and of grace."""
    usual: dict[str, Any] = {
        "status": "active",
        "is_prepaid": True,
        "current_period_start": START,
        "current_period_end": END,
        "not_before": START,
        "renewal_due_days": 3,
        "grace_period_days": 3,
    }
    return Clockwork(**usual | facts)


def due(**facts: Any) -> tuple[datetime | None, list[str]]:
    """When something is due first, and what."""
    works = clockwork(**facts)
    at = next_due(works)
    return at, [] if at is None else due_kinds(works, at)


def test_a_prepaid_period_is_told_to_end_then_overdue_then_expires():
    assert due() == (END - 3 * DAY, ["renewal_due"])
    assert due(renewal_due_told=True) == (END, ["overdue"])
    assert due(status="overdue", renewal_due_told=True) == (END + 3 * DAY, ["expire"])


def test_a_renewed_period_advances():
    assert due(is_renewed=True) == (END, ["advance"])


def test_a_postpaid_period_advances_by_itself():
    assert due(is_prepaid=False) == (END, ["advance"])


def test_a_period_shorter_than_the_notice_is_told_at_its_start():
    assert due(renewal_due_days=45) == (START, ["renewal_due"])


def test_without_notice_the_end_is_told_and_happens_at_one_instant():
    assert due(renewal_due_days=0) == (END, ["renewal_due", "overdue"])


def test_without_grace_an_overdue_period_expires_at_its_end():
    assert due(status="overdue", renewal_due_told=True, grace_period_days=0) == (END, ["expire"])


def test_a_canceled_period_ends_without_a_word_about_renewal():
    assert due(cancel_at_period_end=True) == (END, ["cancel_due"])


def test_a_trial_is_told_to_end_three_days_before_and_ends_where_the_period_goes_on():
    trial = {"status": "trialing", "trial_ends_at": START + 14 * DAY}
    assert due(**trial) == (START + 11 * DAY, ["trial_ending"])
    assert due(**trial, trial_ending_told=True) == (START + 14 * DAY, ["trial_end"])


def test_a_trial_shorter_than_its_warning_is_told_at_once():
    assert due(status="trialing", trial_ends_at=START + DAY) == (START, ["trial_ending"])


def test_a_trial_that_ends_with_its_period_ends_first():
    trial = {"status": "trialing", "trial_ends_at": END, "trial_ending_told": True, "renewal_due_told": True}
    assert due(**trial) == (END, ["trial_end", "overdue"])
    assert due(**trial, is_renewed=True) == (END, ["trial_end", "advance"])


def test_a_trial_longer_than_its_period_needs_no_renewal():
    trial = {"status": "trialing", "trial_ends_at": END + 10 * DAY, "trial_ending_told": True}
    assert due(**trial) == (END, ["advance"])


def test_a_contract_is_told_to_end_once_and_ends_before_anything_is_renewed():
    contract = {"is_prepaid": False, "contract_end": END, "contract_ending_soon_days": 10}
    assert due(**contract) == (END - 10 * DAY, ["contract_ending_soon"])
    assert due(**contract, contract_ending_told=True, next_grants_at=(END,)) == (END, ["contract_end"])


def test_the_last_period_of_a_contract_asks_for_no_renewal():
    assert due(contract_end=END) == (END, ["contract_end"])
    assert due(contract_end=END + DAY) == (END - 3 * DAY, ["renewal_due"])


def test_a_contract_of_zero_days_of_warning_is_not_warned_of():
    assert due(is_prepaid=False, contract_end=START + DAY) == (START + DAY, ["contract_end"])


def test_a_warning_whose_time_has_passed_is_due_at_once():
    now = START + 5 * DAY
    contract = {"contract_end": now + DAY, "contract_ending_soon_days": 30}
    assert due(is_prepaid=False, not_before=now, **contract) == (now, ["contract_ending_soon"])


def test_a_paused_subscription_knows_only_its_resumption_and_its_contract():
    paused = {"status": "paused", "next_grants_at": (START,), "cancel_at_period_end": True}
    assert due(**paused) == (None, [])
    assert due(**paused, resumes_at=START + 9 * DAY) == (START + 9 * DAY, ["resume"])
    both = {"resumes_at": START + 9 * DAY, "contract_end": START + 9 * DAY}
    assert due(**paused, **both) == (START + 9 * DAY, ["contract_end"])


def test_grants_come_after_the_new_period_and_not_after_an_end():
    hourly = {"is_prepaid": False, "next_grants_at": (END + DAY, END)}
    assert due(**hourly) == (END, ["advance", "grants"])
    assert due(**hourly, cancel_at_period_end=True) == (END, ["cancel_due"])
    assert due(is_prepaid=False, next_grants_at=(START + DAY,)) == (START + DAY, ["grants"])


def test_an_overdue_subscription_is_granted_nothing():
    assert due(status="overdue", renewal_due_told=True, next_grants_at=(END,)) == (END + 3 * DAY, ["expire"])


@pytest.mark.parametrize("status", ["expired", "canceled", "contract_ended"])
def test_nothing_is_due_on_what_has_ended(status):
    assert due(status=status, contract_end=END, resumes_at=END, next_grants_at=(END,)) == (None, [])
