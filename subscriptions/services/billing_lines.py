"""From what periods come to, to what is still to be billed of them: the lines of an invoice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.models import InvoiceLine
from billing.selectors.invoices import last_lines
from billing.services.invoices import LineDraft
from customers.kernel.amounts import units_shown
from metering.models import BillableMetric
from subscriptions.engine.rating import Due, Key, Rate
from subscriptions.models import ChargeSeries
from subscriptions.selectors.billables import Billable
from subscriptions.services.rating import Rated

_DESCRIPTION_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one invoice bills of one period."""

    billable: Billable
    lines: Sequence[LineDraft]
    is_closing: bool

    @property
    def is_worth_an_invoice(self) -> bool:
        return any(line.amount_minor for line in self.lines) or (self.is_closing and bool(self.lines))


def series_ensure(rated: Iterable[tuple[Billable, Rated]], *, now: datetime) -> dict[tuple[UUID, Key], UUID]:
    """The series of everything that is due, by period and key."""
    periods = [(billable, [rate.due for rate in each.rates]) for billable, each in rated]
    ChargeSeries.objects.bulk_create(
        (_series(billable, due, now) for billable, dues in periods for due in dues), ignore_conflicts=True
    )
    rows = ChargeSeries.objects.filter(period__in=[billable.period for billable, _ in periods])
    return {(row.period_id, (row.term_id, row.charge_key)): row.id for row in rows}


def _series(billable: Billable, due: Due, now: datetime) -> ChargeSeries:
    return ChargeSeries(
        environment_id=billable.period.environment_id,
        subscription_id=billable.subscription.id,
        period=billable.period,
        term_id=due.part.term,
        charge_key=due.charge_key,
        created_at=now,
    )


def bills_make(rated: Sequence[tuple[Billable, Rated]], *, currency: str, now: datetime) -> list[Bill]:
    """What is to be billed in one currency, period by period; periods with nothing to bill are left out."""
    series = series_ensure(rated, now=now)
    last = last_lines(series.values())
    maker = _Maker(series=series, last=last, currency=currency.upper())
    return [bill for billable, each in rated if (bill := maker.bill(billable, each)) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    series: Mapping[tuple[UUID, Key], UUID]
    last: Mapping[UUID, InvoiceLine]
    currency: str

    def bill(self, billable: Billable, rated: Rated) -> Bill | None:
        lines = [
            self.line(billable, rated, rate)
            for rate in rated.rates
            if self.is_in_currency(rate) and self.is_to_bill(billable, rate)
        ]
        if not lines:
            return None
        return Bill(billable=billable, lines=lines, is_closing=self.is_closing(billable, rated))

    def previous(self, billable: Billable, rate: Rate) -> InvoiceLine | None:
        return self.last.get(self.series[billable.period.id, rate.due.key])

    def is_in_currency(self, rate: Rate) -> bool:
        return rate.due.part.currency.upper() == self.currency

    def is_to_bill(self, billable: Billable, rate: Rate) -> bool:
        """The invoice that closes a period shows its usage even when that costs nothing; no other does."""
        previous = self.previous(billable, rate)
        if rate.amount_minor != (previous.rated_minor if previous else 0):
            return True
        if rate.due.kind == "usage":
            counted = previous.quantity if previous else Decimal(0)
            return billable.is_closing or rate.quantity != counted
        return previous is None and rate.due.kind == "fee" and rate.details["seconds"] > 0

    def is_closing(self, billable: Billable, rated: Rated) -> bool:
        """Unless something of the period is to be billed in another currency yet."""
        others = [rate for rate in rated.rates if not self.is_in_currency(rate)]
        return billable.is_closing and not any(self.is_to_bill(billable, rate) for rate in others)

    def line(self, billable: Billable, rated: Rated, rate: Rate) -> LineDraft:
        due, metric = rate.due, rated.metric_of(rate)
        previous = self.previous(billable, rate)
        is_adjustment = billable.is_closed or (previous is not None and due.kind == "fee")
        return LineDraft(
            kind=due.kind,
            description=_described(rate, metric, is_adjustment=is_adjustment),
            quantity=rate.quantity,
            series=self.series[billable.period.id, due.key],
            rated_minor=rate.amount_minor,
            previous=previous,
            period_start=due.starts_at,
            period_end=max(due.ends_at, due.starts_at),
            subscription_id=billable.subscription.id,
            metric_key=metric.key if metric else "",
            is_adjustment=is_adjustment,
            snapshot=rated.snapshot if metric else "",
            details=rated.details(rate),
        )


def _described(rate: Rate, metric: BillableMetric | None, *, is_adjustment: bool) -> str:
    text = _text(rate, metric)
    if is_adjustment or (rate.due.kind == "fee" and rate.details["seconds"] < rate.details["of_seconds"]):
        text = f"{text}, {rate.due.starts_at:%Y-%m-%d} to {rate.due.ends_at:%Y-%m-%d}"
    return (f"Adjustment: {text}" if is_adjustment else text)[:_DESCRIPTION_MAX]


def _text(rate: Rate, metric: BillableMetric | None) -> str:
    charge = rate.due.charge
    if charge is None:
        return "Minimum charge"
    if metric is None:
        return charge.description or "Base fee"
    return charge.description or usage_text(metric, charge.pricing_model, rate.quantity)


def usage_text(metric: BillableMetric, pricing_model: str, quantity: Decimal) -> str:
    """`API Calls — tiered usage (1,200,000 calls)`"""
    model = "" if pricing_model == "per_unit" else f"{pricing_model} "
    shown = units_shown(quantity)
    counted = f"{shown:,}" if isinstance(shown, int) else shown
    return f"{metric.name} — {model}usage ({counted} {_unit(metric.name)})"


def _unit(name: str) -> str:
    """What a metric's name ends with, when that is a plural; a look-alike such as GB is none."""
    word = name.rpartition(" ")[2]
    is_plural = word.isalpha() and len(word) > 2 and word.endswith("s") and not word.isupper()
    return word.lower() if is_plural else "units"
