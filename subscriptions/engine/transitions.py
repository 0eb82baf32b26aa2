"""What may happen to a subscription in which state, and the state it is in afterwards. There is no other place."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

TRIALING: Final = "trialing"
ACTIVE: Final = "active"
OVERDUE: Final = "overdue"
PAUSED: Final = "paused"
EXPIRED: Final = "expired"
CANCELED: Final = "canceled"
CONTRACT_ENDED: Final = "contract_ended"

STATES: Final = (TRIALING, ACTIVE, OVERDUE, PAUSED, EXPIRED, CANCELED, CONTRACT_ENDED)

#: Resuming brings back the state that the pause interrupted.
AS_BEFORE: Final = "as before the pause"

#: Somebody asks for these; the others happen when they are due.
ASKED_FOR: Final = ("renew", "pause", "resume", "change", "cancel", "cancel_now", "uncancel", "extend")
DUE: Final = ("trial_end", "advance", "overdue", "expire", "cancel_due", "contract_end")
ACTIONS: Final = (*ASKED_FOR, *DUE)

#: `cancel` marks the end of the period as the last; `cancel_due` is that end. An overdue period is over, so there
#: `cancel` ends at once. Whoever is overdue renews first: there is no rest of a period to pause or to change.
TRANSITIONS: Final = MappingProxyType(
    {
        (TRIALING, "renew"): TRIALING,
        (TRIALING, "pause"): PAUSED,
        (TRIALING, "change"): TRIALING,
        (TRIALING, "cancel"): TRIALING,
        (TRIALING, "cancel_now"): CANCELED,
        (TRIALING, "uncancel"): TRIALING,
        (TRIALING, "extend"): TRIALING,
        (TRIALING, "trial_end"): ACTIVE,
        (TRIALING, "advance"): TRIALING,
        (TRIALING, "cancel_due"): CANCELED,
        (TRIALING, "contract_end"): CONTRACT_ENDED,
        (ACTIVE, "renew"): ACTIVE,
        (ACTIVE, "pause"): PAUSED,
        (ACTIVE, "change"): ACTIVE,
        (ACTIVE, "cancel"): ACTIVE,
        (ACTIVE, "cancel_now"): CANCELED,
        (ACTIVE, "uncancel"): ACTIVE,
        (ACTIVE, "extend"): ACTIVE,
        (ACTIVE, "advance"): ACTIVE,
        (ACTIVE, "overdue"): OVERDUE,
        (ACTIVE, "cancel_due"): CANCELED,
        (ACTIVE, "contract_end"): CONTRACT_ENDED,
        (OVERDUE, "renew"): ACTIVE,
        (OVERDUE, "cancel"): CANCELED,
        (OVERDUE, "cancel_now"): CANCELED,
        (OVERDUE, "extend"): OVERDUE,
        (OVERDUE, "expire"): EXPIRED,
        (OVERDUE, "contract_end"): CONTRACT_ENDED,
        (PAUSED, "resume"): AS_BEFORE,
        (PAUSED, "cancel"): PAUSED,
        (PAUSED, "cancel_now"): CANCELED,
        (PAUSED, "uncancel"): PAUSED,
        (PAUSED, "extend"): PAUSED,
        (PAUSED, "contract_end"): CONTRACT_ENDED,
        (CONTRACT_ENDED, "extend"): ACTIVE,
    }
)


class TransitionRefused(Exception):
    """Not in this state; `allowed` are the actions that somebody may ask for instead."""

    def __init__(self, state: str, action: str) -> None:
        self.state = state
        self.action = action
        self.allowed = actions_allowed(state)
        super().__init__(f"A subscription that is {state} does not take {action}.")


def transition(state: str, action: str, *, before_pause: str = ACTIVE) -> str:
    """The state after `action`; `before_pause` is the one that `resume` brings back. Raises TransitionRefused."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        raise TransitionRefused(state, action)
    return before_pause if after == AS_BEFORE else after


def actions_allowed(state: str) -> tuple[str, ...]:
    """What may be asked for in this state, in the order of `ASKED_FOR`."""
    return tuple(action for action in ASKED_FOR if (state, action) in TRANSITIONS)
