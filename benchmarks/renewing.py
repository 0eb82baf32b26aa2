"""A scheduler that stands ready: on each line of input, `many` or `few`, it advances as many subscriptions by a period.

`python -m benchmarks.renewing ENVIRONMENT MANY FEW` prints a JSON object for each. Hourly postpaid subscriptions with a
budget that ends with its period; those of a group are all due at one instant.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

import django
from django.db import transaction

django.setup()

from customers.kernel.caller import Caller  # noqa: E402 - Django's settings come first
from customers.kernel.clock import system_now  # noqa: E402
from customers.kernel.database import environment_scope  # noqa: E402
from customers.kernel.ids import uuid7  # noqa: E402
from customers.models import Customer  # noqa: E402
from subscriptions.models import PlanVariant  # noqa: E402
from subscriptions.services.credit_grants import credit_grant_create  # noqa: E402
from subscriptions.services.due_work import subscriptions_advance  # noqa: E402
from subscriptions.services.plan_variants import variant_create  # noqa: E402
from subscriptions.services.plans import plan_create  # noqa: E402
from subscriptions.services.subscriptions import subscription_create  # noqa: E402

_HOUR: Final = timedelta(hours=1)
_JUST_BEFORE: Final = timedelta(microseconds=1)
#: Subscriptions made in one transaction: what making them takes is not measured, only waited for.
TOGETHER: Final = 100

Done = TypeVar("Done")


def main() -> None:
    environment_id, sizes = UUID(sys.argv[1]), {"many": int(sys.argv[2]), "few": int(sys.argv[3])}
    begin = system_now() - timedelta(minutes=40)
    begins = {"many": begin, "few": begin + timedelta(minutes=20)}
    with environment_scope(environment_id):
        caller = Caller(environment_id=environment_id, actor="system:bench")
        variant = _sold(caller, begin)
        for name, count in sizes.items():
            _subscribe(caller, variant, count, begins[name])
    print(json.dumps("ready"), flush=True)
    now = begins["few"]
    for line in sys.stdin:
        name = line.strip()
        hours = (now - begins[name]) // _HOUR + 1
        now = begins[name] + hours * _HOUR
        print(json.dumps(_measured(sizes[name], now)), flush=True)


def _measured(count: int, now: datetime) -> dict[str, float]:
    # The other group's periods end in between, and are not counted.
    subscriptions_advance(now=now - _JUST_BEFORE)
    done, took = timed(lambda: subscriptions_advance(now=now))
    if done != count:
        raise RuntimeError(f"{done} subscriptions were advanced, not {count}")
    return {"count": count, **took}


def timed(deed: Callable[[], Done]) -> tuple[Done, dict[str, float]]:
    """What was done, and what it took of time, processor and memory."""
    began, busy = time.perf_counter(), time.process_time()
    done = deed()
    return done, {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - busy,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _sold(caller: Caller, now: datetime) -> PlanVariant:
    plan = plan_create(caller=caller, terms={"name": "Renewals"}, now=now)
    terms = {"name": "Hourly", "billing_cycle": "hourly", "billing_mode": "postpaid"}
    variant = variant_create(caller=caller, plan_id=plan.id, terms=terms, now=now)
    grant = {
        "credits_mc": 100_000,
        "grant_type": "recurring",
        "grant_interval": "billing_cycle",
        "source": "plan_grant",
        "expires_at_interval_end": True,
    }
    credit_grant_create(caller=caller, plan_id=plan.id, variant_id=variant.id, terms=grant, now=now)
    return variant


def _subscribe(caller: Caller, variant: PlanVariant, count: int, now: datetime) -> None:
    customers = [customer_of(caller, now) for _ in range(count)]
    for first in range(0, count, TOGETHER):
        with transaction.atomic():
            for customer in Customer.objects.bulk_create(customers[first : first + TOGETHER]):
                subscription_create(caller=caller, customer=customer, offer=variant.id, now=now)


def customer_of(caller: Caller, now: datetime) -> Customer:
    """Not stored yet."""
    name, key = f"renewing-{uuid4().hex}", uuid7()
    return Customer(
        id=key,
        public_id=str(key),
        environment_id=caller.environment_id,
        external_id=name,
        external_key=name,
        created_at=now,
        updated_at=now,
    )


if __name__ == "__main__":
    main()
