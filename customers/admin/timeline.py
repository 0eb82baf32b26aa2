"""Everything that ever happened to one customer, newest first, out of whatever apps know of it.

timeline_register(TimelineSource(kind="holds", label="Holds", order=30, permission="billing.view_hold", load=holds))

A source gives its own things before a point; the page merges them. The order is total (instant, source, id), so that a
thousand things of one instant are neither shown twice nor left out between two pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from customers.admin.display import instant_shown
from customers.kernel.ids import uuid_parse
from customers.kernel.instants import instant_parse, instant_text
from customers.models import Customer

ROWS: Final = 50
_NONE: Final = UUID(int=0)
_ALL: Final = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Before:
    """A source's things come before this: earlier, or at the same instant with a smaller id."""

    at: datetime
    id: UUID

    def of(self, rows: QuerySet[Any], *, instant: str) -> QuerySet[Any]:
        """Rows before it. The first condition alone leads into an index, the second is exact."""
        earlier = Q(**{f"{instant}__lt": self.at}) | Q(**{instant: self.at, "id__lt": self.id})
        return rows.filter(earlier, **{f"{instant}__lte": self.at})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing. `tells_of`: another one of the same page that this one tells already."""

    at: datetime
    id: UUID
    title: object
    url: str = ""
    note: object = ""
    amount: object = ""
    actor: str = ""
    tells_of: UUID | None = None


Load = Callable[[Customer, Before, int], Iterable[Happening]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSource:
    """`load` gives at most so many things of a customer before a point, newest first."""

    kind: str
    label: str
    order: int
    permission: str
    load: Load
    icon: str = "circle"


@dataclass(frozen=True, slots=True)
class Row:
    source: TimelineSource
    rank: int
    happening: Happening

    @property
    def place(self) -> tuple[datetime, int, UUID]:
        return (self.happening.at, -self.rank, self.happening.id)

    def day(self) -> date:
        return self.happening.at.date()

    @property
    def shown_at(self) -> object:
        return instant_shown(self.happening.at)


_sources: Final[dict[str, TimelineSource]] = {}


def timeline_register(source: TimelineSource) -> None:
    _sources[source.kind] = source


def timeline_context(request: HttpRequest, customer: Customer, *, now: datetime) -> dict[str, Any]:
    """What the template shows: rows by day, the kinds there are, and where older things are."""
    seen = _seen_by(request)
    wanted = request.GET.get("kind", "")
    here = reverse("admin:customers_customer_timeline", args=[customer.pk])
    rows = _rows(customer, [s for s in seen if wanted in ("", s.kind)], _point(request, now), seen)
    shown, is_more = rows[:ROWS], len(rows) > ROWS
    return {
        "days": [(day, list(rows)) for day, rows in groupby(_unfolded(shown), key=Row.day)],
        "kinds": [{"label": "Everything", "url": here, "is_chosen": not wanted}, *_kinds(seen, here, wanted)],
        "older": f"{here}?{_cursor(shown[-1], wanted)}" if is_more else "",
        "here": here,
    }


def _kinds(seen: Iterable[TimelineSource], here: str, wanted: str) -> Iterator[dict[str, Any]]:
    for source in seen:
        query = urlencode({"kind": source.kind})
        yield {"label": source.label, "url": f"{here}?{query}", "is_chosen": source.kind == wanted}


def _seen_by(request: HttpRequest) -> list[TimelineSource]:
    allowed = (source for source in _sources.values() if request.user.has_perm(source.permission))
    return sorted(allowed, key=lambda source: source.order)


@dataclass(frozen=True, slots=True)
class _Point:
    at: datetime
    kind: str
    id: UUID


def _point(request: HttpRequest, now: datetime) -> _Point:
    """From where on back. Without one, or with nonsense, from now: what is to come is not in the timeline."""
    at, _, rest = request.GET.get("before", "").partition("~")
    kind, _, last = rest.partition("~")
    instant, key = instant_parse(at), uuid_parse(last)
    return _Point(instant, kind, key) if instant and key else _Point(now, "", _ALL)


def _cursor(row: Row, wanted: str) -> str:
    before = f"{instant_text(row.happening.at)}~{row.source.kind}~{row.happening.id}"
    return urlencode({"before": before, **({"kind": wanted} if wanted else {})})


def _rows(
    customer: Customer, sources: Iterable[TimelineSource], point: _Point, seen: list[TimelineSource]
) -> list[Row]:
    """One more than a page has, if there are as many."""
    ranks = {source.kind: rank for rank, source in enumerate(seen)}
    last = ranks.get(point.kind)
    rows = [
        Row(source, ranks[source.kind], happening)
        for source in sources
        for happening in source.load(customer, _before(point, ranks[source.kind], last), ROWS + 1)
    ]
    return sorted(rows, key=lambda row: row.place, reverse=True)[: ROWS + 1]


def _before(point: _Point, rank: int, last: int | None) -> Before:
    """Of one instant the sources come one after another: those before the last one's are over, the others are not."""
    if last is None or rank > last:
        return Before(point.at, _ALL)
    return Before(point.at, point.id if rank == last else _NONE)


def _unfolded(rows: list[Row]) -> Iterator[Row]:
    """Without those that another one tells already: a debit, which has its event's id, and that usage are one line."""
    told = {row.happening.tells_of for row in rows}
    return (row for row in rows if row.happening.tells_of or row.happening.id not in told)
