"""Metrics that cost twice: credits by a metering rule, and money by a charge of a price plan. Both apply."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from metering.models import MeteringRule
from metering.models.rule import EVERYONE
from subscriptions.models import PricePlanVersion


def priced_twice(
    version: PricePlanVersion, *, scopes: Collection[UUID] | None = None
) -> list[dict[str, Any]]:
    """A warning for each metric that the version charges and that has a metering rule too.

    `scopes` are those of one customer: rules for everyone, for their plan variant, for themselves.
    """
    keys = {charge["metric_key"] for charge in version.charges if charge.get("metric_key")}
    rules = MeteringRule.objects.filter(environment_id=version.environment_id, metric__key__in=keys)
    if scopes is not None:
        rules = rules.filter(scope_id__in=[EVERYONE, *scopes])
    ruled = sorted(set(rules.values_list("metric__key", flat=True))) if keys else []
    return [
        {
            "code": "priced-twice",
            "metric_key": key,
            "message": f"Usage of {key} costs credits by a metering rule, and money by this price plan.",
        }
        for key in ruled
    ]
