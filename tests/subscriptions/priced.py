"""Customers who owe money: their usage, told with timestamps of its own, and their invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from customers.kernel.database import environment_scope
from subscriptions.models import PeriodInvoice
from tests.clock import clock_set
from tests.conftest import Answer, Api, World
from tests.subscriptions.pricing import GROWTH, make_price_plan

APRIL = "2026-04-01T00:00:00Z"
#: When most stories take place: April is over.
MAY_2 = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
PER_CALL: dict[str, Any] = {"metric_key": "api_calls", "pricing_model": "per_unit", "unit_price": "0.01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A tenant's backend that sells usage for money."""

    api: Api
    world: World

    def time(self, now: datetime) -> None:
        clock_set(self.world, now)

    def metric(self, key: str = "api_calls", **terms: Any) -> None:
        body = {"key": key, "name": "API Calls" if key == "api_calls" else key.title(), **terms}
        assert self.api.post("/v1/metrics", {"aggregation": "sum", **body}).status == 201

    def customer(self, name: str = "cust_acme", **attributes: Any) -> str:
        answer = self.api.post("/v1/customers", {"id": name, "name": "Acme Corp", **attributes})
        assert answer.status == 201, answer
        return name

    def subscribe(
        self, customer: str = "cust_acme", plan: str = "plan_growth", start: str = APRIL, **terms: Any
    ) -> str:
        body = {"customer_id": customer, "plan_id": plan, "start_date": start, **terms}
        answer = self.api.post("/v1/subscriptions", body)
        assert answer.status == 201, answer
        return str(answer["id"])

    def use(
        self,
        value: int | str,
        when: str,
        *,
        customer: str = "cust_acme",
        metric: str = "api_calls",
        **more: Any,
    ) -> str:
        """An event of its own timestamp; its id."""
        body = {"customer_id": customer, "metric_key": metric, "value": value, "timestamp": when}
        answer = self.api.post("/v1/events", {"idempotency_key": uuid4().hex, **body, **more})
        assert answer.status == 202, answer
        return str(answer["event_id"])

    def bill(self, customer: str = "cust_acme", *, key: str | None = None, **asked: Any) -> Answer:
        return self.api.post("/v1/invoices", {"customer_id": customer, **asked}, idempotency_key=key)

    def billed(self, customer: str = "cust_acme", **asked: Any) -> Any:
        answer = self.bill(customer, **asked)
        assert answer.status == 201, answer
        return answer.json

    def void(self, invoice: str) -> Answer:
        return self.api.post(f"/v1/invoices/{invoice}/void", {"reason": "wrong"})

    def invoices(self) -> list[Any]:
        return list(self.api.get("/v1/invoices")["data"])

    def closing(self) -> int:
        """How many periods a live invoice has closed."""
        with environment_scope(self.world.id):
            return PeriodInvoice.objects.filter(is_live=True, is_closing=True).count()


def lines(invoice: Any) -> list[tuple[str, int]]:
    return [(line["description"], line["amount"]) for line in invoice["line_items"]]


def amounts(invoice: Any) -> list[int]:
    return [line["amount"] for line in invoice["line_items"]]


def growing(api: Api, world: World, *, now: datetime = MAY_2, **terms: Any) -> Seller:
    """A seller whose customer `cust_acme` has been on source 004's price plan since the first of April."""
    seller = Seller(api=api, world=world)
    seller.time(now)
    seller.metric()
    assert api.post("/v1/price-plans", {**GROWTH, **terms}).status == 201
    seller.customer()
    seller.subscribe()
    return seller


def charging(api: Api, world: World, *charges: dict[str, Any], now: datetime = MAY_2, **terms: Any) -> Seller:
    """The same of a price plan of these charges."""
    seller = Seller(api=api, world=world)
    seller.time(now)
    seller.metric()
    make_price_plan(api, "plan_growth", *charges, **terms)
    seller.customer()
    seller.subscribe()
    return seller
