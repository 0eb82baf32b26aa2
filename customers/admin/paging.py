"""Lists of tables that grow for ever: a page is found by an index, and nobody counts a million rows to number it."""

from __future__ import annotations

from typing import Final

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

#: Rows counted, and reachable by page number. Whoever wants older ones narrows the list by a filter or a search.
COUNTED_MAX: Final = 5000


class AtLeast(int):
    """A count that stopped at its bound."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts as far as COUNTED_MAX and no further."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        counted = rows.order_by()[: COUNTED_MAX + 1].count()
        return AtLeast(COUNTED_MAX) if counted > COUNTED_MAX else counted
