"""What a period comes to, whoever held which part of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.engine.charges import charges_parse
from subscriptions.engine.rating import Part, Stretch, stretch_rate

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SECONDS = 30 * 24 * 3600


def fee(amount, **terms):
    return {"pricing_model": "flat_fee", "amount": str(amount), **terms}


def per_call(price):
    return {"metric_key": "calls", "pricing_model": "per_unit", "unit_price": str(price)}


def part(number, *charges, starts=APRIL, ends=MAY, minimum=None, prorates=True):
    return Part(
        term=UUID(int=number),
        charges=charges_parse(charges, currency="usd"),
        currency="usd",
        minimum_minor=minimum,
        starts_at=starts,
        ends_at=ends,
        prorates=prorates,
        fee_seconds=SECONDS,
    )


def month(*parts, until=MAY, full_end=MAY):
    ends = max(each.ends_at for each in parts)
    return Stretch(starts_at=APRIL, full_end=full_end, until=until, is_over=ends <= until, parts=parts)


def amounts(stretch, **calls):
    """By term and charge; `t1=5`: five calls in the first term's part."""
    quantities = {(UUID(int=int(term[1:])), "0"): Decimal(count) for term, count in calls.items()}
    return {
        (rate.due.part.term.int, rate.due.charge_key): rate.amount_minor
        for rate in stretch_rate(stretch, quantities)
    }


def test_a_whole_month_is_its_usage_and_its_fee():
    assert amounts(month(part(1, per_call("0.10"), fee(49))), t1=7) == {(1, "0"): 70, (1, "1"): 4900}


def test_before_the_end_only_usage_and_what_is_paid_in_advance_is_due():
    charges = per_call("0.10"), fee(49), fee(10, pay_in="advance")
    so_far = month(part(1, *charges, minimum=100_000), until=APRIL + DAY)
    assert amounts(so_far, t1=3) == {(1, "0"): 30, (1, "2"): 1000}


def test_what_is_paid_in_advance_is_due_at_the_very_start_and_usage_is_not():
    at_start = month(part(1, per_call("0.10"), fee(10, pay_in="advance")), until=APRIL)
    assert amounts(at_start) == {(1, "1"): 1000}


def test_a_change_in_the_middle_splits_fees_by_the_second():
    middle = APRIL + 15 * DAY
    changed = month(part(1, fee(49), ends=middle), part(2, fee("100.01"), starts=middle))
    assert amounts(changed) == {(1, "0"): 2450, (2, "0"): 5001}


def test_without_proration_the_term_before_keeps_the_fees_of_the_period():
    middle = APRIL + 15 * DAY
    changed = month(part(1, fee(49), ends=middle), part(2, fee(100), starts=middle, prorates=False))
    assert amounts(changed) == {(1, "0"): 4900, (2, "0"): 0}


def test_a_period_cut_short_costs_its_part_but_advance_fees_are_not_given_back():
    charges = fee(30), fee(30, pay_in="advance")
    cut = month(part(1, *charges, ends=APRIL + 10 * DAY), until=MAY)
    assert amounts(cut) == {(1, "0"): 1000, (1, "1"): 3000}


def test_a_minimum_makes_up_for_what_the_other_lines_lack():
    charges = per_call("0.10"), fee(10)
    assert amounts(month(part(1, *charges, minimum=5000)), t1=200)[1, "minimum"] == 2000
    assert amounts(month(part(1, *charges, minimum=5000)), t1=900)[1, "minimum"] == 0


def test_a_minimum_is_for_the_part_that_its_term_held():
    third = APRIL + 10 * DAY
    changed = month(
        part(1, per_call("0.10"), minimum=9000, ends=third), part(2, per_call("0.10"), starts=third)
    )
    assert amounts(changed, t1=1, t2=1) == {(1, "0"): 10, (1, "minimum"): 2990, (2, "0"): 10}


CUTS = st.lists(st.integers(0, SECONDS), max_size=8).map(sorted)


@given(cuts=CUTS, cents=st.integers(0, 10**7), advance=st.booleans(), prorated=st.lists(st.booleans()))
def test_fees_of_equal_plans_add_up_to_one_whatever_the_changes(cuts, cents, advance, prorated):
    charge = fee(Decimal(cents) / 100, pay_in="advance" if advance else "arrears")
    instants = [APRIL + timedelta(seconds=seconds) for seconds in (0, *cuts, SECONDS)]
    parts = [
        part(
            number,
            charge,
            starts=starts,
            ends=ends,
            prorates=prorated[number] if number < len(prorated) else True,
        )
        for number, (starts, ends) in enumerate(pairwise(instants))
    ]
    assert sum(amounts(month(*parts)).values()) == cents


@given(cuts=CUTS, minimum=st.integers(0, 10**7))
def test_minimums_without_usage_add_up_to_one_whatever_the_changes(cuts, minimum):
    instants = [APRIL + timedelta(seconds=seconds) for seconds in (0, *cuts, SECONDS)]
    parts = [
        part(number, starts=starts, ends=ends, minimum=minimum)
        for number, (starts, ends) in enumerate(pairwise(instants))
    ]
    assert sum(amounts(month(*parts)).values()) == minimum
