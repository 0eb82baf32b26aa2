"""A bulk run that stands ready: on each line of input, `many` or `few`, it bills as many customers for a day more.

`python -m benchmarks.invoicing ENVIRONMENT MANY FEW` prints a JSON object for each. Every customer has a price plan
with a fee in arrears and a tiered charge, and three events a day for the first ten days.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import django
from django.db import transaction

django.setup()

from benchmarks.renewing import TOGETHER, customer_of, timed  # noqa: E402 - Django's settings come first
from customers.kernel.caller import Caller  # noqa: E402
from customers.kernel.clock import system_now  # noqa: E402
from customers.kernel.database import environment_scope  # noqa: E402
from customers.models import Customer  # noqa: E402
from customers.services.jobs import job_run  # noqa: E402
from metering.services.metrics import metric_create  # noqa: E402
from metering.services.usage import UsageInput, UsageWish  # noqa: E402
from metering.services.usage_batch import usages_record  # noqa: E402
from subscriptions.services.billing_bulk import customers_bill  # noqa: E402
from subscriptions.services.price_plans import PriceTerms, price_plan_create  # noqa: E402
from subscriptions.services.sales import PricePlanNamed  # noqa: E402
from subscriptions.services.subscriptions import subscription_create  # noqa: E402

_DAY: Final = timedelta(days=1)
_DAYS: Final = 10
_METRIC: Final = "invoiced_call"
_CHARGES: Final[tuple[dict[str, Any], ...]] = (
    {"pricing_model": "flat_fee", "amount": "49", "pay_in": "arrears", "description": "Base fee"},
    {
        "metric_key": _METRIC,
        "pricing_model": "tiered",
        "tiers": [{"up_to": 5, "unit_price": "0.20"}, {"up_to": None, "unit_price": "0.10"}],
    },
)


def main() -> None:
    environment_id, sizes = UUID(sys.argv[1]), {"many": int(sys.argv[2]), "few": int(sys.argv[3])}
    # A month that is over: days of it can be billed one after the other.
    begin = (system_now().replace(day=1) - 40 * _DAY).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    with environment_scope(environment_id):
        caller = Caller(environment_id=environment_id, actor="system:bench")
        metric_create(caller=caller, key=_METRIC, name="Invoiced calls", now=begin)
        for name, count in sizes.items():
            _subscribe(caller, name, count, begin)
    print(json.dumps("ready"), flush=True)
    days = dict.fromkeys(sizes, 0)
    for line in sys.stdin:
        name = line.strip()
        days[name] += 1
        print(json.dumps(_measured(caller, name, sizes[name], begin + days[name] * _DAY)), flush=True)


def _measured(caller: Caller, name: str, count: int, cutoff: datetime) -> dict[str, float]:
    with environment_scope(caller.environment_id):
        job = customers_bill(
            caller=caller, cutoff=cutoff, price_plan_key=name, now=system_now(), clock=system_now
        )
    _, took = timed(lambda: job_run(environment_id=caller.environment_id, job_id=job.id, clock=system_now))
    with environment_scope(caller.environment_id):
        job.refresh_from_db()
    if job.result != {"customers": count, "invoiced": count}:
        raise RuntimeError(f"the bulk run ended with {job.state} and {job.result}")
    return {"count": count, **took}


def _subscribe(caller: Caller, plan: str, count: int, begin: datetime) -> None:
    terms = PriceTerms(currency="usd", billing_period="monthly", charges=_CHARGES)
    price_plan_create(caller=caller, key=plan, name=plan.title(), terms=terms, now=begin)
    customers = [customer_of(caller, begin) for _ in range(count)]
    for first in range(0, count, TOGETHER):
        page = customers[first : first + TOGETHER]
        with transaction.atomic():
            for customer in Customer.objects.bulk_create(page):
                subscription_create(
                    caller=caller, customer=customer, offer=PricePlanNamed(key=plan), now=begin
                )
        _use(caller, page, begin)


def _use(caller: Caller, customers: list[Customer], begin: datetime) -> None:
    wishes = [
        UsageWish(
            caller=caller,
            usage=UsageInput(
                by="id",
                reference=str(customer.id),
                metric_key=_METRIC,
                units=1,
                key=uuid4().hex,
                timestamp=begin + number * _DAY / 3,
                needs_rule=False,
                may_create=False,
            ),
        )
        for customer in customers
        for number in range(3 * _DAYS)
    ]
    refused = [
        outcome
        for outcome in usages_record(environment_id=caller.environment_id, wishes=wishes, now=system_now())
        if isinstance(outcome, Exception)
    ]
    if refused:
        raise refused[0]


if __name__ == "__main__":
    main()
