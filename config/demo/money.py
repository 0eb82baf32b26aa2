"""Who is billed in money: a price plan of a fee and metered agent runs, and its customers with their invoices.

All lives at once, in the order of time, because invoices are numbered as they are issued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from django.db import transaction

from billing.models import Invoice, InvoiceStatus
from billing.services.invoice_settings import invoice_settings_update
from billing.services.manual_payments import invoice_mark_paid
from customers.kernel.caller import Caller
from customers.kernel.memory import forget_environment
from customers.models import Customer
from customers.services.customers import customer_create
from metering.services.metrics import metric_create
from metering.services.usage import UsageInput, UsageWish
from metering.services.usage_batch import usages_record
from subscriptions.models import PricePlan, Subscription
from subscriptions.services.billing_automatic import customer_invoice
from subscriptions.services.due_work import subscription_catch_up
from subscriptions.services.price_plans import PriceTerms, price_plan_create
from subscriptions.services.sales import PricePlanNamed
from subscriptions.services.subscriptions import subscription_create

METRIC: Final = "agent_run"
PRICE_PLAN: Final = "agents"
#: How long ago the first of them came.
DAYS: Final = 80
_TERMS: Final = PriceTerms(
    currency="usd",
    billing_period="monthly",
    charges=(
        {"pricing_model": "flat_fee", "amount": "49.00", "description": "Agents, base fee"},
        {
            "metric_key": METRIC,
            "pricing_model": "tiered",
            "description": "Agent runs",
            "tiers": [
                {"up_to": 500, "unit_price": "0"},
                {"up_to": 5000, "unit_price": "0.04"},
                {"up_to": None, "unit_price": "0.025"},
            ],
        },
    ),
    entitlements={"priority_support": True, "seats": 25},
)
_SELLER: Final = {
    "seller_name": "Northwind AI GmbH",
    "seller_address": "Lindenallee 12\n10115 Berlin\nGermany",
    "seller_tax_id": "DE811234567",
    "seller_email": "billing@northwind.example",
    "footer": "Bank: DE89 3704 0044 0532 0130 00 · Thank you.",
    "days_until_due": 14,
    # They pay by bank transfer.
    "charges_automatically": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Came so many days ago (`since`), has about so many `runs` a day, pays so many days after an invoice or never."""

    name: str
    slug: str
    address: str
    since: int
    runs: int
    #: One for each invoice, the first first; None: not yet.
    pays_after: tuple[int | None, ...]
    tax_rate: Decimal | None = None


PAYERS: Final = (
    Payer(
        name="Wren Robotics",
        slug="wren",
        address="4 Harbour Yard\nLeith EH6 6QQ\nUnited Kingdom",
        since=DAYS,
        runs=240,
        pays_after=(3, 5),
    ),
    Payer(
        name="Sable Freight",
        slug="sable",
        address="Hafenstraße 8\n20457 Hamburg\nGermany",
        since=DAYS - 4,
        runs=90,
        pays_after=(11, None),
        tax_rate=Decimal(19),
    ),
    Payer(
        name="Pelican Post",
        slug="pelican",
        address="220 Canal Street\nNew Orleans, LA 70130\nUSA",
        since=DAYS - 16,
        runs=35,
        pays_after=(9, None),
    ),
)

_Deed = Callable[[datetime], None]


@transaction.atomic
def money_earn(*, caller: Caller, ends_at: datetime) -> int:
    """The price plan, its customers and what they owe, unless they are there. Returns how many events that were."""
    if PricePlan.objects.filter(key=PRICE_PLAN).exists():
        return 0
    begins_at = ends_at - timedelta(days=DAYS, hours=3)
    metric_create(
        caller=caller, key=METRIC, name="Agent runs", description="One task done by an agent.", now=begins_at
    )
    # Not committed yet, and so not announced yet either.
    forget_environment(caller.environment_id)
    price_plan_create(caller=caller, key=PRICE_PLAN, name="Agents", terms=_TERMS, now=begins_at)
    invoice_settings_update(caller=caller, terms=_SELLER, now=begins_at)
    return _Story(caller=caller, ends_at=ends_at).tell()


