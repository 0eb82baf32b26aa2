"""What a replay found: who would have paid less, who more, and for whom the past was not reproduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import BigIntegerField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from customers.models import JobResult

ROWS_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRows:
    """Rows of a replay's job, as `/v1/jobs/{id}/results` shows them; the largest differences first."""

    winners: list[dict[str, Any]]
    losers: list[dict[str, Any]]
    #: Customers whose events their own rules do not come to.
    not_reproduced: list[dict[str, Any]]


def replay_rows(*, job_id: UUID) -> ReplayRows:
    difference = Cast(KeyTextTransform("difference", "data"), BigIntegerField())
    rows = JobResult.objects.filter(job_id=job_id).annotate(difference=difference)
    return ReplayRows(
        winners=_data(rows.filter(difference__lt=0).order_by("difference", "position")),
        losers=_data(rows.filter(difference__gt=0).order_by("-difference", "position")),
        not_reproduced=_data(rows.filter(~Q(data__mismatched_events=0)).order_by("position")),
    )


def _data(rows: QuerySet[JobResult, Any]) -> list[dict[str, Any]]:
    return [row.data for row in rows[:ROWS_MAX]]
