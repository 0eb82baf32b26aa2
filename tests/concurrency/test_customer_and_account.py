"""Calls that need a customer's account and their row take them in one order: whatever meets, nobody deadlocks."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from tests.conftest import Answer, Api, Character, run_together
from tests.making import give, make_metric, use

CUSTOMERS = 4
WORKERS = 8
STEPS = 24


def path(number: int) -> str:
    return f"/v1/customer-by-external-id/user_{number}"


def step(api: Api, worker: int, number: int) -> Answer:
    """Usage, grants and holds lock the account and then, since each rings, the row; others want both as well."""
    who = number % CUSTOMERS
    deed = (worker + number // CUSTOMERS) % 6
    key = uuid4().hex
    if deed == 0:
        return api.patch(
            path(who), {"low_balance_threshold": 1000 * number, "display_name": f"{worker} {number}"}
        )
    if deed == 1:
        return api.post(f"{path(who)}/wind-down", {"reason": "meets others"}, idempotency_key=key)
    if deed == 2:
        return api.post(f"{path(who)}/credits/grant", {"credits": 5000}, idempotency_key=key)
    if deed == 3:
        body = {
            "external_customer_id": f"user_{who}",
            "billable_metric_key": "api_call",
            "estimated_units": 1,
        }
        return api.post("/v1/reserve", body, idempotency_key=key)
    if deed == 4:
        return api.patch(path(who), {"overage_policy": "notify" if number % 2 else "allow"})
    return use(api, 3, by=f"user_{who}", idempotency_key=key)


@pytest.mark.slow
def test_a_row_and_its_account_never_meet_in_a_circle(api: Api, acme: Character) -> None:
    # given
    make_metric(api)
    for number in range(CUSTOMERS):
        give(api, 100_000, to=f"user_{number}")
        api.patch(path(number), {"low_balance_threshold": 100_000, "overage_policy": "allow"})

    # when
    def worker(index: int) -> Counter[int]:
        mine = Api(acme.test.secret)
        return Counter(step(mine, index, number).status for number in range(STEPS))

    outcomes = run_together(WORKERS, worker)
    # then: nobody was told to try again
    assert [outcome for outcome in outcomes if not isinstance(outcome, Counter)] == []
    assert set(sum(outcomes, Counter())) <= {200, 201, 202}
    with environment_scope(acme.test.id):
        assert ledger_verify(environment_id=acme.test.id).findings == []
