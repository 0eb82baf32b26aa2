"""What a request did, found by the id it was answered with (`X-Request-Id`, and `request_id` of a problem).

Only audit records have an index for it: in the ledger or on the events it would make every debit dearer. Ids that we
gave carry their instant, and so do the keys of what the request wrote, so that is found among the rows of that minute.
An id that the caller chose (by the same header) says nothing about when.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet

from customers.kernel.ids import typeid_parse, uuid7_around

# Clocks of web servers and database differ a little; a call has ended, or was given up, long before a minute is over.
_BEFORE: Final = timedelta(seconds=2)
_AFTER: Final = timedelta(seconds=60)


def has_instant(request_id: str) -> bool:
    """Whether it is an id that we gave."""
    return typeid_parse("req", request_id) is not None


def rows_of_request(rows: QuerySet[Any], request_id: str, *, indexed: bool) -> QuerySet[Any]:
    """Those of the rows that this request wrote; without an index none, unless its id says when it was."""
    asked = typeid_parse("req", request_id)
    if indexed:
        return rows.filter(request_id=request_id)
    if asked is None:
        return rows.none()
    first, end = uuid7_around(asked, before=_BEFORE, after=_AFTER)
    return rows.filter(pk__gte=first, pk__lt=end, request_id=request_id)
