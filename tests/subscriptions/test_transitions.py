"""Each pair of a state and an action is either allowed, and leads where the table says, or refused."""

from __future__ import annotations

from itertools import product

import pytest

from subscriptions.engine.transitions import (
    ACTIONS,
    ASKED_FOR,
    STATES,
    TRANSITIONS,
    TransitionRefused,
    actions_allowed,
    transition,
)
from subscriptions.models import SubscriptionState

#: state → action → state, written down a second time and by state.
EXPECTED = {
    "trialing": {
        "renew": "trialing",
        "pause": "paused",
        "change": "trialing",
        "cancel": "trialing",
        "cancel_now": "canceled",
        "uncancel": "trialing",
        "extend": "trialing",
        "trial_end": "active",
        "advance": "trialing",
        "cancel_due": "canceled",
        "contract_end": "contract_ended",
    },
    "active": {
        "renew": "active",
        "pause": "paused",
        "change": "active",
        "cancel": "active",
        "cancel_now": "canceled",
        "uncancel": "active",
        "extend": "active",
        "advance": "active",
        "overdue": "overdue",
        "cancel_due": "canceled",
        "contract_end": "contract_ended",
    },
    "overdue": {
        "renew": "active",
        "cancel": "canceled",
        "cancel_now": "canceled",
        "extend": "overdue",
        "expire": "expired",
        "contract_end": "contract_ended",
    },
    "paused": {
        "resume": "active",
        "cancel": "paused",
        "cancel_now": "canceled",
        "uncancel": "paused",
        "extend": "paused",
        "contract_end": "contract_ended",
    },
    "expired": {},
    "canceled": {},
    "contract_ended": {"extend": "active"},
}


def test_the_states_are_those_of_the_rows():
    assert list(STATES) == SubscriptionState.values


@pytest.mark.parametrize(("state", "action"), list(product(STATES, ACTIONS)))
def test_each_pair_is_allowed_or_refused(state, action):
    if action in EXPECTED[state]:
        assert transition(state, action) == EXPECTED[state][action]
        return
    with pytest.raises(TransitionRefused) as refused:
        transition(state, action)
    assert refused.value.allowed == tuple(one for one in ASKED_FOR if one in EXPECTED[state])


def test_the_table_knows_no_other_states_or_actions():
    assert {state for state, _ in TRANSITIONS} <= set(STATES)
    assert {action for _, action in TRANSITIONS} == set(ACTIONS)


def test_resuming_brings_back_what_the_pause_interrupted():
    assert transition("paused", "resume", before_pause="trialing") == "trialing"


def test_what_is_allowed_is_named_without_what_happens_by_itself():
    assert actions_allowed("overdue") == ("renew", "cancel", "cancel_now", "extend")
    assert actions_allowed("canceled") == ()
