"""`GET …/entitlements/{metric_key}`: decides as usage would, and writes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from customers.kernel.clock import system_now
from customers.kernel.instants import instant_text
from tests.conftest import Api, Character
from tests.making import give, make_metric, make_rule, use


def check(api: Api, *, units: Any = None, of: str = "user_1", metric: str = "api_call") -> Any:
    query = "" if units is None else f"?units={units}"
    return api.get(f"/v1/customer-by-external-id/{of}/entitlements/{metric}{query}")


@pytest.fixture
def priced(api: Api) -> Api:
    make_metric(api)
    give(api, 100000)
    return api


def test_an_affordable_unit_is_allowed(priced: Api) -> None:
    answer = check(priced)
    assert answer.status == 200
    found = answer.json
    assert found.pop("as_of").endswith("Z")
    assert found == {
        "allowed": True,
        "reason": None,
        "customer_id": found["customer_id"],
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "units": 1,
        "balance": 100000,
        "reserved_balance": 0,
        "effective_balance": 100000,
        "estimated_cost": 1000,
        "balance_after": 99000,
        "affordable_units": 100,
        "overage_policy": "block",
        "source": "database",
    }


def test_the_border_is_exact_and_usage_agrees(priced: Api) -> None:
    assert check(priced, units=100)["allowed"] is True
    denied = check(priced, units=101)
    assert (denied["allowed"], denied["reason"]) == (False, "insufficient_credits")
    assert use(priced, 101).status == 402
    assert use(priced, 100).status == 202
    assert check(priced)["affordable_units"] == 0


def test_an_acknowledged_write_is_seen_by_the_next_check(priced: Api) -> None:
    use(priced, 60)
    assert check(priced)["affordable_units"] == 40
    give(priced, 5000)
    assert check(priced)["affordable_units"] == 45
    make_rule(priced, cost_type="per_unit", unit_cost=500)
    assert check(priced)["affordable_units"] == 90
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    assert check(priced, units=10**6).json["allowed"] is True


def test_overage_without_a_limit_affords_any_number(priced: Api) -> None:
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    assert check(priced)["affordable_units"] is None


def test_overage_with_a_limit_affords_down_to_it(priced: Api) -> None:
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow", "overage_limit": 5000})
    assert check(priced)["affordable_units"] == 105
    assert use(priced, 106).status == 402
    assert use(priced, 105).status == 202


def test_a_metric_without_a_rule_is_denied_with_the_reason(priced: Api) -> None:
    priced.post("/v1/metrics", {"key": "free", "name": "Free"})
    answer = check(priced, metric="free")
    assert (answer["allowed"], answer["reason"], answer["estimated_cost"]) == (
        False,
        "no_metering_rule",
        None,
    )


def test_credits_for_another_metric_do_not_help(priced: Api) -> None:
    make_metric(priced, key="image", cost_type="per_unit", unit_cost=10)
    give(priced, 50, to="user_2", metric_keys=["image"])
    assert check(priced, of="user_2")["affordable_units"] == 0
    assert check(priced, of="user_2", metric="image")["affordable_units"] == 5


def test_tiers_count_from_where_the_cycle_stands(api: Api) -> None:
    # given one unit left of the first tier, and 1,500 mc (vectors/affordable.json)
    tiers = [{"up_to": 10000, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 9_999_000 + 1500)
    use(api, 9999)
    # then
    assert check(api, units=2)["estimated_cost"] == 1500
    assert check(api)["affordable_units"] == 2


def test_expired_credits_do_not_count_and_nothing_is_written(
    api: Api, acme: Character, superuser_sql: Any
) -> None:
    # given a block that dies before anybody sweeps
    make_metric(api)
    give(api, 9000, expires_at=instant_text(system_now() + timedelta(seconds=1)))
    give(api, 2000)
    superuser_sql.execute("SELECT pg_sleep(1.1)")
    # then
    assert check(api)["affordable_units"] == 2
    entries = superuser_sql.execute(
        "SELECT count(*) FROM billing_ledger_entry WHERE environment_id = %s", [acme.test.id]
    ).fetchone()
    assert entries == (2,)
    # and usage books the expiry first
    assert use(api, 3).status == 402
    assert use(api, 2).status == 202


@pytest.mark.parametrize("units", ["0", "-1", "x", "NaN", "1e99", "0.00000000001", ""])
def test_a_bad_quantity_is_refused(priced: Api, units: str) -> None:
    assert check(priced, units=units).refusal() == (422, "validation-failed")


def test_fractions_are_priced_exactly(priced: Api) -> None:
    answer = check(priced, units="0.5")
    assert (answer["units"], answer["estimated_cost"]) == ("0.5", 500)


def test_unknown_customers_and_metrics_are_not_found(priced: Api) -> None:
    assert check(priced, of="nobody").refusal() == (404, "customer-not-found")
    assert check(priced, metric="nothing").refusal() == (404, "metric-not-found")
    assert priced.get("/v1/customer-by-external-id/nobody").status == 404


def test_a_metric_made_by_another_process_is_found_at_once(
    priced: Api, acme: Character, superuser_sql: Any
) -> None:
    check(priced)
    superuser_sql.execute(
        "INSERT INTO metering_metric (id, environment_id, key, name, description, aggregation, status, created_at, "
        "updated_at) VALUES (purser_uuid7(), %s, 'fresh', 'Fresh', '', 'sum', 'active', now(), now())",
        [acme.test.id],
    )
    superuser_sql.execute(
        "UPDATE customers_environment SET config_version = config_version + 1 WHERE id = %s", [acme.test.id]
    )
    assert check(priced, metric="fresh")["reason"] == "no_metering_rule"


def test_the_scope_is_needed(priced: Api) -> None:
    writer = priced.post("/v1/api-keys", {"name": "w", "scopes": ["usage:write"]})
    answer = priced.get("/v1/customer-by-external-id/user_1/entitlements/api_call", key=writer["secret"])
    assert answer.refusal() == (403, "scope-missing")
