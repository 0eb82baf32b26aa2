"""Make the demo tenant, or more customers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from billing.services.verification import verification_run
from config.demo.catalogue import METRICS
from config.demo.crowd import NOBODY, Crowd, crowd_gather
from config.demo.lives import DAYS, Life
from config.demo.money import money_earn
from config.demo.people import CUSTOMERS, DemoCustomer
from config.demo.plans import plans_make
from customers.kernel.caller import Caller
from customers.kernel.database import environment_scope
from customers.kernel.memory import forget_environment
from customers.models import Customer, Environment
from customers.services.environments import environment_now
from metering.models import BillableMetric
from metering.selectors.config import config_get
from metering.services.metrics import metric_create
from metering.services.rules import rule_create

TENANT: Final = "Northwind AI"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How many times everybody in the live and the test environment, and how busy they are."""

    test_rounds: int
    live_rounds: int
    busyness: float
    #: Beside them in the test environment.
    crowd: Crowd = NOBODY


SIZES: Final = {
    "small": Size(test_rounds=1, live_rounds=1, busyness=1.0),
    "medium": Size(test_rounds=8, live_rounds=8, busyness=2.5),
    # A million ledger entries and three million events, in some minutes.
    "large": Size(
        test_rounds=8,
        live_rounds=8,
        busyness=2.5,
        crowd=Crowd(customers=2_000, events=3_000_000),
    ),
}


def environment_fill(
    *,
    environment: Environment,
    rounds: int,
    busyness: float,
    people: tuple[DemoCustomer, ...],
    crowd: Crowd,
    progress: Progress,
) -> int:
    """Catalogue, customers and a month of their lives up to the environment's present. Returns how many events."""
    caller = Caller(environment_id=environment.id, actor="system:demo")
    ends_at = environment_now(environment)
    with environment_scope(environment.id):
        begins_at = ends_at - timedelta(days=DAYS + 2)
        _catalogue(caller, begins_at, ends_at - timedelta(days=9))
        variants = plans_make(caller=caller, now=begins_at)
        # A catalogue not committed yet is not announced yet either. What a life's transaction reads is not kept.
        forget_environment(environment.id)
        config_get(environment.id)
        lived = sum(
            _round(caller, variants, number, busyness, people, ends_at, progress)
            for number in _rounds_to_come(rounds)
        )
        lived += money_earn(caller=caller, ends_at=ends_at)
        if crowd == NOBODY:
            verification_run(environment_id=environment.id, actor="system:demo", now=ends_at)
        return lived + crowd_gather(caller=caller, crowd=crowd, ends_at=ends_at, progress=progress)


def _catalogue(caller: Caller, since: datetime, later: datetime) -> None:
    for metric in METRICS:
        if BillableMetric.objects.filter(key=metric.key).exists():
            continue
        metric_create(
            caller=caller, key=metric.key, name=metric.name, description=metric.description, now=since
        )
        rule_create(caller=caller, metric_key=metric.key, definition=metric.definition, now=since)
        if metric.later:
            rule_create(caller=caller, metric_key=metric.key, definition=metric.later, now=later)


def _rounds_to_come(rounds: int) -> range:
    """Everybody once is a round; those of a later run are numbered on."""
    done = Customer.objects.filter(external_id__startswith=CUSTOMERS[0].slug).count()
    return range(done + 1, done + rounds + 1)


def _round(
    caller: Caller,
    variants: Mapping[str, UUID],
    number: int,
    busyness: float,
    people: tuple[DemoCustomer, ...],
    ends_at: datetime,
    progress: Progress,
) -> int:
    suffix = "" if number == 1 else str(number)
    events = 0
    for person in people:
        busy = DemoCustomer(
            display_name=person.display_name,
            slug=person.slug,
            activity=person.activity * busyness,
            fate=person.fate,
            policy=person.policy,
        )
        seed = Random(f"{person.slug}{suffix}")  # noqa: S311 - a demo, no secret
        events += Life(
            caller=caller, person=busy, suffix=suffix, ends_at=ends_at, random=seed, variants=variants
        ).live()
        progress(f"{person.display_name or person.slug} {suffix}")
    return events
