"""`POST /v1/usage/batch`: what its events would have meant one by one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from customers.kernel.database import call_function
from metering.selectors import config
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, make_rule, use


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, and user_1 with 10,000 mc."""
    make_metric(api)
    give(api, 10_000)
    return api


def event(units: Any = 1, *, by: str = "user_1", metric: str = "api_call", **more: Any) -> dict[str, Any]:
    return {"external_customer_id": by, "billable_metric_key": metric, "units": units, **more}


def send(api: Api, *events: Any, key: str | None = "batch") -> Any:
    return api.post("/v1/usage/batch", {"events": list(events)}, idempotency_key=key)


def statuses(answer: Any) -> list[str]:
    assert answer.status == 202, answer
    return [result["status"] for result in answer["results"]]


def codes(answer: Any) -> list[str | None]:
    assert answer.status == 202, answer
    return [result.get("error", {}).get("code") for result in answer["results"]]


def test_the_batch_of_the_source_works_as_printed(priced: Api) -> None:
    # given
    priced.post("/v1/customers", {"id": "cus_1"})
    priced.post("/v1/customers/cus_1/credits/grant", {"credits": 5000}, idempotency_key="g")
    # when
    answer = priced.post(
        "/v1/usage/batch",
        {
            "events": [
                {
                    "customer_id": "cus_1",
                    "billable_metric_key": "api_call",
                    "units": 1,
                    "idempotency_key": "usage:req_001",
                    "metadata": {"endpoint": "/v1/generate"},
                },
                {
                    "customer_id": "cus_1",
                    "billable_metric_key": "api_call",
                    "units": 1,
                    "idempotency_key": "usage:req_002",
                    "metadata": {"endpoint": "/v1/analyze"},
                },
            ]
        },
        idempotency_key="batch:1",
    )
    # then
    assert answer.status == 202
    assert answer.json == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": 0,
        "results": [
            {
                "index": index,
                "status": "accepted",
                "idempotency_key": key,
                "event_id": answer["results"][index]["event_id"],
                "estimated_cost": 1000,
            }
            for index, key in enumerate(["usage:req_001", "usage:req_002"])
        ],
    }
    assert priced.get("/v1/customers/cus_1/credits")["balance"] == 3000


def test_each_event_has_its_entry_in_the_order_sent(priced: Api) -> None:
    answer = send(priced, event(1), event(2), event(3, metadata={"n": 3}))
    entries = history(priced)[:3]
    assert [(each["sequence"], each["amount"], each["balance_after"]) for each in entries] == [
        (4, -3000, 4000),
        (3, -2000, 7000),
        (2, -1000, 9000),
    ]
    assert [each["source"]["id"] for each in reversed(entries)] == [
        each["event_id"] for each in answer["results"]
    ]
    assert [each["idempotency_key"] for each in reversed(entries)] == ["batch:0", "batch:1", "batch:2"]
    assert entries[0]["metadata"] == {"n": 3}


def test_a_refused_event_refuses_no_other_and_what_fits_after_it_passes(priced: Api) -> None:
    answer = send(priced, event(6), event(6), event(4), event(1))
    assert statuses(answer) == ["accepted", "rejected", "accepted", "rejected"]
    assert answer["results"][1]["error"] == {
        "code": "insufficient-credits",
        "title": "Not enough credits",
        "detail": "Not enough credits",
        "status": 402,
        "effective_balance": 4000,
    }
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (2, 0, 2)
    assert balance(priced)["balance"] == 0


def test_every_kind_of_bad_event_is_refused_alone(priced: Api) -> None:
    # given
    make_metric(priced, key="sleeping")
    priced.patch("/v1/metrics/sleeping", {"status": "inactive"})
    assert priced.post("/v1/metrics", {"key": "unpriced", "name": "x"}).status == 201
    # when
    answer = send(
        priced,
        event(1),
        event(1, metric="nothing"),
        event(1, metric="sleeping"),
        event(1, metric="unpriced"),
        event(0),
        event("x"),
        event(1, customer_id="both"),
        {"billable_metric_key": "api_call", "units": 1},
        event(1, unknown=1),
        "no object",
        event(1, timestamp="2999-01-01T00:00:00Z"),
        event(1, idempotency_key="k" * 256),
        event(1, by="stranger"),
        {"customer_id": "cus_unknown", "billable_metric_key": "api_call", "units": 1},
        event(1, metadata={"text": "\x00"}),
        event(1),
    )
    # then
    assert codes(answer) == [
        None,
        "metric-not-found",
        "metric-inactive",
        "no-active-metering-rule",
        "validation-failed",
        "validation-failed",
        "ambiguous-customer",
        "ambiguous-customer",
        "validation-failed",
        "malformed-request",
        "validation-failed",
        "validation-failed",
        "insufficient-credits",
        "customer-not-found",
        "validation-failed",
        None,
    ]
    assert answer["results"][4]["error"]["errors"][0]["field"] == "events.4.units"
    assert answer["results"][8]["error"]["errors"][0]["field"] == "events.8.unknown"
    assert balance(priced)["balance"] == 8000
    assert priced.get("/v1/customer-by-external-id/stranger").status == 404


