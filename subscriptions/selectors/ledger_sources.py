"""What subscriptions tell billing of the movements they caused. Registered in subscriptions/apps.py."""

from __future__ import annotations

from typing import Any

from billing.models import LedgerEntry
from customers.kernel.instants import instant_text
from subscriptions.models import GrantRun


def grant_run_explained(entry: LedgerEntry) -> dict[str, Any]:
    """A grant of a plan, or what rolled over with it."""
    runs = GrantRun.objects.select_related("subscription", "template__variant__plan")
    run = runs.filter(id=entry.source_id).first()
    if run is None:
        return {}
    told = {
        "id": str(run.id),
        "subscription_id": run.subscription.public_id,
        "plan_variant_id": run.template.variant.public_id,
        "credit_grant_id": run.template.public_id,
        "plan": run.template.variant.plan.name,
        "starts_at": instant_text(run.starts_at),
        "ends_at": instant_text(run.ends_at),
        "credits": run.credits_mc,
        "rolled_over": run.rolled_mc,
    }
    return {"grant_run": told}
