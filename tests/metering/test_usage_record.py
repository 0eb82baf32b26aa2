"""`POST /v1/usage`: what it costs, what it writes, and that it happens once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from customers.kernel.database import call_function, environment_scope
from metering.models import UsageEvent
from metering.services import quotes
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, make_rule, use


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, and user_1 with 100,000 mc."""
    make_metric(api)
    give(api, 100000)
    return api


def test_an_event_is_debited_and_explains_itself(priced: Api) -> None:
    # when
    answer = use(priced, 3, idempotency_key="req-1", metadata={"endpoint": "/v1/generate"})
    # then
    assert answer.status == 202
    assert answer.json == {
        "event_id": answer["event_id"],
        "idempotency_key": "req-1",
        "status": "accepted",
        "estimated_cost": 3000,
        "duplicate": False,
    }
    assert balance(priced)["balance"] == 97000
    entry = history(priced)[0]
    assert (entry["kind"], entry["amount"], entry["balance_after"]) == ("debit", -3000, 97000)
    assert entry["source"] == {"type": "event", "id": answer["event_id"]}
    assert entry["idempotency_key"] == "req-1"


def test_the_header_key_is_used_when_the_body_has_none(priced: Api) -> None:
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    first = priced.post("/v1/usage", body, idempotency_key="header-1")
    again = priced.post("/v1/usage", body, idempotency_key="header-1")
    assert (first["idempotency_key"], first["duplicate"]) == ("header-1", False)
    assert (again["event_id"], again["duplicate"]) == (first["event_id"], True)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert balance(priced)["balance"] == 99000


def test_the_body_key_identifies_the_event_and_the_header_adds_nothing(priced: Api) -> None:
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "units": 1,
        "idempotency_key": "event-1",
    }
    priced.post("/v1/usage", body, idempotency_key="call-1")
    again = priced.post("/v1/usage", body, idempotency_key="call-2")
    assert again["duplicate"] is True
    assert balance(priced)["balance"] == 99000


def test_the_customer_may_be_named_the_other_way_at_the_retry(priced: Api) -> None:
    use(priced, 2, idempotency_key="event-1")
    customer_id = balance(priced)["customer_id"]
    again = priced.post(
        "/v1/usage",
        {
            "customer_id": customer_id,
            "billable_metric_key": "api_call",
            "units": 2,
            "idempotency_key": "event-1",
        },
    )
    assert again["duplicate"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"units": 2},
        {"external_customer_id": "user_2"},
        {"properties": {"model": "x"}},
        {"timestamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_key_used_for_something_else_is_refused_and_names_the_event(
    priced: Api, change: dict[str, Any]
) -> None:
    # given
    give(priced, 100000, to="user_2")
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "units": 1,
        "idempotency_key": "event-1",
    }
    first = priced.post("/v1/usage", body)
    # when
    answer = priced.post("/v1/usage", body | change)
    # then
    assert answer.refusal() == (422, "idempotency-key-reused")
    assert answer["event_id"] == first["event_id"]
    assert balance(priced)["balance"] == 99000
    assert balance(priced, of="user_2")["balance"] == 100000


def test_equal_quantities_are_the_same_event_however_they_are_spelled(priced: Api) -> None:
    use(priced, 2, idempotency_key="event-1")
    assert use(priced, "2.0", idempotency_key="event-1")["duplicate"] is True


def test_not_enough_is_402_and_leaves_nothing(priced: Api, acme: Character, superuser_sql: Any) -> None:
    answer = use(priced, 101, idempotency_key="big")
    assert answer.refusal() == (402, "insufficient-credits")
    assert answer["effective_balance"] == 100000
    count = superuser_sql.execute(
        "SELECT count(*) FROM metering_usage_event WHERE environment_id = %s", [acme.test.id]
    ).fetchone()
    assert count == (0,)
    assert balance(priced)["balance"] == 100000


def test_the_refused_key_works_after_a_topup(priced: Api) -> None:
    assert use(priced, 150, idempotency_key="big").status == 402
    give(priced, 50000)
    assert use(priced, 150, idempotency_key="big")["duplicate"] is False
    assert balance(priced)["balance"] == 0


def test_a_refused_call_leaves_no_customer(priced: Api) -> None:
    assert use(priced, 1, by="stranger").status == 402
    assert priced.get("/v1/customer-by-external-id/stranger").status == 404


def test_free_usage_creates_its_customer(priced: Api) -> None:
    # given
    make_metric(priced, key="ping", cost_type="per_unit", unit_cost=0)
    # when
    answer = use(priced, 1, by="stranger", metric="ping")
    # then
    assert (answer.status, answer["estimated_cost"]) == (202, 0)
    customer = priced.get("/v1/customer-by-external-id/stranger")
    assert customer["display_name"] is None
    assert history(priced, of="stranger") == []


