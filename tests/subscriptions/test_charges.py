"""What a quantity costs: the agreed cases, brute force beside the arithmetic, and what is no charge."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.engine.charges import CHARGES_MAX, charges_parse
from subscriptions.errors import AmountTooLarge, InvalidPricePlan

VECTORS = json.loads((Path(__file__).resolve().parent.parent / "vectors" / "invoices.json").read_text())
GROWTH: list[dict[str, Any]] = [
    {
        "metric_key": "api_calls",
        "pricing_model": "tiered",
        "tiers": [
            {"up_to": 100000, "unit_price": 0},
            {"up_to": 1000000, "unit_price": Decimal("0.0001")},
            {"up_to": None, "unit_price": Decimal("0.00005")},
        ],
    },
    {
        "metric_key": None,
        "pricing_model": "flat_fee",
        "amount": Decimal("49.00"),
        "description": "Growth base fee",
    },
]


def charge_of(given, *, currency="usd"):
    is_fee = given["pricing_model"] == "flat_fee"
    return charges_parse([given if is_fee else {"metric_key": "m", **given}], currency=currency)[0]


def refused(*charges):
    with pytest.raises(InvalidPricePlan) as refusal:
        charges_parse(charges, currency="usd")
    return {(error.field, error.code) for error in refusal.value.errors}


@pytest.mark.parametrize("line", VECTORS["lines"])
def test_the_agreed_lines(line):
    rated = charge_of(line["charge"], currency=line["currency"]).rate(Decimal(line["quantity"]))
    assert rated.amount_minor == line["amount"]


def test_the_agreed_invoice_of_source_004():
    usage, fee = charges_parse(GROWTH, currency="usd")
    lines = [usage.rate(Decimal(1_200_000)).amount_minor, fee.rate(Decimal(1)).amount_minor]
    assert lines == VECTORS["invoice"]["lines"]
    assert sum(lines) == VECTORS["invoice"]["total_amount"]


def test_a_breakdown_tells_tier_by_tier_in_major_units():
    rated = charges_parse(GROWTH, currency="usd")[0].rate(Decimal(1_200_000))
    assert [list(tier.values()) for tier in rated.breakdown] == [
        ["tier", 1, "0", "100000", "100000", "0", "0"],
        ["tier", 2, "100000", "1000000", "900000", "0.0001", "90"],
        ["tier", 3, "1000000", None, "200000", "0.00005", "10"],
    ]
    assert list(rated.breakdown[0]) == ["kind", "tier", "from", "up_to", "quantity", "unit_price", "amount"]


def test_packages_begun_are_charged_whole():
    package = {"pricing_model": "package", "package_size": 1000, "package_price": "8"}
    amounts = [charge_of(package).rate(Decimal(n)).amount_minor for n in ("0", "0.5", "1000", "1000.5")]
    assert amounts == [0, 800, 800, 1600]


def test_usage_below_nothing_costs_nothing():
    assert charge_of({"pricing_model": "per_unit", "unit_price": "2"}).rate(Decimal(-3)).amount_minor == 0


def test_what_no_invoice_could_hold_is_refused():
    with pytest.raises(AmountTooLarge):
        charge_of({"pricing_model": "per_unit", "unit_price": 10**15}).rate(Decimal(10**20))


@pytest.mark.parametrize("charge", [*(line["charge"] for line in VECTORS["lines"]), *GROWTH])
def test_the_stored_form_reads_as_the_same_charge(charge):
    sent = charge_of(charge)
    assert charges_parse([json.loads(json.dumps(sent.to_json()))], currency="usd") == (sent,)


def test_stored_prices_are_text_and_keys_count_the_charges():
    usage, fee = (charge.to_json() for charge in charges_parse(GROWTH, currency="usd"))
    assert usage == {
        "key": "0",
        "metric_key": "api_calls",
        "pricing_model": "tiered",
        "tiers": [
            {"up_to": 100000, "unit_price": "0"},
            {"up_to": 1000000, "unit_price": "0.0001"},
            {"up_to": None, "unit_price": "0.00005"},
        ],
        "pay_in": "arrears",
    }
    assert fee == {
        "key": "1",
        "metric_key": None,
        "pricing_model": "flat_fee",
        "amount": "49",
        "pay_in": "arrears",
        "description": "Growth base fee",
    }


def test_each_fault_is_named_with_its_place():
    assert refused({"pricing_model": "free"}) == {("charges.0.pricing_model", "invalid")}
    assert refused({"pricing_model": "per_unit", "unit_price": -1}) == {
        ("charges.0.unit_price", "out-of-range"),
        ("charges.0.metric_key", "required"),
    }
    assert refused({"metric_key": "m", "pricing_model": "per_unit"}) == {("charges.0.unit_price", "required")}
    assert refused({"metric_key": "m", "pricing_model": "per_unit", "unit_price": 0.1}) == {
        ("charges.0.unit_price", "invalid")
    }
    assert refused(
        {"metric_key": "m", "pricing_model": "package", "package_size": 0, "package_price": 1}
    ) == {("charges.0.package_size", "out-of-range")}
    assert refused({"metric_key": "m", "pricing_model": "per_unit", "unit_price": 1, "amount": 2}) == {
        ("charges.0.amount", "unknown-field")
    }
    assert refused({"metric_key": "m", "pricing_model": "flat_fee", "amount": 1, "pay_in": "late"}) == {
        ("charges.0.metric_key", "invalid"),
        ("charges.0.pay_in", "invalid"),
    }
    assert refused("nonsense", {"pricing_model": "flat_fee", "amount": 1, "key": "minimum"}) == {
        ("charges.0", "invalid"),
        ("charges.1.key", "taken"),
    }
    assert refused(*[{"pricing_model": "flat_fee", "amount": 1}] * (CHARGES_MAX + 1)) == {
        ("charges", "too-many")
    }


@pytest.mark.parametrize(
    ("tiers", "fault"),
    [
        (None, ("charges.0.tiers", "invalid")),
        ([], ("charges.0.tiers", "invalid")),
        ([{"up_to": 5, "unit_price": 1}], ("charges.0.tiers.0.up_to", "not-open")),
        ([{"up_to": None, "unit_price": 1}] * 2, ("charges.0.tiers.0.up_to", "required")),
        (
            [{"up_to": 5, "unit_price": 1}, {"up_to": 5, "unit_price": 1}, {"unit_price": 1}],
            ("charges.0.tiers.1.up_to", "not-ascending"),
        ),
        ([{"unit_price": 1, "flat": 1}], ("charges.0.tiers.0.flat", "unknown-field")),
    ],
)
def test_tiers_ascend_and_end_open(tiers, fault):
    assert refused({"metric_key": "m", "pricing_model": "tiered", "tiers": tiers}) == {fault}


PRICES = st.decimals(min_value=0, max_value=100, places=4)


@given(
    bounds=st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True).map(sorted),
    prices=st.lists(PRICES, min_size=5, max_size=5),
    quantity=st.integers(0, 80),
    currency=st.sampled_from(["usd", "jpy", "kwd"]),
)
def test_tiers_come_to_what_unit_by_unit_adds_up_to(bounds, prices, quantity, currency):
    tiers = [
        {"up_to": up_to, "unit_price": str(price)}
        for up_to, price in zip([*bounds, None], prices, strict=False)
    ]
    minor = {"usd": 100, "jpy": 1, "kwd": 1000}[currency]

    def price_at(unit):
        return next(Fraction(t["unit_price"]) for t in tiers if t["up_to"] is None or unit <= t["up_to"])

    graduated = sum((price_at(unit) for unit in range(1, quantity + 1)), Fraction(0))
    volume = price_at(quantity) * quantity
    for model, exact in (("tiered", graduated), ("volume", volume)):
        rated = charge_of({"pricing_model": model, "tiers": tiers}, currency=currency).rate(Decimal(quantity))
        assert rated.amount_minor == int(exact * minor + Fraction(1, 2))
        assert sum(Fraction(line["amount"]) for line in rated.breakdown) == exact