@dataclass(slots=True, kw_only=True)
class _Story:
    """Everybody's deeds, done in the order of time."""

    caller: Caller
    ends_at: datetime
    random: Random = field(default_factory=lambda: Random("agents"))  # noqa: S311 - a demo, no secret
    customers: dict[str, Customer] = field(default_factory=dict)
    events: int = 0

    def tell(self) -> int:
        days = [self.ends_at - timedelta(days=day, hours=-1) for day in range(DAYS, 0, -2)]
        planned: list[tuple[datetime, _Deed]] = [
            *((self.ends_at - timedelta(days=each.since), self._arrival(each)) for each in PAYERS),
            *((day, self._use) for day in days),
        ]
        for at, deed in sorted(planned, key=lambda each: each[0]):
            self._settle(at)
            deed(at)
        self._settle(self.ends_at)
        return self.events

    def _settle(self, now: datetime) -> None:
        """Invoices of periods that are over by now, and the payments that came in."""
        environment_id = self.caller.environment_id
        over = Subscription.objects.filter(customer__in=self.customers.values(), next_due_at__lte=now)
        for customer_id in list(over.order_by("next_due_at").values_list("customer_id", flat=True)):
            subscription_catch_up(environment_id=environment_id, customer_id=customer_id, now=now)
            customer_invoice(environment_id=environment_id, customer_id=customer_id, now=now)
        for invoice in Invoice.objects.filter(status=InvoiceStatus.ISSUED).select_related("customer"):
            self._pay(invoice, now)

    def _pay(self, invoice: Invoice, now: datetime) -> None:
        payer = next(each for each in PAYERS if each.slug == invoice.customer.external_id)
        before = Invoice.objects.filter(customer=invoice.customer, status=InvoiceStatus.PAID).count()
        days = payer.pays_after[before]
        if days is None or invoice.issued_at is None:
            return
        paid_at = invoice.issued_at + timedelta(days=days, hours=4)
        if paid_at <= now:
            invoice_mark_paid(
                caller=Caller(environment_id=self.caller.environment_id, actor="user:admin"),
                invoice_id=invoice.id,
                paid_at=paid_at,
                reference=f"SEPA {invoice.number}",
                reason="Seen on the bank statement",
                now=paid_at,
            )

    def _arrival(self, payer: Payer) -> _Deed:
        return lambda at: self._arrive(payer, at)

    def _arrive(self, payer: Payer, now: datetime) -> None:
        attributes = {
            "display_name": payer.name,
            "name": f"{payer.name} Ltd",
            "email": f"accounts@{payer.slug}.example",
            "billing_address": payer.address,
            "tax_rate": payer.tax_rate,
        }
        customer = customer_create(caller=self.caller, external_id=payer.slug, attributes=attributes, now=now)
        self.customers[payer.slug] = customer
        subscription_create(
            caller=self.caller,
            customer=customer,
            offer=PricePlanNamed(key=PRICE_PLAN),
            invoices_automatically=True,
            now=now,
        )

    def _use(self, now: datetime) -> None:
        """A few events of each, of two days' size."""
        wishes = [
            UsageWish(caller=self.caller, usage=self._event(payer))
            for payer in PAYERS
            if payer.slug in self.customers
            for _ in range(2)
        ]
        if wishes:
            usages_record(environment_id=self.caller.environment_id, wishes=wishes, now=now)

    def _event(self, payer: Payer) -> UsageInput:
        self.events += 1
        return UsageInput(
            by="id",
            reference=self.customers[payer.slug].public_id,
            metric_key=METRIC,
            units=self.random.randint(payer.runs // 3, payer.runs),
            key=f"{METRIC}-{self.events:05d}",
            needs_rule=False,
            may_create=False,
        )
