"""What has happened in an environment as far as metering knows: no test clock is set to before it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from customers.kernel.database import call_one
from customers.services.due_work import Moment

_EVENT: Final = """
SELECT greatest((SELECT max(received_at) FROM metering_usage_event WHERE environment_id = $1),
  (SELECT max(received_until) FROM metering_event_archive WHERE environment_id = $1))
"""
#: A rule that was made later would not be in effect yet, and usage find no price.
_RULE: Final = "SELECT max(created_at) FROM metering_rule WHERE environment_id = $1"


def usage_latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last event that was received."""
    return _latest(_EVENT, environment_id, "a usage event")


def rules_latest_fact(*, environment_id: UUID) -> Moment | None:
    """The last metering rule that was made."""
    return _latest(_RULE, environment_id, "a metering rule")


def _latest(sql: str, environment_id: UUID, what: str) -> Moment | None:
    row = call_one(sql, [environment_id])
    return None if row is None or row[0] is None else Moment(at=row[0], what=what)
