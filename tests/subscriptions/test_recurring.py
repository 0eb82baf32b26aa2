"""Prices per month, whatever the cycle, and what is ahead of a subscription."""

from __future__ import annotations

import pytest

from subscriptions.engine.due import Clockwork, dues_ahead
from subscriptions.engine.recurring import minor_per_month
from tests.subscriptions.deals import at


@pytest.mark.parametrize(
    ("cycle", "minor", "monthly"),
    [
        ("hourly", 1, 730),
        ("daily", 100, 3042),
        ("weekly", 1200, 5214),
        ("monthly", 999, 999),
        ("quarterly", 100, 33),
        ("yearly", 6, 1),
        ("yearly", 5, 0),
    ],
)
def test_a_price_per_month(cycle, minor, monthly):
    assert minor_per_month([(cycle, minor)]) == monthly


def test_only_the_sum_is_rounded():
    assert minor_per_month([("yearly", 5), ("yearly", 5), ("quarterly", 1)]) == 1
    assert minor_per_month([("quarterly", 1)] * 3) == 1
    assert minor_per_month([]) == 0


def test_what_is_ahead_comes_in_order_and_ends_with_the_contract():
    clockwork = Clockwork(
        status="overdue",
        is_prepaid=True,
        current_period_start=at("2026-01-01"),
        current_period_end=at("2026-02-01"),
        not_before=at("2026-02-02"),
        grace_period_days=10,
        contract_end=at("2026-02-08"),
        contract_ending_soon_days=5,
    )

    assert dues_ahead(clockwork) == [
        ("contract_ending_soon", at("2026-02-03")),
        ("contract_end", at("2026-02-08")),
    ]
