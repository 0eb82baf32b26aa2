"""Entitlement checks of one process that would wait for each other are asked together: one statement for all of them.

Each is the same function of the database that a check alone calls, at an instant of its own, and sees whatever was
committed before it was asked: docs/decisions/checks-in-groups.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.conf import settings

from customers.kernel.arrays import array_of_texts, array_of_words
from customers.kernel.database import call_function, is_alike_everywhere, rows_of
from customers.kernel.groups import Groups, Tell


class Check(NamedTuple):
    """What metering_entitlement_v1 is asked."""

    environment_id: UUID
    config_version: int
    by: str
    reference: str
    metric_id: UUID
    metric_key: str
    rule_id: UUID | None
    now: datetime


#: One that has much to look up holds up so many others at most.
_GROUP_MAX: Final = 32
_TOGETHER: Final = """
SELECT f.*
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::timestamptz[])
  WITH ORDINALITY AS a (environment, config_version, by, reference, metric, metric_key, now, place),
LATERAL metering_entitlement_v1(
  p_environment => a.environment, p_config_version => a.config_version, p_by => a.by, p_reference => a.reference,
  p_metric => a.metric, p_metric_key => a.metric_key, p_rule => NULL, p_now => a.now) AS f
ORDER BY a.place
"""


def check_ask(check: Check) -> Any:
    """What the database knows of the customer, as metering_entitlement_v1 answers it."""
    # Where the cycle counts, a new rule has the cycle's events added up at each check: nobody should wait behind that.
    if check.rule_id is None and settings.ENTITLEMENTS_GROUPS and is_alike_everywhere():
        return _groups.answer(check)
    return _ask_alone(check)


def _ask_alone(check: Check) -> Any:
    return call_function(
        "metering_entitlement_v1",
        environment=check.environment_id,
        config_version=check.config_version,
        by=check.by,
        reference=check.reference,
        metric=check.metric_id,
        metric_key=check.metric_key,
        rule=check.rule_id,
        now=check.now,
    )


def _ask_together(checks: Sequence[Check], _tell: Tell[Any]) -> Sequence[Any]:
    return rows_of(
        _TOGETHER,
        [
            array_of_words([str(check.environment_id) for check in checks]),
            array_of_words([str(check.config_version) for check in checks]),
            array_of_texts([check.by for check in checks]),
            array_of_texts([check.reference for check in checks]),
            array_of_words([str(check.metric_id) for check in checks]),
            array_of_texts([check.metric_key for check in checks]),
            array_of_texts([check.now.isoformat() for check in checks]),
        ],
    )


_groups: Final[Groups[Check, Any]] = Groups(alone=_ask_alone, together=_ask_together, most=_GROUP_MAX)
