"""Prices against brute force: any terms, any cycle, any split."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metering.engine.pricing import Rate, affordable_units, breakdown, cost, definition_parse, steady
from tests.metering.pricing_by_hand import cost_by_hand

prices = st.one_of(
    st.integers(0, 3),
    st.integers(0, 2000),
    st.decimals(0, 20, places=3, allow_nan=False),
    st.decimals(0, 1, places=10, allow_nan=False),
).map(str)
quantities = st.one_of(
    st.integers(0, 60).map(Decimal),
    st.decimals(0, 60, places=2, allow_nan=False),
    st.decimals(0, 2, places=10, allow_nan=False),
)
budgets = st.one_of(st.integers(-10, 200), st.integers(0, 100_000))


@st.composite
def tier_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    bounds = draw(
        st.lists(st.decimals("0.1", 50, places=1, allow_nan=False), max_size=4, unique=True).map(sorted)
    )
    flats = st.one_of(st.just("0"), prices)
    return [
        {
            "up_to": None if up_to is None else str(up_to),
            "credit_cost": draw(prices),
            "flat_cost": draw(flats),
        }
        for up_to in [*bounds, None]
    ]


simple = st.builds(
    lambda cost_type, unit_cost: {"cost_type": cost_type, "unit_cost": unit_cost},
    st.sampled_from(["flat", "per_unit"]),
    prices,
)
packages = st.builds(
    lambda size, package_cost: {
        "cost_type": "package",
        "package_size": str(size),
        "package_cost": package_cost,
    },
    st.decimals("0.1", 20, places=1, allow_nan=False),
    prices,
)
graduated = st.builds(lambda tiers: {"cost_type": "tiered", "tiers": tiers}, tier_lists())
volume = st.builds(lambda tiers: {"cost_type": "tiered", "tier_mode": "volume", "tiers": tiers}, tier_lists())
bare = st.one_of(simple, packages, graduated, volume)
minimums: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}), prices.map(lambda price: {"minimum_cost": price})
)
definitions = st.builds(lambda terms, minimum: {**terms, **minimum}, bare, minimums)
#: Those whose cycle total must not depend on how usage was split.
split_proof = st.one_of(
    graduated,
    packages,
    st.builds(lambda price: {"cost_type": "per_unit", "unit_cost": str(price)}, st.integers(0, 2000)),
)
charges = st.integers(0, 3000)


def rate(definition: dict[str, Any]) -> Rate:
    found = definition_parse(definition)
    assert isinstance(found, Rate)
    return found


@given(definition=definitions, units=quantities, cycle_units=quantities, charged_mc=charges)
def test_cost_is_what_one_gets_by_hand(definition, units, cycle_units, charged_mc):
    asked = {"units": units, "cycle_units": cycle_units, "charged_mc": charged_mc}
    assert cost(rate(definition), **asked) == cost_by_hand(definition, **asked)


@given(definition=definitions, units=st.integers(0, 60), cycle_units=st.integers(0, 60), charged_mc=charges)
def test_whole_numbers_cost_the_same_as_integers_and_as_decimals(definition, units, cycle_units, charged_mc):
    one = rate(definition)
    assert cost(one, units=units, cycle_units=cycle_units, charged_mc=charged_mc) == cost(
        one, units=Decimal(units), cycle_units=Decimal(cycle_units), charged_mc=charged_mc
    )


@given(definition=split_proof, parts=st.lists(quantities, max_size=8))
def test_a_cycle_costs_the_same_however_its_usage_was_split(definition, parts):
    if definition["cost_type"] == "per_unit":
        parts = [part.to_integral_value() for part in parts]
    one = rate(definition)
    cycle_units, charged_mc = Decimal(0), 0
    for part in parts:
        charged_mc += cost(one, units=part, cycle_units=cycle_units, charged_mc=charged_mc)
        cycle_units += part
    assert charged_mc == cost(one, units=cycle_units, cycle_units=Decimal(0), charged_mc=0)


@given(definition=graduated, units=st.integers(1, 60), cycle_units=quantities)
def test_units_at_once_cost_the_same_as_unit_by_unit(definition, units, cycle_units):
    one = rate(definition)
    singly = sum(
        cost(one, units=1, cycle_units=cycle_units + number, charged_mc=0) for number in range(units)
    )
    assert cost(one, units=units, cycle_units=cycle_units, charged_mc=0) == singly


@given(
    definition=st.one_of(simple, packages, graduated),
    minimum=minimums,
    units=quantities,
    more=quantities,
    cycle_units=quantities,
)
def test_more_units_never_cost_less(definition, minimum, units, more, cycle_units):
    one = rate({**definition, **minimum})
    less_mc = cost(one, units=units, cycle_units=cycle_units, charged_mc=0)
    assert 0 <= less_mc <= cost(one, units=units + more, cycle_units=cycle_units, charged_mc=0)


@given(tiers=tier_lists(), parts=st.lists(quantities, max_size=8))
def test_volume_never_charges_less_than_the_total_and_never_refunds(tiers, parts):
    one = rate({"cost_type": "tiered", "tier_mode": "volume", "tiers": tiers})
    cycle_units, charged_mc = Decimal(0), 0
    for part in parts:
        cost_mc = cost(one, units=part, cycle_units=cycle_units, charged_mc=charged_mc)
        assert cost_mc >= 0
        cycle_units, charged_mc = cycle_units + part, charged_mc + cost_mc
        assert charged_mc >= cost(one, units=cycle_units, cycle_units=Decimal(0), charged_mc=0)


@settings(max_examples=400)
@given(definition=definitions, cycle_units=quantities, charged_mc=charges, effective_mc=budgets)
def test_affordable_units_are_exactly_the_border(definition, cycle_units, charged_mc, effective_mc):
    one = rate(definition)
    asked = {"cycle_units": cycle_units, "charged_mc": charged_mc}
    budget_mc = max(effective_mc, 0)
    found = affordable_units(one, **asked, effective_mc=effective_mc)
    if found is None:
        assert all(cost(one, units=units, **asked) <= budget_mc for units in (10**3, 10**9, 10**15))
        return
    assert found >= 0
    if found > 0:
        assert cost(one, units=found, **asked) <= budget_mc
    # Beyond the last bound (50) costs rise for good, so the next 120 units see every border there is.
    assert all(cost(one, units=found + step, **asked) > budget_mc for step in range(1, 121))


@given(definition=definitions, units=quantities, cycle_units=quantities, charged_mc=charges)
def test_the_lines_of_a_breakdown_add_up_to_the_cost(definition, units, cycle_units, charged_mc):
    asked = {"units": units, "cycle_units": cycle_units, "charged_mc": charged_mc}
    shown = breakdown(rate(definition), **asked)
    with localcontext(prec=100):
        assert sum(line.amount for line in shown.lines) == shown.cost_mc
    assert shown.cost_mc == cost(rate(definition), **asked)


@given(definition=definitions)
def test_what_is_stored_reads_as_what_was_given(definition):
    one = rate(definition)
    stored = json.loads(json.dumps(one.to_json()))
    assert rate(stored) == one
    assert rate(stored).to_json() == stored


@given(
    definition=st.one_of(
        packages, graduated, st.builds(lambda terms, minimum: {**terms, **minimum}, graduated, minimums)
    ),
    units=quantities,
    cycle_units=quantities,
    elsewhere=quantities,
    charged_mc=charges,
)
def test_a_steady_cost_is_the_same_wherever_it_is_said_to_be(
    definition, units, cycle_units, elsewhere, charged_mc
):
    found = rate(definition)
    bounds = steady(found, units=units, cycle_units=cycle_units)
    if bounds is None:
        return
    first, last = bounds
    assert first <= cycle_units <= last
    there = cost(found, units=units, cycle_units=cycle_units, charged_mc=0)
    for standing in {first, min(last, Decimal(10**6)), max(first, min(elsewhere, last))}:
        if standing >= 0:
            assert cost(found, units=units, cycle_units=standing, charged_mc=charged_mc) == there


@given(
    rate_mc=st.integers(0, 2000),
    units=st.integers(1, 20),
    cycle_units=st.integers(0, 200),
    definition=volume,
)
def test_whole_prices_are_steady_inside_a_tier_and_volumes_never(rate_mc, units, cycle_units, definition):
    tiers = [{"up_to": "100", "credit_cost": str(rate_mc)}, {"up_to": None, "credit_cost": "1"}]
    bounds = steady(rate({"cost_type": "tiered", "tiers": tiers}), units=units, cycle_units=cycle_units)

    if cycle_units + units <= 100:
        assert bounds == (Decimal(0), Decimal(100 - units))
    elif cycle_units >= 100:
        assert bounds == (Decimal(100), Decimal("Infinity"))
    else:
        assert bounds is None
    assert steady(rate(definition), units=units, cycle_units=cycle_units) is None
