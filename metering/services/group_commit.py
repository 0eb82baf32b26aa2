"""Group commit inside the web process: events that would wait for each other are recorded together.

`USAGE_GROUP_COMMIT_LANES` calls of this process are under way at a time; what comes meanwhile is recorded by one
set-based call, in one transaction (`customers/kernel/groups.py`). Nothing is answered before its commit. Events of an
account that somebody else holds are recorded after the others of their group, which are answered meanwhile, and beside
the next group; what meets an account that is held for long is tried singly.

An event whose price depends on a customer or plan that this process has not seen takes a group twice as long. It goes
alone, unless its customer has another under way, whose lock it would wait for; further ones are priced for whom that
found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings

from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.groups import Groups, Tell
from metering.services.usage import Outcome, UsageInput, UsageRecorded, UsageWish, usage_record
from metering.services.usage_batch import usages_record
from metering.services.usage_ordinary import is_ordinary

#: The most that one group takes; larger ones gain nothing more.
GROUP_MAX: Final = 200


def usage_submit(*, caller: Caller, usage: UsageInput, now: datetime) -> UsageRecorded:
    """As usage_record, by whichever way is faster at the moment."""
    if settings.USAGE_GROUP_COMMIT:
        return _groups.record(UsageWish(caller=caller, usage=usage), now)
    return usage_record(caller=caller, usage=usage, now=now)


class _Asked(NamedTuple):
    """A wish, and when it was made."""

    wish: UsageWish
    now: datetime


class GroupCommit:
    """The events that this process is recording."""

    def __init__(self) -> None:
        self.groups: Groups[_Asked, UsageRecorded] = Groups(
            alone=_record_alone,
            together=_record_together,
            lanes=lambda: settings.USAGE_GROUP_COMMIT_LANES,
            kin=lambda asked: asked.wish.caller.environment_id,
            refusals=(DomainError,),
            most=GROUP_MAX,
        )
        #: Customers of whom an event whose price is not known is under way. Only a hint, so nothing guards it.
        self._apart: set[tuple[UUID, str, str]] = set()

    def record(self, wish: UsageWish, now: datetime) -> UsageRecorded:
        """Record the event, alone or in a group. Raises what usage_record raises."""
        asked, environment_id = _Asked(wish, now), wish.caller.environment_id
        if is_ordinary(wish.usage, environment_id, now):
            return self.groups.answer(asked)
        customer = (environment_id, wish.usage.by, wish.usage.reference)
        if customer in self._apart:
            return self.groups.answer(asked)
        self._apart.add(customer)
        try:
            return _record_alone(asked)
        finally:
            self._apart.discard(customer)


def _record_alone(asked: _Asked) -> UsageRecorded:
    return usage_record(caller=asked.wish.caller, usage=asked.wish.usage, now=asked.now)


def _record_together(group: Sequence[_Asked], tell: Tell[UsageRecorded]) -> Sequence[Outcome]:
    return usages_record(
        environment_id=group[0].wish.caller.environment_id,
        wishes=[asked.wish for asked in group],
        now=max(asked.now for asked in group),
        is_patient=False,
        tell=tell,
    )


_groups: Final = GroupCommit()
