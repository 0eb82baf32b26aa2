"""What of a customer's subscriptions can be billed by an instant: periods, with the price terms that held in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from subscriptions.engine.calendar import calendar_step
from subscriptions.engine.charges import Charge, charges_parse
from subscriptions.engine.rating import Part, Stretch
from subscriptions.models import (
    PeriodInvoice,
    PricePlanVersion,
    PriceTerm,
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionState,
)

_SECOND: Final = timedelta(seconds=1)
_LAST_SECOND: Final = 59


@dataclass(frozen=True, slots=True, kw_only=True)
class Billable:
    """A period of a subscription as far as it can be billed. `is_closed`: a live invoice has billed all of it."""

    subscription: Subscription
    period: SubscriptionPeriod
    stretch: Stretch
    is_closed: bool

    @property
    def is_closing(self) -> bool:
        """Whether an invoice made now is its last, but for what comes late."""
        return self.stretch.is_over and not self.is_closed


@dataclass(slots=True)
class Prices:
    """Charges of versions, read once. `instead`: a draft that is tried out in place of what was agreed."""

    instead: Mapping[UUID, PricePlanVersion] = field(default_factory=dict)
    _read: dict[UUID, tuple[Charge, ...]] = field(default_factory=dict)

    def version_of(self, term: PriceTerm) -> PricePlanVersion:
        return self.instead.get(term.version.price_plan_id, term.version)

    def charges(self, version: PricePlanVersion) -> tuple[Charge, ...]:
        if version.id not in self._read:
            self._read[version.id] = charges_parse(version.charges, currency=version.currency)
        return self._read[version.id]


def billed_subscriptions(*, customer_id: UUID) -> QuerySet[Subscription]:
    """Those that money was ever agreed on for, ended ones too: they may have something left to bill."""
    with_terms = Exists(PriceTerm.objects.filter(subscription=OuterRef("id")))
    subscriptions = Subscription.objects.filter(with_terms, customer_id=customer_id)
    return subscriptions.select_related("variant").order_by("id")


def period_end_meant(subscriptions: Iterable[Subscription], cutoff: datetime) -> datetime:
    """The last second of a period means its end; any other cutoff itself."""
    if cutoff.second != _LAST_SECOND:
        return cutoff
    ends = SubscriptionPeriod.objects.filter(
        subscription__in=list(subscriptions), ends_at__gt=cutoff, ends_at__lte=cutoff + _SECOND
    )
    end: datetime | None = ends.values_list("ends_at", flat=True).first()
    return end or cutoff


def billables(
    subscriptions: Sequence[Subscription],
    *,
    cutoff: datetime,
    since: datetime | None = None,
    prices: Prices | None = None,
) -> list[Billable]:
    """Their periods that began by the cutoff (and ended after `since`): by subscription, the oldest first."""
    periods = SubscriptionPeriod.objects.filter(subscription__in=subscriptions, starts_at__lte=cutoff)
    if since is not None:
        periods = periods.filter(ends_at__gt=since)
    reader = _Reader(subscriptions, prices or Prices(), cutoff)
    found = (reader.billable(period) for period in periods.order_by("subscription_id", "starts_at"))
    return [each for each in found if each is not None]


class _Reader:
    """Everything about these subscriptions, read at once."""

    def __init__(self, subscriptions: Sequence[Subscription], prices: Prices, cutoff: datetime) -> None:
        self.subscriptions = {subscription.id: subscription for subscription in subscriptions}
        self.prices = prices
        self.cutoff = cutoff
        self.terms = _terms(subscriptions)
        self.closed, self.billed_until = _billed(subscriptions)
        self.contract_ends = set(
            SubscriptionChange.objects.filter(
                subscription__in=subscriptions, what="contract_ended"
            ).values_list("subscription_id", "occurred_at")
        )

    def billable(self, period: SubscriptionPeriod) -> Billable | None:
        subscription = self.subscriptions[period.subscription_id]
        stands_still = subscription.status == SubscriptionState.PAUSED and _is_current(subscription, period)
        stretch = self.stretch(subscription, period, stands_still=stands_still)
        if not stretch.parts:
            return None
        return Billable(
            subscription=subscription,
            period=period,
            stretch=stretch,
            is_closed=period.id in self.closed,
        )

    def stretch(
        self, subscription: Subscription, period: SubscriptionPeriod, *, stands_still: bool
    ) -> Stretch:
        end = max(period.ends_at, self.cutoff) if stands_still else period.ends_at
        # An earlier invoice may have looked further than this one is asked to.
        until = max(min(self.cutoff, end), self.billed_until.get(period.id, period.starts_at))
        full_end = self.full_end(subscription, period)
        return Stretch(
            starts_at=period.starts_at,
            full_end=full_end,
            until=until,
            is_over=period.ends_at <= until and not stands_still,
            parts=tuple(self.parts(subscription, period, end, full_end)),
        )

    def parts(
        self, subscription: Subscription, period: SubscriptionPeriod, end: datetime, full_end: datetime
    ) -> Iterable[Part]:
        held = [
            term
            for term in self.terms[subscription.id]
            if term.starts_at < end and (term.ends_at is None or term.ends_at > period.starts_at)
        ]
        for term in held:
            version = self.prices.version_of(term)
            yield Part(
                term=term.id,
                charges=self.prices.charges(version),
                currency=version.currency,
                minimum_minor=version.minimum_minor,
                starts_at=max(term.starts_at, period.starts_at),
                ends_at=min(term.ends_at or end, end),
                prorates=term.prorates or term.starts_at <= period.starts_at,
                fee_seconds=_fee_seconds(subscription, period, held[0], version, full_end),
            )

    def full_end(self, subscription: Subscription, period: SubscriptionPeriod) -> datetime:
        """Where it would end if no cancellation and no contract cut it."""
        variant, timezone = subscription.variant, subscription.timezone
        if _is_current(subscription, period):
            steps = subscription.anchor_steps
            uncut = calendar_step(subscription.anchor_at, variant.billing_cycle, timezone, steps)
            return max(uncut, period.ends_at)
        if (subscription.id, period.ends_at) in self.contract_ends:
            return calendar_step(period.starts_at, variant.billing_cycle, timezone, 1)
        return period.ends_at


def _is_current(subscription: Subscription, period: SubscriptionPeriod) -> bool:
    return period.starts_at == subscription.current_period_start


def _fee_seconds(
    subscription: Subscription,
    period: SubscriptionPeriod,
    first: PriceTerm,
    version: PricePlanVersion,
    full_end: datetime,
) -> int:
    """What a fee is for: the whole period, or, when a change brought another cycle, that cycle from its start."""
    if version.billing_period != first.version.billing_period:
        full_end = calendar_step(period.starts_at, version.billing_period, subscription.timezone, 1)
    return (full_end - period.starts_at) // _SECOND


def _terms(subscriptions: Sequence[Subscription]) -> dict[UUID, list[PriceTerm]]:
    terms: dict[UUID, list[PriceTerm]] = defaultdict(list)
    rows = PriceTerm.objects.filter(subscription__in=subscriptions)
    for term in rows.select_related("version__price_plan").order_by("starts_at"):
        terms[term.subscription_id].append(term)
    return terms


def _billed(subscriptions: Sequence[Subscription]) -> tuple[set[UUID], dict[UUID, datetime]]:
    """The periods that are closed, and how far each has been billed."""
    live = PeriodInvoice.objects.filter(is_live=True, period__subscription__in=subscriptions)
    rows = live.values("period_id").annotate(
        until=Max("billed_until"), closed=Max("billed_until", filter=Q(is_closing=True))
    )
    closed = {row["period_id"] for row in rows if row["closed"] is not None}
    return closed, {row["period_id"]: row["until"].astimezone(UTC) for row in rows}
