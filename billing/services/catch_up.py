"""The seam between periods: work of higher apps that is due before an account may move.

An account carries `catch_up_at`, written by whoever owns that work (services/accounts.py). The kernel refuses to move
or to show an account whose instant has passed, and settles it to just before that; the service then runs what is
registered here and tries again. Nothing is imported upward.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.errors import CatchUpFailed
from customers.kernel.database import environment_scope

CatchUp = Callable[..., None]

_catch_ups: Final[list[CatchUp]] = []
#: Each attempt does everything due; a second one is needed only when more became due meanwhile.
_ATTEMPTS: Final = 4


def catch_up_register(catch_up: CatchUp) -> None:
    """Have `catch_up(environment_id=…, customer_id=…, now=…)` called when an account's `catch_up_at` has passed."""
    _catch_ups.append(catch_up)


def caught_up(attempt: Callable[[], Any], *, environment_id: UUID, customer_id: UUID, now: datetime) -> Any:
    """The kernel's answer to `attempt`, after the work that it said was due first.

    Raises CatchUpFailed when that work does not come to an end.
    """
    for _ in range(_ATTEMPTS):
        answer = attempt()
        if answer.status != "catch-up-due":
            return answer
        catch_up_run(environment_id=environment_id, customer_id=customer_id, now=now)
    raise CatchUpFailed


def answer_caught_up(attempt: Callable[[], Any], *, environment_id: UUID, now: datetime) -> Any:
    """As caught_up, for a call that knows its customer by a name only: the answer tells who it is."""
    answer = attempt()
    if answer.status != "catch-up-due":
        return answer
    return caught_up(attempt, environment_id=environment_id, customer_id=answer.customer_id, now=now)


def catch_up_run(*, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Do the work of higher apps that is due on one account, now."""
    # Calls on the hot path see no environment's rows; this work does.
    with environment_scope(environment_id):
        for catch_up in _catch_ups:
            catch_up(environment_id=environment_id, customer_id=customer_id, now=now)