def test_one_key_twice_in_a_batch_is_one_event(priced: Api) -> None:
    answer = send(
        priced, event(2, idempotency_key="a"), event(2, idempotency_key="a"), event(3, idempotency_key="a")
    )
    assert statuses(answer) == ["accepted", "duplicate", "rejected"]
    first, second, third = answer["results"]
    assert second["event_id"] == first["event_id"]
    assert (third["error"]["code"], third["error"]["event_id"]) == (
        "idempotency-key-reused",
        first["event_id"],
    )
    assert balance(priced)["balance"] == 8000


def test_a_key_whose_first_event_was_refused_is_free_for_the_second(priced: Api) -> None:
    answer = send(priced, event(11, idempotency_key="a"), event(10, idempotency_key="a"))
    assert statuses(answer) == ["rejected", "accepted"]
    assert balance(priced)["balance"] == 0


def test_a_batch_sent_again_records_nothing(priced: Api) -> None:
    first = send(priced, event(1), event(2))
    again = send(priced, event(1), event(2))
    assert statuses(again) == ["duplicate", "duplicate"]
    assert [each["event_id"] for each in again["results"]] == [each["event_id"] for each in first["results"]]
    assert [each["estimated_cost"] for each in again["results"]] == [1000, 2000]
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert balance(priced)["balance"] == 7000


def test_an_event_of_a_batch_may_be_retried_singly_and_the_other_way_round(priced: Api) -> None:
    # given
    single = use(priced, 1, idempotency_key="s-1")
    batch = send(priced, event(1, idempotency_key="s-1"), event(2, idempotency_key="b-1"))
    # when
    again = use(priced, 2, idempotency_key="b-1")
    # then
    assert statuses(batch) == ["duplicate", "accepted"]
    assert batch["results"][0]["event_id"] == single["event_id"]
    assert (again["duplicate"], again["event_id"]) == (True, batch["results"][1]["event_id"])
    assert balance(priced)["balance"] == 7000


def test_keys_of_their_own_make_the_header_superfluous(priced: Api) -> None:
    assert statuses(send(priced, event(1, idempotency_key="a"), key=None)) == ["accepted"]
    assert send(priced, event(1, idempotency_key="b"), event(1), key=None).refusal() == (
        422,
        "idempotency-key-missing",
    )
    assert balance(priced)["balance"] == 9000


@pytest.mark.parametrize("events", [[], [event()] * 101])
def test_a_batch_has_1_to_100_events(priced: Api, events: list[Any]) -> None:
    assert send(priced, *events).refusal() == (422, "validation-failed")
    assert balance(priced)["balance"] == 10_000


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"events": 1}', b'{"events": [], "more": 1}', b"{}"])
def test_a_body_that_is_no_batch_is_refused_whole(priced: Api, body: bytes) -> None:
    assert priced.post("/v1/usage/batch", body, idempotency_key="a").status in (400, 422)


def test_customers_may_be_named_either_way_and_are_the_same(priced: Api) -> None:
    customer_id = balance(priced)["customer_id"]
    by_id = {"customer_id": customer_id, "billable_metric_key": "api_call", "units": 6}
    answer = send(priced, event(5), by_id, event(5), by_id)
    assert statuses(answer) == ["accepted", "rejected", "accepted", "rejected"]


def test_only_an_accepted_event_makes_its_customer(priced: Api) -> None:
    # given
    make_metric(priced, key="ping", cost_type="per_unit", unit_cost=0)
    uuid = "019D6258-07BA-7418-83BE-58F5FDE53E4E"
    # when
    answer = send(
        priced,
        {"customer_id": "new_1", "billable_metric_key": "ping", "units": 1},
        event(1, by="new_1"),
        event(1, by="new_1", metric="ping"),
        {"customer_id": "new_1", "billable_metric_key": "ping", "units": 1},
        event(1, by="new_1"),
        event(1, by="new_2"),
        {"customer_id": uuid, "billable_metric_key": "ping", "units": 1},
        {"customer_id": uuid.lower(), "billable_metric_key": "ping", "units": 1},
    )
    # then
    assert codes(answer) == [
        "customer-not-found",
        "insufficient-credits",
        None,
        None,
        "insufficient-credits",
        "insufficient-credits",
        None,
        None,
    ]
    assert priced.get("/v1/customer-by-external-id/new_1")["display_name"] is None
    assert priced.get("/v1/customer-by-external-id/new_2").status == 404
    assert priced.get(f"/v1/customers/{uuid}")["id"] == uuid.lower()


