"""Hypothetical usage, priced with its arithmetic."""

from __future__ import annotations

from typing import Any

from customers.kernel.database import environment_scope
from metering.models import MeteringRule

TIERS = [{"up_to": 10000, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500, "flat_cost": 7}]
TIERED = {"cost_type": "tiered", "tiers": TIERS}


def line(kind, amount, *, tier=None, units=None, unit_cost=None):
    return {"kind": kind, "tier": tier, "units": units, "unit_cost": unit_cost, "amount": amount}


def preview(api, **body):
    return api.post("/v1/metering-rules/preview", body)


def test_successive_events_with_their_lines(api, acme):
    answer = preview(api, **TIERED, units=[9999, "1.5", 1])
    assert answer.status == 200
    assert answer.json == {
        "total_cost": 10000757,
        "events": [
            {
                "units": 9999,
                "cycle_units": 0,
                "cost": 9999000,
                "lines": [line("tier", 9999000, tier=1, units=9999, unit_cost=1000)],
            },
            {
                "units": "1.5",
                "cycle_units": 9999,
                "cost": 1257,
                "lines": [
                    line("tier", 1000, tier=1, units=1, unit_cost=1000),
                    line("tier", 250, tier=2, units="0.5", unit_cost=500),
                    line("tier_entry", 7, tier=2),
                ],
            },
            {
                "units": 1,
                "cycle_units": "10000.5",
                "cost": 500,
                "lines": [line("tier", 500, tier=2, units=1, unit_cost=500)],
            },
        ],
    }
    with environment_scope(acme.test.id):
        assert not MeteringRule.objects.exists()


def test_rounding_and_minimum_are_lines(api):
    (event,) = preview(api, cost_type="per_unit", unit_cost="0.4", minimum_cost=3, units=[1])["events"]
    lines = [line("units", "0.4", units=1, unit_cost="0.4"), line("rounding", "-0.4"), line("minimum", 3)]
    assert (event["cost"], event["lines"]) == (3, lines)


def test_volume_counts_what_the_cycle_was_charged(api):
    volume = {**TIERED, "tier_mode": "volume", "tiers": [{"up_to": None, "credit_cost": 2}]}
    (event,) = preview(api, **volume, units=[5], cycle_units=10, cycle_cost=40)["events"]
    lines = [
        line("tier", 30, tier=1, units=15, unit_cost=2),
        line("charged_before", -40),
        line("not_refunded", 10),
    ]
    assert (event["cost"], event["lines"]) == (0, lines)


def test_the_rate_of_a_property(api):
    rates = {"large": {"cost_type": "flat", "unit_cost": 30}}
    asked = {"dimension": "model", "rates": rates, "units": [1]}
    assert preview(api, **asked, properties={"model": "large"})["total_cost"] == 30
    assert preview(api, **asked).refusal() == (422, "no-rate-for-property")


def test_bad_input(api):
    wrong_units: list[list[Any]] = [[], [0], [-1], ["x"], [None], [1] * 101]
    changes: list[dict[str, Any]] = [{}, {"units": [1], "cycle_units": -1}]
    for change in changes + [{"units": units} for units in wrong_units]:
        assert preview(api, **{"cost_type": "flat", "unit_cost": 1, **change}).refusal() == (
            422,
            "validation-failed",
        )
    assert preview(api, cost_type="flat", units=[1]).refusal() == (422, "invalid-metering-rule")
    assert api.get("/v1/metering-rules/preview").status == 405
