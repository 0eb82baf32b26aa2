"""Metrics that cost twice: credits by a metering rule, and money by a charge of a price plan. Both apply."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from billing.models import CreditAccount
from metering.models import MeteringRule
from metering.models.rule import EVERYONE
from subscriptions.models import LIVE_STATES, PricePlanVersion, Subscription


def priced_twice(
    version: PricePlanVersion, *, scopes: Collection[UUID] | None = None
) -> list[dict[str, Any]]:
    """A warning for each metric that the version charges and that has a metering rule too.

    `scopes` are those of one customer: rules for everyone, for their plan variant, for themselves.
    """
    keys = charged_metrics(version)
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


def customer_priced_twice(account: CreditAccount) -> list[dict[str, Any]]:
    """The warnings that concern one customer: of all price plans that they are on, and the rules for them."""
    on_now = Subscription.objects.filter(customer_id=account.customer_id, status__in=LIVE_STATES)
    versions = PricePlanVersion.objects.filter(
        id__in=on_now.values("variant__price_plan_version_id"), environment_id=account.environment_id
    )
    variant = [account.plan_variant_id] if account.plan_variant_id else []
    scopes = [account.customer_id, *variant]
    warnings = [warning for version in versions for warning in priced_twice(version, scopes=scopes)]
    return list({warning["metric_key"]: warning for warning in warnings}.values())


def charged_metrics(version: PricePlanVersion) -> set[str]:
    return {charge["metric_key"] for charge in version.charges if charge.get("metric_key")}


def price_plans_charging(*, environment_id: UUID, metric_key: str) -> list[str]:
    """The ids of price plans that are sold and charge a metric."""
    versions = PricePlanVersion.objects.filter(
        environment_id=environment_id, status="active", price_plan__archived_at=None
    )
    charging = versions.filter(charges__contains=[{"metric_key": metric_key}])
    return sorted(charging.values_list("price_plan__key", flat=True))