def test_a_uuid_nobody_has_becomes_the_new_customers_id(priced: Api) -> None:
    make_metric(priced, key="ping", cost_type="per_unit", unit_cost=0)
    wanted = "019D6258-07BA-7418-83BE-58F5FDE53E4E"
    body = {"customer_id": wanted, "billable_metric_key": "ping", "units": 1}
    assert priced.post("/v1/usage", body, idempotency_key="a").status == 202
    assert priced.get(f"/v1/customers/{wanted}")["id"] == wanted.lower()


def test_an_id_that_is_no_uuid_and_unknown_is_not_found(priced: Api) -> None:
    body = {"customer_id": "cus_unknown", "billable_metric_key": "api_call", "units": 1}
    assert priced.post("/v1/usage", body, idempotency_key="a").refusal() == (404, "customer-not-found")


def test_overage_goes_below_zero_down_to_its_limit(priced: Api) -> None:
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow", "overage_limit": 5000})
    assert use(priced, 104).status == 202
    assert use(priced, 2).status == 402
    assert use(priced, 1).status == 202
    assert balance(priced)["balance"] == -5000
    assert history(priced)[0]["allocations"] == [{"block_id": None, "amount": -1000}]


def test_a_blocked_customer_below_zero_simply_cannot_spend(priced: Api) -> None:
    # given source 002's overdue customer: allowed to -2000, then switched to block
    priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    use(priced, 102)
    # when
    assert priced.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "block"}).status == 200
    # then
    assert balance(priced)["balance"] == -2000
    assert use(priced, 1).status == 402


def test_a_new_rule_prices_what_comes_after_it(priced: Api) -> None:
    use(priced, 1)
    make_rule(priced, cost_type="flat", unit_cost=250)
    assert use(priced, 7)["estimated_cost"] == 250
    assert balance(priced)["balance"] == 98750


def test_the_most_specific_rule_wins(priced: Api) -> None:
    # given
    customer_id = balance(priced)["customer_id"]
    make_rule(priced, cost_type="per_unit", unit_cost=10, customer_id=customer_id)
    give(priced, 5000, to="user_2")
    # then
    assert use(priced, 1)["estimated_cost"] == 10
    assert use(priced, 1, by="user_2")["estimated_cost"] == 1000
    assert use(priced, 1)["estimated_cost"] == 10


def test_tiers_count_the_cycle_whatever_the_split(api: Api) -> None:
    # given the tiers of source 002
    tiers = [
        {"up_to": 10000, "credit_cost": 1000},
        {"up_to": 100000, "credit_cost": 500},
        {"up_to": None, "credit_cost": 100},
    ]
    make_metric(api, cost_type="tiered", tiers=tiers, unit_cost=1000)
    give(api, 100_000_000)
    # when
    costs = [use(api, units)["estimated_cost"] for units in (9999, 2, 74999)]
    # then
    assert costs == [9_999_000, 1_500, 37_499_500]
    assert balance(api)["balance"] == 52_500_000


