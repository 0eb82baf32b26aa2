"""What usage would cost: a customer's of some time, or one that somebody only thinks of. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from customers.errors import FieldError, ValidationFailed
from customers.models import Customer
from metering.models import BillableMetric
from subscriptions.engine.charges import MINIMUM, Charge, charges_parse
from subscriptions.engine.rating import Part, Rate, Stretch, stretch_rate
from subscriptions.errors import CurrencyRequired, NothingToBill
from subscriptions.models import PricePlanVersion, PriceTerm
from subscriptions.services.billing_lines import usage_text
from subscriptions.services.rating import Rated, stretches_rate

_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NOBODY: Final = UUID(int=0)
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """A line as an invoice would have it."""

    kind: str
    description: str
    metric_key: str | None
    quantity: Decimal
    amount_minor: int
    breakdown: Sequence[dict[str, Any]]
    term: PriceTerm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    currency: str
    lines: Sequence[PricedLine]

    @property
    def total_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)


def pricing_calculate(
    *, customer: Customer, begin: datetime, end: datetime, currency: str | None = None
) -> Priced:
    """What the customer's usage of [begin, end) costs, with fees and minimums, as if that were one billing period.

    Raises NothingToBill, CurrencyRequired, AmountTooLarge.
    """
    terms = _terms(customer, begin, end)
    chosen = _currency(terms, currency)
    by_subscription: dict[UUID, list[PriceTerm]] = {}
    for term in terms:
        by_subscription.setdefault(term.subscription_id, []).append(term)
    rated = stretches_rate(
        environment_id=customer.environment_id,
        customer_id=customer.id,
        stretches=[_stretch(each, begin, end) for each in by_subscription.values()],
    )
    named = {term.id: term for term in terms}
    lines = [
        _line(rate, each.metric_of(rate), named[rate.due.part.term])
        for each in rated
        for rate in each.rates
        if rate.due.part.currency.upper() == chosen.upper() and _is_shown(rate)
    ]
    return Priced(currency=chosen, lines=lines)


def pricing_preview(*, version: PricePlanVersion, quantities: Mapping[str, Decimal]) -> Priced:
    """What these quantities, by metric, cost in one period on a price plan. Raises ValidationFailed, AmountTooLarge."""
    charges = charges_parse(version.charges, currency=version.currency)
    return charges_preview(
        environment_id=version.environment_id,
        charges=charges,
        currency=version.currency,
        minimum_minor=version.minimum_minor,
        quantities=quantities,
    )


def charges_preview(
    *,
    environment_id: UUID,
    charges: Sequence[Charge],
    currency: str,
    minimum_minor: int | None,
    quantities: Mapping[str, Decimal],
) -> Priced:
    """The same of charges that need not be anybody's yet."""
    keys = {charge.metric_key for charge in charges if charge.metric_key is not None}
    _check_metrics(quantities, keys)
    stretch = _whole_period(charges, currency, minimum_minor)
    used = {(_NOBODY, charge.key): quantities.get(charge.metric_key or "", _ZERO) for charge in charges}
    found = BillableMetric.objects.filter(environment_id=environment_id, key__in=keys)
    rated = Rated(
        rates=stretch_rate(stretch, used),
        measures={},
        metrics={metric.key: metric for metric in found},
        snapshot="",
    )
    lines = [_line(rate, rated.metric_of(rate), None) for rate in rated.rates if _is_shown(rate)]
    return Priced(currency=currency, lines=lines)


def _terms(customer: Customer, begin: datetime, end: datetime) -> list[PriceTerm]:
    terms = PriceTerm.objects.filter(subscription__customer=customer, starts_at__lt=end)
    terms = terms.exclude(ends_at__lte=begin).select_related("version__price_plan", "subscription")
    return list(terms.order_by("subscription_id", "starts_at"))


def _currency(terms: Sequence[PriceTerm], wanted: str | None) -> str:
    known = {term.version.currency.upper(): term.version.currency for term in terms}
    if wanted is not None:
        known = {code: shown for code, shown in known.items() if code == wanted.upper()}
    if not known:
        raise NothingToBill
    if len(known) > 1:
        raise CurrencyRequired(extra={"currencies": sorted(known)})
    return next(iter(known.values()))


def _stretch(terms: Sequence[PriceTerm], begin: datetime, end: datetime) -> Stretch:
    return Stretch(
        starts_at=begin,
        full_end=end,
        until=end,
        is_over=True,
        parts=tuple(
            Part(
                term=term.id,
                charges=charges_parse(term.version.charges, currency=term.version.currency),
                currency=term.version.currency,
                minimum_minor=term.version.minimum_minor,
                starts_at=max(term.starts_at, begin),
                ends_at=min(term.ends_at or end, end),
                prorates=True,
                fee_seconds=(end - begin) // _SECOND,
            )
            for term in terms
        ),
    )


def _whole_period(charges: Sequence[Charge], currency: str, minimum_minor: int | None) -> Stretch:
    end = _EPOCH + _SECOND
    part = Part(
        term=_NOBODY,
        charges=tuple(charges),
        currency=currency,
        minimum_minor=minimum_minor,
        starts_at=_EPOCH,
        ends_at=end,
        prorates=True,
        fee_seconds=1,
    )
    return Stretch(starts_at=_EPOCH, full_end=end, until=end, is_over=True, parts=(part,))


def _check_metrics(quantities: Mapping[str, Decimal], keys: set[str]) -> None:
    message = "The price plan charges no such metric."
    errors = [
        FieldError(f"quantities.{key}"[:200], "metric-not-charged", message)
        for key in quantities
        if key not in keys
    ]
    if errors:
        raise ValidationFailed(errors=errors)


def _is_shown(rate: Rate) -> bool:
    return rate.due.charge_key != MINIMUM or rate.amount_minor > 0


def _line(rate: Rate, metric: BillableMetric | None, term: PriceTerm | None) -> PricedLine:
    charge = rate.due.charge
    if charge is None:
        description = "Minimum charge"
    elif metric is None:
        description = charge.description or charge.metric_key or "Base fee"
    else:
        description = charge.description or usage_text(metric, charge.pricing_model, rate.quantity)
    return PricedLine(
        kind=rate.due.kind,
        description=description,
        metric_key=charge.metric_key if charge else None,
        quantity=rate.quantity,
        amount_minor=rate.amount_minor,
        breakdown=rate.breakdown,
        term=term,
    )
