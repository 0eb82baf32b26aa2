"""What is archived is sold no more; those who have it keep it, and it can be sold again."""

from __future__ import annotations

from datetime import datetime

from subscriptions.models import CreditGrantTemplate, Plan, PlanVariant, PricePlan


def archived_set(
    record: Plan | PlanVariant | PricePlan | CreditGrantTemplate, *, is_archived: bool, now: datetime
) -> bool:
    """Store that a row, which the caller has locked, is archived as of `now`, or is not. Whether that is news."""
    if (record.archived_at is not None) == is_archived:
        return False
    record.archived_at, record.updated_at = (now if is_archived else None), now
    record.save(update_fields=["archived_at", "updated_at"])
    return True
