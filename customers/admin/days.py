"""Lists by the day (UTC) on which something came in: where the numbers of a day on home lead to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from customers.admin.requests import environment_of, of_admin
from customers.kernel.ids import uuid7_floor
from customers.models import EnvironmentKind

#: How far a row's id may be from the instant that the row tells, where nobody moves a clock.
_APART: Final = timedelta(minutes=10)


class DayFilter(SimpleListFilter):
    """The rows of one day. Subclasses say by which instant."""

    title = "day"
    parameter_name = "day"
    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = of_admin(request).now.astimezone(UTC).date()
        offered = {today.isoformat(): "Today", (today - timedelta(days=1)).isoformat(): "Yesterday"}
        chosen = request.GET.get(self.parameter_name)
        if chosen:
            # Without a choice Django would drop the filter, and show everything.
            offered.setdefault(chosen, chosen if _day(chosen) else "No such day")
        return list(offered.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        span = day_span(str(self.value()))
        if span is None:
            return queryset.none()
        begins, ends = span
        rows = queryset.filter(**{f"{self.field}__gte": begins, f"{self.field}__lt": ends})
        environment = environment_of(request)
        if environment is None or environment.kind != EnvironmentKind.LIVE:
            return rows
        # There is no index of days: ids follow time, but not that of a test clock.
        return rows.filter(id__gte=uuid7_floor(begins - _APART), id__lt=uuid7_floor(ends + _APART))


def day_span(text: str) -> tuple[datetime, datetime] | None:
    """When a day begins, and when the next one does."""
    day = _day(text)
    if day is None:
        return None
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return begins, begins + timedelta(days=1)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # Room for the day before and after.
    return day if date(1970, 1, 2) <= day <= date(9999, 12, 30) else None
