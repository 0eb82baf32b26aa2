"""However events come, the invoice is the same; however plans change, a period's fees add up to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel.ids import typeid_parse
from tests.conftest import Api, Character, make_character
from tests.subscriptions.priced import Seller, amounts, charging
from tests.subscriptions.pricing import fee, make_price_plan

APRIL = datetime.fromisoformat("2026-04-01T00:00:00+00:00")
SECONDS = 30 * 86_400
CHARGES: list[dict[str, Any]] = [
    {
        "metric_key": "api_calls",
        "pricing_model": "tiered",
        "tiers": [{"up_to": 50, "unit_price": "0.013"}, {"up_to": None, "unit_price": "0.007"}],
    },
    {"metric_key": "peak", "pricing_model": "volume", "tiers": [{"up_to": None, "unit_price": "0.31"}]},
    {"metric_key": "people", "pricing_model": "package", "package_size": 2, "package_price": "1.5"},
    {"metric_key": "latency", "pricing_model": "per_unit", "unit_price": "0.0333"},
    {"metric_key": "seats", "pricing_model": "per_unit", "unit_price": "0.77"},
]
METRICS: dict[str, dict[str, Any]] = {
    "peak": {"aggregation": "max"},
    "people": {"aggregation": "unique_count", "aggregation_property": "user_id"},
    "latency": {"aggregation": "percentile", "percentile": 95},
    "seats": {"aggregation": "last"},
}
_names = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event, and how the world is told of it: in which place, how often, before or after an early invoice."""

    metric: str
    value: int
    second: int
    user: str
    rank: int
    times: int
    is_late: bool
    is_voided: bool


TOLD = st.builds(
    Told,
    metric=st.sampled_from(["api_calls", *METRICS]),
    value=st.integers(1, 40),
    second=st.integers(0, SECONDS - 1),
    user=st.sampled_from("abcd"),
    rank=st.integers(0, 99),
    times=st.integers(1, 2),
    is_late=st.booleans(),
    is_voided=st.booleans(),
)


def sold() -> tuple[Character, Seller]:
    character = make_character("Shuffled")
    api = Api(character.test.secret)
    for key, terms in METRICS.items():
        assert api.post("/v1/metrics", {"key": key, "name": key.title(), **terms}).status == 201
    return character, charging(api, character.test, *CHARGES, fee("49"))


def tell(seller: Seller, customer: str, events: list[tuple[str, Told]]) -> None:
    """In batches, each item for itself, some of them again; what is to be voided is voided."""
    items = [
        {
            "customer_id": customer,
            "metric_key": event.metric,
            "value": event.value,
            "timestamp": (APRIL + timedelta(seconds=event.second)).isoformat().replace("+00:00", "Z"),
            "idempotency_key": f"{customer}-{key}",
            "properties": {"user_id": event.user},
        }
        for key, event in events
        for _ in range(event.times)
    ]
    if not items:
        return
    results = seller.api.post("/v1/events/batch", {"events": items})["results"]
    assert {result["status"] for result in results} <= {"accepted", "duplicate"}, results
    ids = {result["idempotency_key"]: result["event_id"] for result in results}
    for key, event in events:
        if event.is_voided:
            voided = seller.api.post(
                f"/v1/events/{ids[f'{customer}-{key}']}/void", {"reason": "x"}, idempotency_key=uuid4().hex
            )
            assert voided.status == 200


def subscriber(seller: Seller) -> str:
    name = seller.customer(f"cust_{next(_names)}")
    seller.subscribe(name)
    return name


_world: list[Seller] = []


def world() -> Seller:
    if not _world:
        _world.append(sold()[1])
    return _world[0]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.lists(TOLD, max_size=14))
def test_any_order_repetition_and_delay_of_the_same_events_comes_to_the_same(told):
    # Of two at one instant the later one is last: so that there is one answer, no two are.
    told = list({event.second: event for event in told}.values())
    named = [(f"e{index}", event) for index, event in enumerate(told)]
    seller = world()
    plain, shuffled = subscriber(seller), subscriber(seller)

    # given: once everything in time and in order, before the only invoice
    tell(seller, plain, sorted(named, key=lambda each: each[1].second))
    in_time = seller.billed(plain, cutoff_date="2026-05-01T00:00:00Z")

    # when: in any order, some late, after invoices inside the period and at its end
    early = [each for each in named if not each[1].is_late]
    tell(seller, shuffled, sorted(early, key=lambda each: each[1].rank))
    seller.bill(shuffled, cutoff_date="2026-04-12T10:20:30Z")
    seller.billed(shuffled, cutoff_date="2026-05-01T00:00:00Z")
    late = [each for each in named if each[1].is_late]
    tell(seller, shuffled, sorted(late, key=lambda each: each[1].rank))
    seller.bill(shuffled)

    # then
    invoices = seller.api.get(f"/v1/customers/{shuffled}/invoices")["data"]
    assert sum(invoice["subtotal"] for invoice in invoices) == in_time["subtotal"]
    assert all(sum(amounts(invoice)) == invoice["subtotal"] for invoice in (in_time, *invoices))
    assert rated(invoices) == rated([in_time])


def rated(invoices: list[Any]) -> dict[str, int]:
    """What each metric, and the fee, came to over all invoices."""
    found: dict[str, int] = {}
    for invoice in invoices:
        for line in invoice["line_items"]:
            name = line["metric_key"] or line["kind"]
            found[name] = found.get(name, 0) + line["amount"]
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seconds=st.lists(st.integers(1, SECONDS - 1), max_size=4, unique=True).map(sorted))
def test_equal_fees_of_any_chain_of_changes_add_up_to_one(seconds):
    character = make_character("Changing")
    api = Api(character.test.secret)
    seller = Seller(api=api, world=character.test)
    seller.time(APRIL)
    for plan in ("plan_growth", "plan_scale"):
        make_price_plan(api, plan, fee("49.99"))
    seller.customer()
    subscription = seller.subscribe()
    assert typeid_parse("sub", subscription)
    for index, second in enumerate(seconds):
        seller.time(APRIL + timedelta(seconds=second))
        body = {"plan_id": ("plan_scale", "plan_growth")[index % 2], "effective": "immediate"}
        changed = api.post(f"/v1/subscriptions/{subscription}/change", body)
        assert changed.status == 200, changed
    seller.time(APRIL + timedelta(days=31))

    invoice = seller.billed(cutoff_date="2026-05-01T00:00:00Z")

    assert invoice["total_amount"] == sum(amounts(invoice)) == 4999
    assert len(invoice["line_items"]) == len(seconds) + 1