def test_tiers_go_on_where_an_earlier_rule_of_the_cycle_left_off(api: Api) -> None:
    # given three units at a flat price
    make_metric(api, cost_type="flat", unit_cost=5)
    give(api, 1000)
    use(api, 3)
    # when the rule becomes tiered within the cycle
    make_rule(
        api, cost_type="tiered", tiers=[{"up_to": 4, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    )
    # then one unit is left of the first tier
    assert use(api, 3)["estimated_cost"] == 12


def test_rates_go_by_a_property_each_with_its_own_counter(api: Api) -> None:
    small = {
        "cost_type": "tiered",
        "tiers": [{"up_to": 1, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}],
    }
    make_metric(
        api, dimension="model", rates={"small": small, "*": {"cost_type": "per_unit", "unit_cost": 7}}
    )
    give(api, 1000)
    assert use(api, 2, properties={"model": "small"})["estimated_cost"] == 11
    assert use(api, 1, properties={"model": "other"})["estimated_cost"] == 7
    assert use(api, 1, properties={"model": "small"})["estimated_cost"] == 1
    assert use(api, 1)["estimated_cost"] == 7


def test_blocks_of_another_metric_are_left_alone(priced: Api) -> None:
    # given credits for images only
    make_metric(priced, key="image", cost_type="per_unit", unit_cost=10)
    scoped = give(priced, 50, to="user_2", metric_keys=["image"])["block"]["id"]
    # then
    assert use(priced, 1, by="user_2").status == 402
    assert use(priced, 5, by="user_2", metric="image").status == 202
    assert history(priced, of="user_2")[0]["allocations"] == [{"block_id": scoped, "amount": -50}]


def test_low_balance_is_told_once_per_crossing(priced: Api, acme: Character, superuser_sql: Any) -> None:
    # given
    priced.patch("/v1/customer-by-external-id/user_1", {"low_balance_threshold": 90000})
    # when it falls, stays low, is topped up, and falls again
    for units in (5, 5, 5):
        use(priced, units)
    give(priced, 50000)
    use(priced, 50)
    # then
    told = superuser_sql.execute(
        "SELECT (payload->>'effective_balance')::bigint FROM customers_outbox_event "
        "WHERE environment_id = %s AND event = 'credit.balance_low' ORDER BY id",
        [acme.test.id],
    ).fetchall()
    assert told == [(90000,), (85000,)]


def test_a_rule_made_by_another_process_counts_at_once(
    priced: Api, acme: Character, superuser_sql: Any
) -> None:
    # given this process knows the catalogue
    use(priced, 1)
    # when another process changes the price behind its back
    superuser_sql.execute(
        "INSERT INTO metering_rule (id, environment_id, metric_id, version, cost_type, definition, effective_from, "
        "config_version, created_at) SELECT purser_uuid7(), r.environment_id, r.metric_id, 2, 'flat', "
        '\'{"cost_type": "flat", "unit_cost": 1}\', now(), e.config_version + 1, now() '
        "FROM metering_rule r JOIN customers_environment e ON e.id = r.environment_id WHERE e.id = %s",
        [acme.test.id],
    )
    superuser_sql.execute(
        "UPDATE customers_environment SET config_version = config_version + 1 WHERE id = %s", [acme.test.id]
    )
    # then
    assert use(priced, 9)["estimated_cost"] == 1


def test_a_key_revoked_elsewhere_cannot_debit(priced: Api, acme: Character, superuser_sql: Any) -> None:
    # given this process remembers the key
    use(priced, 1)
    # when it is revoked by another process
    superuser_sql.execute("UPDATE customers_api_key SET revoked_at = now() WHERE id = %s", [acme.test.key_id])
    superuser_sql.execute(
        "UPDATE customers_environment SET config_version = config_version + 1 WHERE id = %s", [acme.test.id]
    )
    # then
    assert use(priced, 1).refusal() == (401, "not-authenticated")


def test_an_inactive_metric_takes_no_new_event_but_keeps_its_old_ones(priced: Api) -> None:
    first = use(priced, 1, idempotency_key="event-1")
    priced.patch("/v1/billable-metrics/api_call", {"status": "inactive"})
    assert use(priced, 1).refusal() == (422, "metric-inactive")
    again = use(priced, 1, idempotency_key="event-1")
    assert (again["event_id"], again["duplicate"]) == (first["event_id"], True)


def test_one_event_id_in_two_environments_is_two_events(priced: Api, acme: Character) -> None:
    live = Api(acme.live.secret)
    make_metric(live)
    give(live, 5000)
    assert use(priced, 1, idempotency_key="event-1")["duplicate"] is False
    assert use(live, 1, idempotency_key="event-1")["duplicate"] is False
    assert (balance(priced)["balance"], balance(live)["balance"]) == (99000, 4000)


def test_one_key_from_twenty_clients_at_once_is_one_event(
    priced: Api, together: Callable[..., list[Any]]
) -> None:
    # when
    answers = together(20, lambda _: use(priced, 5, idempotency_key="same"))
    # then
    assert {answer.status for answer in answers} == {202}
    assert len({answer["event_id"] for answer in answers}) == 1
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 19
    assert balance(priced)["balance"] == 95000


def test_credits_for_half_let_exactly_half_pass(priced: Api, together: Callable[..., list[Any]]) -> None:
    # given 100 credits and 20 clients that each want ten times one credit
    answers = together(20, lambda _: [use(priced, 1).status for _ in range(10)])
    # then
    statuses = [status for each in answers for status in each]
    assert (statuses.count(202), statuses.count(402)) == (100, 100)
    assert balance(priced)["balance"] == 0


def test_a_tiered_hot_account_neither_loses_nor_repeats_a_price(
    api: Api, together: Callable[..., list[Any]]
) -> None:
    # given
    tiers = [{"up_to": 50, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 10_000)
    # when 100 units come in from ten sides
    answers = together(10, lambda _: [use(api, 1) for _ in range(10)])
    # then
    assert {answer.status for each in answers for answer in each} == {202}
    assert sum(answer["estimated_cost"] for each in answers for answer in each) == 50 * 10 + 50 * 1
    assert balance(api)["balance"] == 10_000 - 550


def test_an_old_guess_inside_the_tier_costs_no_second_call(
    api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a customer whom this process last saw before five more units came in
    tiers = [{"up_to": 10, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 10_000)
    use(api, 5)
    quotes._guesses.clear()
    calls: list[str] = []

    def watched(name: str, **arguments: Any) -> Any:
        calls.append(name)
        return call_function(name, **arguments)

    monkeypatch.setattr("metering.services.usage.call_function", watched)
    # when
    within = use(api, 5)
    asked = list(calls)
    quotes._guesses.clear()
    beyond = use(api, 5)
    # then
    assert (within["estimated_cost"], beyond["estimated_cost"]) == (50, 5)
    assert asked == ["metering_usage_record_v1"]
    # where the customer was taken to be in the first tier, the answer told otherwise
    assert calls == ["metering_usage_record_v1"] * 3
    # and each event says where it really stood
    with environment_scope(acme.test.id):
        stood = list(UsageEvent.objects.order_by("id").values_list("cycle_units", "cycle_charged_mc"))
    assert stood == [(Decimal(0), 0), (Decimal(5), 50), (Decimal(10), 100)]
