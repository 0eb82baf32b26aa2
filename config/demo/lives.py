"""What happened to each customer, in order, each thing at its own instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final
from uuid import UUID

from django.db import transaction

from billing.errors import InsufficientCredits
from billing.services.catch_up import catch_up_run
from billing.services.credits import credits_adjust, credits_grant
from config.demo.catalogue import METRICS, DemoMetric
from config.demo.people import NOTES, DemoCustomer
from config.demo.plans import FREE, GROWTH, PLATFORM
from customers.kernel.caller import Caller
from customers.models import Customer
from customers.services.customer_notes import customer_note_add
from customers.services.customers import customer_create, customer_delete
from metering.services.usage import UsageInput, usage_record
from subscriptions.services.renewals import subscription_renew
from subscriptions.services.subscriptions import subscription_create

DAYS: Final = 30
_MC: Final = 1000
_Deed = Callable[[Customer, datetime], None]
_PACKS: Final = ((250, 25_00), (1_000, 90_00), (5_000, 400_00))


@dataclass(slots=True, kw_only=True)
class Life:
    """One customer's month. `random` is seeded, so that a demo looks the same everywhere."""

    caller: Caller
    person: DemoCustomer
    suffix: str
    ends_at: datetime
    random: Random
    #: What Northwind AI sells, by name.
    variants: Mapping[str, UUID]
    events: int = 0

    @transaction.atomic
    def live(self) -> int:
        """Make the customer and everything that happened to it; returns how many events that were.

        At once for everybody else: schedulers that live in the present must not find a life that is still in the past.
        """
        begins_at = self.ends_at - timedelta(days=DAYS, minutes=self.random.randrange(600))
        customer = self._arrive(begins_at)
        self._first_grants(customer, begins_at)
        planned = [*self._subscribe(customer, begins_at), *self._campaigns()]
        planned.sort(key=lambda each: each[0], reverse=True)
        for at in self._instants(begins_at):
            while planned and planned[-1][0] <= at:
                moment, deed = planned.pop()
                deed(customer, moment)
            self._use(customer, at)
        catch_up_run(environment_id=self.caller.environment_id, customer_id=customer.id, now=self.ends_at)
        self._end(customer)
        return self.events

    def _subscribe(self, customer: Customer, now: datetime) -> Iterator[tuple[datetime, _Deed]]:
        """Who uses little has the free plan, who uses much a contract; most pay in advance, and renew in time."""
        if self.person.activity < 1:
            return
        is_large = self.person.activity >= 6 and not self.person.fate
        paying = PLATFORM if is_large else GROWTH
        made = subscription_create(
            caller=self.caller,
            customer=customer,
            offer=self.variants[paying if self.person.activity > 2 else FREE],
            start_date=self._since(now),
            contract_end=now + timedelta(days=DAYS + 20) if is_large else None,
            external_subscription_id=f"deal-{customer.external_id}",
            now=now,
        ).subscription
        if made.variant.is_prepaid and not self.person.fate:
            yield made.current_period_end - timedelta(days=1), partial(self._renew, made.id)

    def _since(self, now: datetime) -> datetime:
        """Not everybody's month ends on one day; one ended days ago, and nobody paid."""
        if self.person.fate == "overdue":
            return self.ends_at - timedelta(days=DAYS + 4)
        return now if self.person.fate else now - timedelta(days=self.random.randrange(25))

    def _renew(self, subscription_id: UUID, customer: Customer, now: datetime) -> None:
        subscription_renew(
            caller=self.caller,
            subscription_id=subscription_id,
            external_payment_id=f"pi_{customer.external_id}_2",
            now=now,
        )

    def _campaigns(self) -> Iterator[tuple[datetime, _Deed]]:
        if self.person.activity > 2 and self.person.fate not in {"low", "spent", "overdrawn"}:
            yield self.ends_at - timedelta(days=3, hours=5), self._campaign

    def _arrive(self, now: datetime) -> Customer:
        name = self.person.display_name
        domain = f"{self.person.slug}{self.suffix}.example"
        known = {
            "display_name": f"{name} {self.suffix}".strip(),
            "name": f"{name}, Inc.",
            "email": f"billing@{domain}",
        }
        settings = {
            "overage_policy": self.person.policy,
            "overage_limit_mc": 200_000 if self.person.fate == "overdrawn" else None,
            "low_balance_threshold_mc": 50_000 if name else None,
            "metadata": {"segment": "scale-up" if self.person.activity > 3 else "starter"} if name else {},
        }
        return customer_create(
            caller=self.caller,
            external_id=f"{self.person.slug}{self.suffix}",
            attributes={**(known if name else {}), **settings},
            now=now,
        )

    def _first_grants(self, customer: Customer, now: datetime) -> None:
        credits_grant(
            caller=self.caller,
            customer=customer,
            credits_mc=50 * _MC,
            source="promotional",
            priority=20,
            reason="Welcome credits",
            expires_at=now + timedelta(days=14),
            now=now,
        )
        if self.person.fate not in {"low", "spent", "overdrawn"}:
            self._top_up(customer, now + timedelta(minutes=20))

    def _campaign(self, customer: Customer, now: datetime) -> None:
        """A block on other terms, so that burn order has something to decide."""
        credits_grant(
            caller=self.caller,
            customer=customer,
            credits_mc=180 * _MC,
            source="promotional",
            priority=20,
            reason="Autumn campaign",
            expires_at=now + timedelta(days=12),
            now=now,
        )

    def _top_up(self, customer: Customer, now: datetime) -> None:
        amount, price = self.random.choice(_PACKS[: 3 if self.person.activity > 4 else 2])
        credits_grant(
            caller=self.caller,
            customer=customer,
            credits_mc=amount * _MC,
            source="topup",
            price_paid_minor=price,
            currency="USD",
            reason=f"Pack of {amount:,}",
            metadata={"order": f"ord_{self.random.randrange(10**6):06d}"},
            now=now,
        )

    def _instants(self, begins_at: datetime) -> Iterator[datetime]:
        """More on working days and in working hours, up to the present."""
        count = round(self.person.activity * DAYS)
        seconds = (self.ends_at - begins_at).total_seconds() - 3600
        drawn = sorted(self.random.random() for _ in range(count * 2))
        instants = (begins_at + timedelta(seconds=3600 + seconds * share) for share in drawn)
        busy = [at for at in instants if self.random.random() < _busyness(at)]
        yield from busy[-count:]

    def _use(self, customer: Customer, at: datetime) -> None:
        metric = self.random.choices(METRICS, weights=(40, 14, 20, 10, 6, 10))[0]
        try:
            self._record(customer, metric, at)
        except InsufficientCredits:
            if self.person.fate not in {"low", "spent", "overdrawn"}:
                self._top_up(customer, at)

    def _record(self, customer: Customer, metric: DemoMetric, at: datetime) -> None:
        number = self.events + 1
        usage_record(
            caller=self.caller,
            usage=UsageInput(
                by="id",
                reference=customer.public_id,
                metric_key=metric.key,
                units=self.random.randint(*metric.units),
                key=f"{customer.external_id}-{number:05d}",
                properties={"model": self.random.choice(("nw-large", "nw-small"))}
                if metric.key == "chat_message"
                else None,
            ),
            now=at,
        )
        self.events = number

    def _end(self, customer: Customer) -> None:
        by_hand = Caller(environment_id=self.caller.environment_id, actor="user:admin")
        for number, text in enumerate(NOTES.get(self.person.slug, ())):
            written_at = self.ends_at - timedelta(days=9, hours=-26 * number)
            customer_note_add(
                caller=by_hand, customer_id=customer.id, text=text, is_pinned=not number, now=written_at
            )
        if self.person.fate == "adjusted":
            reason = "Goodwill for the outage of the image service"
            credits_adjust(
                caller=by_hand, customer=customer, delta_mc=75 * _MC, reason=reason, now=self.ends_at
            )
        if self.person.fate == "deleted":
            customer_delete(
                caller=by_hand, customer_id=customer.id, reason="Closed their account", now=self.ends_at
            )


def _busyness(at: datetime) -> float:
    by_day = 0.35 if at.weekday() >= 5 else 1.0
    by_hour = 1.0 if 8 <= at.hour < 19 else 0.3
    return by_day * by_hour
