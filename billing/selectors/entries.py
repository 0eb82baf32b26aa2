"""What moved an account."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import BigIntegerField, DateTimeField, Func, Q, QuerySet, UUIDField, Value

from billing.models import EntryKind, LedgerEntry


class LastBefore(Func):
    """The number of an account's last entry before an instant: there is no index of instants."""

    function = "billing_last_before_v1"
    output_field = BigIntegerField()

    def __init__(self, account_id: UUID, at: datetime) -> None:
        super().__init__(Value(account_id, UUIDField()), Value(at, DateTimeField()))


def entries_of(
    *,
    customer_id: UUID,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[LedgerEntry]:
    """A customer's ledger, newest first. `since` is included, `until` is not."""
    entries = LedgerEntry.objects.filter(account_id=customer_id, **({"kind": kind} if kind else {}))
    return entries.filter(entries_between(customer_id, since=since, until=until)).order_by("-sequence")


def entries_between(account_id: UUID, *, since: datetime | None, until: datetime | None) -> Q:
    """Which entries of an account are of a span of time, in a way that is quick for it."""
    after = Q() if since is None else Q(sequence__gt=LastBefore(account_id, since))
    return after if until is None else after & Q(sequence__lte=LastBefore(account_id, until))


def last_adjusted(*, account_id: UUID) -> UUID | None:
    """The cause of an account's newest adjustment, which one index finds."""
    adjusted = LedgerEntry.objects.filter(account_id=account_id, kind=EntryKind.ADJUST)
    return adjusted.order_by("-sequence").values_list("source_id", flat=True).first()
