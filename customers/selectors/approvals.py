"""Requests for approval as the queue and the home page know them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from customers.models import Approval, ApprovalState

#: How long a broken glass stays on the home page.
ALARM: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTotals:
    """How many wait, and what owners did alone lately, the last first."""

    waiting: int
    broken_glasses: list[Approval]


def waiting(*, wall_now: datetime) -> Q:
    """That nobody has decided, and time has not."""
    return Q(state=ApprovalState.PENDING, expires_at__gt=wall_now)
