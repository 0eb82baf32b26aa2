"""What a customer may do by the plans they are on: several subscriptions' features, merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from customers.models import Customer
from metering.models import BillableMetric
from metering.selectors.usage_queries import usage_compute
from subscriptions.engine.features import Feature, features_parse, merged
from subscriptions.models import Subscription, SubscriptionState
from subscriptions.services.subscriptions import RELATED, subscriptions_settle

_IN_USE: Final = (SubscriptionState.TRIALING, SubscriptionState.ACTIVE, SubscriptionState.OVERDUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """One feature of a customer; a limit with a metric is counted in the newest source's present period."""

    key: str
    feature: Feature | None
    sources: Sequence[Subscription] = ()
    current_usage: Decimal | None = None

    @property
    def remaining(self) -> Decimal | None:
        limit = self.feature.limit if self.feature else None
        if limit is None or self.current_usage is None:
            return None
        return max(limit - self.current_usage, Decimal(0))

    @property
    def is_exceeded(self) -> bool:
        limit = self.feature.limit if self.feature else None
        return limit is not None and self.current_usage is not None and self.current_usage >= limit

    @property
    def is_entitled(self) -> bool:
        if self.feature is None or self.is_exceeded:
            return False
        return bool(self.feature.value) if self.feature.type == "boolean" else self.feature.limit != 0


def entitlements_read(*, customer: Customer, now: datetime) -> list[Entitlement]:
    """All features of the plans that the customer is on at `now`, by key."""
    return [_entitlement(customer, key, given) for key, given in sorted(_features(customer, now).items())]


def entitlement_check(*, customer: Customer, key: str, now: datetime) -> Entitlement:
    """One of them; a feature that no plan of theirs names is one that they are not entitled to."""
    given = _features(customer, now).get(key)
    return _entitlement(customer, key, given) if given else Entitlement(key=key, feature=None)


_Given = list[tuple[Subscription, Feature]]


def _features(customer: Customer, now: datetime) -> Mapping[str, _Given]:
    """By key, the newest subscription first."""
    features: dict[str, _Given] = defaultdict(list)
    for subscription in _subscriptions(customer, now):
        for given in _given_by(subscription):
            for key, feature in given.items():
                features[key].append((subscription, feature))
    return features


def _subscriptions(customer: Customer, now: datetime) -> list[Subscription]:
    """Those that let their customer do anything, as they stand at `now`."""
    rows = Subscription.objects.filter(customer_id=customer.id, status__in=_IN_USE).order_by("-id")
    rows = rows.select_related(*RELATED)
    subscriptions = list(rows)
    if subscriptions_settle(subscriptions, now=now):
        subscriptions = list(rows.all())
    return [each for each in subscriptions if not _is_suspended(each)]


def _is_suspended(subscription: Subscription) -> bool:
    is_overdue = subscription.status == SubscriptionState.OVERDUE
    return is_overdue and not subscription.variant.allow_usage_while_overdue


def _given_by(subscription: Subscription) -> list[dict[str, Feature]]:
    version = subscription.variant.price_plan_version
    stored: list[Mapping[str, Any]] = [version.entitlements] if version else []
    return [features_parse(each) for each in (*stored, subscription.variant.plan.features)]


def _entitlement(customer: Customer, key: str, given: _Given) -> Entitlement:
    feature = merged([each for _, each in given])
    sources = list(dict.fromkeys(subscription for subscription, _ in given))
    return Entitlement(
        key=key, feature=feature, sources=sources, current_usage=_usage(customer, feature, sources[0])
    )


def _usage(customer: Customer, feature: Feature, newest: Subscription) -> Decimal | None:
    if feature.metric_key is None:
        return None
    metrics = BillableMetric.objects.filter(environment_id=customer.environment_id)
    computed = usage_compute(
        environment_id=customer.environment_id,
        customer_id=customer.id,
        metric_id=metrics.values_list("id", flat=True).get(key=feature.metric_key),
        begin=newest.current_period_start,
        end=newest.current_period_end,
    )
    return Decimal(computed.quantity or 0)
