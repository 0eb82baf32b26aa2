"""`POST /v1/entitlements/query`: each pair answered as the single check, in at most three calls of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel import database
from metering.selectors.config import config_forget
from tests.conftest import Api, Character, make_character
from tests.making import give, make_metric, make_rule, use

TIERS = [{"up_to": 10, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}]


def query(api: Api, customers: list[str], metrics: list[str], **more: Any) -> Any:
    named = [{"external_customer_id": name} for name in customers]
    return api.post("/v1/entitlements/query", {"customers": named, "metric_keys": metrics, **more})


def single(api: Api, customer: str, metric: str, units: Any = 1) -> dict[str, Any]:
    answer = api.get(f"/v1/customer-by-external-id/{customer}/entitlements/{metric}?units={units}")
    assert answer.status == 200, answer
    return {name: value for name, value in answer.json.items() if name != "as_of"}


def many(api: Api, customers: list[str], metrics: list[str], units: Any = 1) -> list[dict[str, Any]]:
    answer = query(api, customers, metrics, units=units)
    assert answer.status == 200, answer
    return [
        {name: value for name, value in result.items() if name != "as_of"} for result in answer["results"]
    ]


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    sent: list[str] = []
    execute = database._execute_once

    def counting(sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    with patch.object(database, "_execute_once", counting):
        yield sent


def test_every_pair_in_the_order_asked(api: Api) -> None:
    make_metric(api)
    make_metric(api, key="image", cost_type="flat", unit_cost=7)
    give(api, 5000, to="a")
    give(api, 9, to="b")

    results = many(api, ["b", "a"], ["image", "api_call"])

    assert [(each["external_customer_id"], each["billable_metric_key"]) for each in results] == [
        ("b", "image"),
        ("b", "api_call"),
        ("a", "image"),
        ("a", "api_call"),
    ]
    assert [each["allowed"] for each in results] == [True, False, True, True]
    assert [each["affordable_units"] for each in results] == [None, 0, None, 5]
    assert results[1]["reason"] == "insufficient_credits"


def test_the_unknown_are_results_and_refuse_nothing_else(api: Api) -> None:
    make_metric(api)
    give(api, 5000, to="a")

    results = many(api, ["nobody", "a"], ["nothing", "api_call"])

    unknown = {"external_customer_id": "nobody", "customer_id": None, "allowed": False}
    assert results[:3] == [
        {**unknown, "billable_metric_key": "nothing", "error": "customer-not-found"},
        {**unknown, "billable_metric_key": "api_call", "error": "customer-not-found"},
        {
            **unknown,
            "external_customer_id": "a",
            "billable_metric_key": "nothing",
            "error": "metric-not-found",
        },
    ]
    assert results[3] == single(api, "a", "api_call")


def test_only_unknown_metrics_is_an_answer_too(api: Api) -> None:
    give(api, 5000, to="a")
    (result,) = many(api, ["a"], ["nothing"])
    assert result["error"] == "metric-not-found"


def test_customers_by_either_id(api: Api) -> None:
    make_metric(api)
    customer_id = api.post("/v1/customers", {"external_id": "a"})["id"]
    named = [{"customer_id": customer_id}, {"external_customer_id": "a"}, {"customer_id": "a"}]

    answer = api.post("/v1/entitlements/query", {"customers": named, "metric_keys": ["api_call"]})

    assert [result["customer_id"] for result in answer["results"]] == [customer_id] * 3


def test_a_hundred_by_a_hundred_is_at_most_three_calls(api: Api, acme: Character) -> None:
    # given tiered metrics, of which one has a customer's own tiered rule
    keys = [f"m{number}" for number in range(100)]
    for key in keys[:3]:
        make_metric(api, key=key, cost_type="tiered", tiers=TIERS)
    give(api, 100_000, to="c0")
    customer_id = api.get("/v1/customer-by-external-id/c0")["id"]
    make_rule(
        api, key="m0", customer_id=customer_id, cost_type="tiered", tiers=[{"up_to": None, "credit_cost": 9}]
    )
    use(api, 9, by="c0", metric="m1")
    customers = [f"c{number}" for number in range(100)]
    many(api, ["c0"], ["m0"])  # this process has the catalogue
    # when
    config_forget()
    many(api, ["c1"], ["m1"])
    with counted_calls() as sent:
        results = many(api, customers, keys)
    # then
    assert len(sent) <= 3, sent
    assert len(results) == 10_000
    assert results[0] == single(api, "c0", "m0")
    assert results[0]["estimated_cost"] == 9
    assert results[1] == single(api, "c0", "m1")
    assert results[1]["affordable_units"] == 1 + 180


@pytest.mark.parametrize(
    "body",
    [
        {"customers": [], "metric_keys": ["a"]},
        {"customers": [{"customer_id": "a"}], "metric_keys": []},
        {"customers": [{"customer_id": "a"}] * 101, "metric_keys": ["a"]},
        {"customers": [{"customer_id": "a"}], "metric_keys": ["a"] * 101},
        {"customers": [{"customer_id": "a"}], "metric_keys": ["a"], "units": 0},
        {"customers": [{"customer_id": ""}], "metric_keys": ["a"]},
        {"customers": [{"customer_id": "a", "x": 1}], "metric_keys": ["a"]},
        {"customers": [{"customer_id": "a"}]},
    ],
)
def test_bad_input(api: Api, body: dict[str, Any]) -> None:
    assert api.post("/v1/entitlements/query", body).refusal() == (422, "validation-failed")


def test_a_customer_is_named_once(api: Api) -> None:
    for named in ({}, {"customer_id": "a", "external_customer_id": "a"}):
        answer = api.post("/v1/entitlements/query", {"customers": [named], "metric_keys": ["a"]})
        assert answer.refusal() == (400, "ambiguous-customer")


def test_reading_is_enough(api: Api) -> None:
    make_metric(api)
    reader = api.post("/v1/api-keys", {"name": "r", "scopes": ["entitlements:read"]})["secret"]
    body = {"customers": [{"customer_id": "a"}], "metric_keys": ["api_call"]}
    assert api.post("/v1/entitlements/query", body, key=reader).status == 200
    writer = api.post("/v1/api-keys", {"name": "w", "scopes": ["usage:write"]})["secret"]
    assert api.post("/v1/entitlements/query", body, key=writer).refusal() == (403, "scope-missing")


_RULES = st.sampled_from(
    [
        {"cost_type": "per_unit", "unit_cost": 700},
        {"cost_type": "flat", "unit_cost": 900},
        {"cost_type": "package", "package_size": 3, "package_cost": 1000},
        {"cost_type": "tiered", "tiers": TIERS},
        {"cost_type": "tiered", "tier_mode": "volume", "tiers": TIERS},
        {
            "dimension": "model",
            "rates": {
                "*": {"cost_type": "tiered", "tiers": TIERS},
                "x": {"cost_type": "flat", "unit_cost": 1},
            },
        },
    ]
)
_CUSTOMER = st.fixed_dictionaries(
    {
        "grants": st.lists(
            st.tuples(st.integers(1, 20_000), st.sampled_from([None, ["m0"], ["m1", "m2"]])), max_size=3
        ),
        "used": st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=3),
        "policy": st.sampled_from(
            [{}, {"overage_policy": "allow"}, {"overage_policy": "allow", "overage_limit": 500}]
        ),
        "own": st.none() | st.tuples(st.integers(0, 2), _RULES),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rules=st.lists(st.none() | _RULES, min_size=3, max_size=3),
    customers=st.lists(_CUSTOMER, min_size=1, max_size=4),
    units=st.sampled_from([1, 4, "0.5", 30]),
)
def test_many_answer_as_one(rules: list[Any], customers: list[dict[str, Any]], units: Any) -> None:
    api = Api(make_character("Many").test.secret)
    for number, rule in enumerate(rules):
        assert api.post("/v1/metrics", {"key": f"m{number}"}).status == 201
        if rule is not None:
            make_rule(api, key=f"m{number}", **rule)
    names = [f"c-{uuid4().hex[:8]}" for _ in customers]
    for name, customer in zip(names, customers, strict=True):
        api.post("/v1/customers", {"external_id": name, **customer["policy"]})
        for amount, keys in customer["grants"]:
            give(api, amount, to=name, **({"metric_keys": keys} if keys else {}))
        for metric, count in customer["used"]:
            use(api, count, by=name, metric=f"m{metric}")
        if customer["own"]:
            owned = api.get(f"/v1/customer-by-external-id/{name}")["id"]
            make_rule(api, key=f"m{customer['own'][0]}", customer_id=owned, **customer["own"][1])

    keys = ["m0", "m1", "m2"]
    assert many(api, names, keys, units) == [single(api, name, key, units) for name in names for key in keys]