def test_tiers_go_on_from_event_to_event(api: Api) -> None:
    # given
    tiers = [{"up_to": 10, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 1000)
    use(api, 4)
    # when
    answer = send(api, event(5), event(2), event(3))
    # then
    assert [each["estimated_cost"] for each in answer["results"]] == [50, 11, 3]
    assert use(api, 1)["estimated_cost"] == 1
    assert balance(api)["balance"] == 1000 - 40 - 64 - 1


def test_a_refused_event_moves_no_tier(api: Api) -> None:
    tiers = [{"up_to": 10, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 105)
    answer = send(api, event(8), event(9), event(2), event(5))
    assert [each.get("estimated_cost") for each in answer["results"]] == [80, None, 20, 5]
    assert balance(api)["balance"] == 0


def test_rates_by_property_count_each_value_apart(api: Api) -> None:
    small = {
        "cost_type": "tiered",
        "tiers": [{"up_to": 1, "credit_cost": 10}, {"up_to": None, "credit_cost": 1}],
    }
    make_metric(
        api, dimension="model", rates={"small": small, "*": {"cost_type": "per_unit", "unit_cost": 7}}
    )
    give(api, 1000)
    answer = send(
        api,
        event(2, properties={"model": "small"}),
        event(1, properties={"model": "other"}),
        event(1, properties={"model": "small"}),
    )
    assert [each["estimated_cost"] for each in answer["results"]] == [11, 7, 1]


def test_customers_with_prices_of_their_own_have_them(priced: Api) -> None:
    give(priced, 5000, to="user_2")
    make_rule(priced, cost_type="per_unit", unit_cost=10, customer_id=balance(priced)["customer_id"])
    answer = send(priced, event(1), event(1, by="user_2"), event(1))
    assert [each["estimated_cost"] for each in answer["results"]] == [10, 1000, 10]


def test_credits_for_one_metric_are_left_to_it(priced: Api) -> None:
    # given
    make_metric(priced, key="image", cost_type="per_unit", unit_cost=100)
    give(priced, 300, to="user_2", metric_keys=["image"], priority=5)
    give(priced, 1100, to="user_2")
    # when
    answer = send(
        priced,
        event(2, by="user_2"),
        event(2, by="user_2", metric="image"),
        event(1, by="user_2"),
        event(3, by="user_2", metric="image"),
        event(2, by="user_2", metric="image"),
    )
    # then
    assert codes(answer) == ["insufficient-credits", None, None, "insufficient-credits", None]
    assert balance(priced, of="user_2")["balance"] == 0


def test_low_balance_rings_once_at_the_event_that_crossed(
    priced: Api, acme: Character, superuser_sql: Any
) -> None:
    priced.patch("/v1/customer-by-external-id/user_1", {"low_balance_threshold": 7500})
    send(priced, event(1), event(1), event(1), event(1))
    told = superuser_sql.execute(
        "SELECT (payload->>'effective_balance')::bigint FROM customers_outbox_event "
        "WHERE environment_id = %s AND event = 'credit.balance_low'",
        [acme.test.id],
    ).fetchall()
    assert told == [(7000,)]


def test_one_batch_is_a_constant_number_of_round_trips(priced: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    called: list[str] = []

    def watched(name: str, **arguments: Any) -> Any:
        called.append(name)
        return call_function(name, **arguments)

    monkeypatch.setattr("metering.services.usage_batch.call_function", watched)
    # when
    send(priced, *[event(1, by=f"user_{n % 3}") for n in range(100)])
    # then
    assert called == ["metering_usage_open_v1", "metering_usage_store_v1"]


def test_a_process_that_sees_only_batches_reads_the_catalogue_once(
    priced: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a process that knows nothing yet
    loads: list[object] = []
    load = config._load

    def counted(environment_id: UUID, **before: Any) -> config.EnvironmentConfig:
        loads.append(environment_id)
        return load(environment_id, **before)

    monkeypatch.setattr(config, "_load", counted)
    config.config_forget()
    # when
    for number in range(3):
        assert statuses(send(priced, event(1), key=f"batch-{number}")) == ["accepted"]
    # then
    assert len(loads) == 1
