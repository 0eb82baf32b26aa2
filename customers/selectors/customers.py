"""Reading customers."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from customers.kernel.database import call_all
from customers.models import Customer

#: A search shows the newest matches, at most so many.
SEARCH_MAX: Final = 1000
_SEARCH: Final = "SELECT customers_search_v1($1, $2, $3, $4)"


def customers_visible(environment_id: UUID) -> QuerySet[Customer]:
    """Everybody but the deleted."""
    return Customer.objects.filter(environment_id=environment_id, deleted_at__isnull=True)


def customers_search(
    *, environment_id: UUID, query: str, include_deleted: bool = False, limit: int = SEARCH_MAX
) -> list[UUID]:
    """Inside ids of the newest customers whose display name, external id, name, email or id contains the text."""
    return [row[0] for row in call_all(_SEARCH, [environment_id, query, include_deleted, limit])]
