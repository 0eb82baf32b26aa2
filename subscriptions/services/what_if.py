"""A price plan's past periods under a draft of it: before, after, who would pay less, who more. Changes nothing.

Before is what the periods come to as they were agreed, rated anew from the events; where they were invoiced it is
compared with that, to the cent. Customer by customer; the worker that takes over goes on behind the last one saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.selectors.invoices import last_lines
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.ids import uuid7
from customers.kernel.instants import instant_parse, instant_text
from customers.models import Customer, Job
from customers.services.jobs import Clock, JobWork, job_do, job_kind, job_start
from subscriptions.models import ChargeSeries, PricePlan, PricePlanVersion, PriceTerm
from subscriptions.selectors.billables import Billable, Prices, billables, billed_subscriptions
from subscriptions.selectors.price_plans import price_plan_version_get
from subscriptions.services.price_plans import PriceTerms, price_terms_check
from subscriptions.services.rating import Rated, stretches_rate

KIND: Final = "subscriptions.what_if"
#: So many customers are done while the caller waits.
AT_ONCE_MAX: Final = 20
_PAGE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfAsked:
    """The draft is a version of the price plan (its newest without one), or it with other charges, another minimum."""

    price_plan_key: str
    begin: datetime
    end: datetime
    version: int | None = None
    charges: Sequence[Mapping[str, Any]] | None = None
    minimum: Decimal | None = None


def what_if_start(*, caller: Caller, asked: WhatIfAsked, now: datetime, clock: Clock) -> Job:
    """Try it out on the periods that ended in (begin, end]: at once for few customers, else as a job.

    Raises PricePlanNotFound, InvalidPricePlan, ValidationFailed. `clock` is the wall clock.
    """
    end = min(asked.end, now)
    if asked.begin >= end:
        raise ValidationFailed(
            errors=[FieldError("from", "invalid", "Must be before the end, and in the past.")]
        )
    version = price_plan_version_get(
        environment_id=caller.environment_id, key=asked.price_plan_key, version=asked.version
    )
    charges, minimum_minor = _draft(version, asked)
    parameters = {
        "price_plan": str(version.price_plan_id),
        "currency": version.currency,
        "billing_period": version.billing_period,
        "charges": charges,
        "minimum": minimum_minor,
        "from": instant_text(asked.begin),
        "to": instant_text(end),
    }
    if _customers(version.price_plan_id, None)[: AT_ONCE_MAX + 1].count() <= AT_ONCE_MAX:
        return job_do(caller=caller, kind=KIND, parameters=parameters, clock=clock)
    return job_start(caller=caller, kind=KIND, parameters=parameters, now=clock())


def _draft(version: PricePlanVersion, asked: WhatIfAsked) -> tuple[list[dict[str, Any]], int | None]:
    if asked.charges is None:
        return version.charges, version.minimum_minor
    charges, minimum_minor = price_terms_check(
        environment_id=version.environment_id,
        terms=PriceTerms(
            currency=version.currency,
            billing_period=version.billing_period,
            charges=asked.charges,
            minimum=asked.minimum,
        ),
    )
    return [charge.to_json() for charge in charges], minimum_minor


@job_kind(KIND, resource="catalog")
def what_if(work: JobWork) -> dict[str, Any]:
    """Page by page."""
    trial = _Trial.of(work)
    checkpoint = work.checkpoint or {"after": None, "sums": {}}
    if work.checkpoint is None:
        total = _customers(trial.price_plan_id, None).count()
        work.save(done=0, checkpoint=checkpoint, total=total)
    while page := list(_customers(trial.price_plan_id, checkpoint["after"])[:_PAGE]):
        rows = [row for customer in page if (row := trial.row(customer)) is not None]
        sums = _added(checkpoint["sums"], rows)
        checkpoint = {"after": str(page[-1].id), "sums": sums}
        work.save(done=work.done + len(page), checkpoint=checkpoint, results=rows)
    return {**_NOTHING, **checkpoint["sums"], "currency": trial.draft.currency}


_NOTHING: Final = {
    "customers": 0,
    "periods": 0,
    "before": 0,
    "after": 0,
    "difference": 0,
    "invoiced": 0,
    "winners": 0,
    "losers": 0,
    "unchanged": 0,
    "mismatched": 0,
}


def _added(sums: Mapping[str, int], rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    added = Counter({**_NOTHING, **sums})
    for row in rows:
        added["customers"] += 1
        for name in ("periods", "before", "after", "difference", "invoiced"):
            added[name] += row[name] or 0
        added["winners"] += row["difference"] < 0
        added["losers"] += row["difference"] > 0
        added["unchanged"] += row["difference"] == 0
        added["mismatched"] += row["reproduced"] is False
    return dict(added)


def _customers(price_plan_id: UUID, after: str | None) -> QuerySet[Customer]:
    terms = PriceTerm.objects.filter(
        subscription__customer=OuterRef("id"), version__price_plan_id=price_plan_id
    )
    customers = Customer.objects.filter(Exists(terms))
    if after is not None:
        customers = customers.filter(id__gt=after)
    return customers.order_by("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    environment_id: UUID
    price_plan_id: UUID
    draft: PricePlanVersion
    begin: datetime
    end: datetime

    @classmethod
    def of(cls, work: JobWork) -> _Trial:
        asked = work.parameters
        price_plan = PricePlan.objects.get(id=asked["price_plan"])
        draft = PricePlanVersion(
            id=uuid7(),
            environment_id=work.environment_id,
            price_plan=price_plan,
            currency=asked["currency"],
            billing_period=asked["billing_period"],
            charges=asked["charges"],
            minimum_minor=asked["minimum"],
        )
        begin, end = instant_parse(asked["from"]), instant_parse(asked["to"])
        assert begin is not None and end is not None  # noqa: S101, PT018 - we wrote them
        return cls(
            environment_id=work.environment_id,
            price_plan_id=price_plan.id,
            draft=draft,
            begin=begin,
            end=end,
        )

    def row(self, customer: Customer) -> dict[str, Any] | None:
        """None for a customer none of whose periods ended in that time."""
        on_plan = PriceTerm.objects.filter(
            subscription=OuterRef("id"), version__price_plan_id=self.price_plan_id
        )
        subscriptions = list(billed_subscriptions(customer_id=customer.id).filter(Exists(on_plan)))
        found = self._over(billables(subscriptions, cutoff=self.end, since=self.begin))
        if not found:
            return None
        drafted = Prices(instead={self.price_plan_id: self.draft})
        instead = self._over(billables(subscriptions, cutoff=self.end, since=self.begin, prices=drafted))
        # All in one statement: both sides see the same events.
        rated = stretches_rate(
            environment_id=self.environment_id,
            customer_id=customer.id,
            stretches=[each.stretch for each in (*found, *instead)],
        )
        before, after = rated[: len(found)], rated[len(found) :]
        return self._compared(customer, found, before, after)

    def _over(self, found: Sequence[Billable]) -> list[Billable]:
        return [each for each in found if each.stretch.is_over and self._is_in_currency(each)]

    def _is_in_currency(self, each: Billable) -> bool:
        code = self.draft.currency.upper()
        return all(part.currency.upper() == code for part in each.stretch.parts)

    def _compared(
        self, customer: Customer, found: Sequence[Billable], before: Sequence[Rated], after: Sequence[Rated]
    ) -> dict[str, Any]:
        were, would = _total(before), _total(after)
        invoiced = _invoiced(found)
        return {
            "customer_id": customer.public_id,
            "external_customer_id": customer.external_id,
            "display_name": customer.display_name,
            "periods": len(found),
            "before": were,
            "after": would,
            "difference": would - were,
            "invoiced": invoiced,
            "reproduced": None if invoiced is None else invoiced == were,
        }


def _total(rated: Iterable[Rated]) -> int:
    return sum(rate.amount_minor for each in rated for rate in each.rates)


def _invoiced(found: Sequence[Billable]) -> int | None:
    """What the periods came to on invoices; None when one of them has not been invoiced yet."""
    if not all(each.is_closed for each in found):
        return None
    series = ChargeSeries.objects.filter(period__in=[each.period for each in found])
    return sum(line.rated_minor for line in last_lines(series.values_list("id", flat=True)).values())
