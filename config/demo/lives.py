"""What happened to each customer, in order, each thing at its own instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from billing.errors import InsufficientCredits
from billing.services.credits import credits_adjust, credits_grant
from config.demo.catalogue import METRICS, DemoMetric
from config.demo.people import DemoCustomer
from customers.kernel.caller import Caller
from customers.models import Customer
from customers.services.customers import customer_create, customer_delete
from metering.services.usage import UsageInput, usage_record

DAYS: Final = 30
_MC: Final = 1000
_PACKS: Final = ((250, 25_00), (1_000, 90_00), (5_000, 400_00))


@dataclass(slots=True, kw_only=True)
class Life:
    """One customer's month. `random` is seeded, so that a demo looks the same everywhere."""

    caller: Caller
    person: DemoCustomer
    suffix: str
    ends_at: datetime
    random: Random
    events: int = 0

    def live(self) -> int:
        """Make the customer and everything that happened to it; returns how many events that were."""
        begins_at = self.ends_at - timedelta(days=DAYS, minutes=self.random.randrange(600))
        customer = self._arrive(begins_at)
        self._first_grants(customer, begins_at)
        campaign_at = self.ends_at - timedelta(days=3, hours=5)
        for at in self._instants(begins_at):
            if campaign_at <= at and self.person.activity > 2:
                self._campaign(customer, campaign_at)
                campaign_at = self.ends_at + timedelta(days=1)
            self._use(customer, at)
        self._end(customer)
        return self.events

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
        if self.person.activity > 2:
            credits_grant(
                caller=self.caller,
                customer=customer,
                credits_mc=400 * _MC,
                source="plan_grant",
                priority=10,
                reason="Growth plan, monthly budget",
                expires_at=now + timedelta(days=DAYS + 9),
                now=now,
            )
        if self.person.fate not in {"low", "spent", "overdrawn"}:
            self._top_up(customer, now + timedelta(minutes=20))

    def _campaign(self, customer: Customer, now: datetime) -> None:
        """Two more blocks on other terms, so that burn order has something to decide."""
        if self.person.fate in {"low", "spent", "overdrawn"}:
            return
        for source, priority, credits_given, days, reason in (
            ("promotional", 20, 180, 12, "Autumn campaign"),
            ("plan_grant", 10, 600, 27, "Growth plan, monthly budget"),
        ):
            credits_grant(
                caller=self.caller,
                customer=customer,
                credits_mc=credits_given * _MC,
                source=source,
                priority=priority,
                reason=reason,
                expires_at=now + timedelta(days=days),
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
