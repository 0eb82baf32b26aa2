"""The agreed cases, word for word."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.engine.pricing import Rate, affordable_units, breakdown, cost, definition_parse

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
PRICING = json.loads((VECTORS / "pricing.json").read_text())["cases"]
AFFORDABLE = json.loads((VECTORS / "affordable.json").read_text())["cases"]


def rate(definition: dict[str, Any]) -> Rate:
    found = definition_parse(definition)
    assert isinstance(found, Rate)
    return found


@pytest.mark.parametrize("case", PRICING, ids=[case["name"] for case in PRICING])
def test_successive_events_of_one_cycle(case):
    cycle_units, charged_mc, costs = Decimal(0), 0, []
    for text in case["units"]:
        units = Decimal(text)
        costs.append(cost(rate(case["rule"]), units=units, cycle_units=cycle_units, charged_mc=charged_mc))
        cycle_units, charged_mc = cycle_units + units, charged_mc + costs[-1]
    assert costs == case["costs"]
    assert charged_mc == case["total"]


@pytest.mark.parametrize("case", PRICING, ids=[case["name"] for case in PRICING])
def test_each_cost_is_explained_by_lines_that_add_up_to_it(case):
    cycle_units, charged_mc = Decimal(0), 0
    for text, cost_mc in zip(case["units"], case["costs"], strict=True):
        units = Decimal(text)
        shown = breakdown(rate(case["rule"]), units=units, cycle_units=cycle_units, charged_mc=charged_mc)
        assert shown.cost_mc == cost_mc
        assert sum(line.amount for line in shown.lines) == cost_mc
        cycle_units, charged_mc = cycle_units + units, charged_mc + cost_mc


@pytest.mark.parametrize("case", AFFORDABLE)
def test_affordable_units(case):
    found = affordable_units(
        rate(case["rule"]),
        cycle_units=Decimal(case["cycle_units"]),
        charged_mc=0,
        effective_mc=case["effective_balance"],
    )
    assert found == case["affordable_units"]
