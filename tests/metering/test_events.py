"""`/v1/events`: the same events, with a time of their own, also of metrics that have no price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Api, Character
from tests.making import balance, give, make_metric, use


@pytest.fixture
def metered(api: Api) -> Api:
    """A metric `api_calls` without a rule, one `paid` at 1,000 mc a unit, and cust_acme with 10,000 mc."""
    assert api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"}).status == 201
    make_metric(api, key="paid")
    assert api.post("/v1/customers", {"id": "cust_acme"}).status == 201
    give(api, 10_000, to="cust_acme")
    return api


def event(value: Any = 1, *, metric: str = "api_calls", **more: Any) -> dict[str, Any]:
    return {"customer_id": "cust_acme", "metric_key": metric, "value": value, **more}


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"/v1/events{query}")
    assert answer.status == 200, answer
    return list(answer["data"])


def test_the_event_of_the_source_works_as_printed(metered: Api) -> None:
    # when
    answer = metered.post(
        "/v1/events",
        {
            "customer_id": "cust_acme",
            "metric_key": "api_calls",
            "value": 1,
            "timestamp": "2026-04-03T09:30:00Z",
            "idempotency_key": "req_7f8a9b2c3d4e5f6a",
        },
    )
    # then
    assert answer.status == 202
    assert answer.json == {
        "event_id": answer["event_id"],
        "status": "queued",
        "idempotency_key": "req_7f8a9b2c3d4e5f6a",
        "estimated_cost": 0,
        "duplicate": False,
    }
    shown = metered.get(f"/v1/events/{answer['event_id']}")
    assert shown.json == {
        "id": answer["event_id"],
        "status": "recorded",
        "customer_id": "cust_acme",
        "external_customer_id": "cust_acme",
        "metric_key": "api_calls",
        "value": 1,
        "timestamp": "2026-04-03T09:30:00Z",
        "received_at": shown["received_at"],
        "idempotency_key": "req_7f8a9b2c3d4e5f6a",
        "properties": {},
        "metadata": {},
        "cost": 0,
        "metering_rule_id": None,
        "ledger_entry_id": None,
        "void": None,
        "late": False,
        "invoice_lines": [],
    }
    assert balance(metered, of="cust_acme")["balance"] == 10_000


def test_a_metric_with_a_rule_is_debited_as_well(metered: Api) -> None:
    answer = metered.post("/v1/events", event(3, metric="paid"), idempotency_key="a")
    assert (answer.status, answer["estimated_cost"]) == (202, 3000)
    assert balance(metered, of="cust_acme")["balance"] == 7000
    shown = metered.get(f"/v1/events/{answer['event_id']}")
    assert (shown["cost"], shown["ledger_entry_id"][:4]) == (3000, "led_")


def test_not_enough_is_402_like_usage(metered: Api) -> None:
    answer = metered.post("/v1/events", event(11, metric="paid"), idempotency_key="a")
    assert answer.refusal() == (402, "insufficient-credits")
    assert answer["effective_balance"] == 10_000
    assert listed(metered) == []


def test_usage_and_events_share_their_keys(metered: Api) -> None:
    # given
    first = use(metered, 2, by="cust_acme", metric="paid", idempotency_key="same")
    # when
    again = metered.post("/v1/events", event(2, metric="paid", idempotency_key="same"))
    other = metered.post("/v1/events", event(3, metric="paid", idempotency_key="same"))
    # then
    assert (again["event_id"], again["duplicate"]) == (first["event_id"], True)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert other.refusal() == (422, "idempotency-key-reused")
    assert other["event_id"] == first["event_id"]
    assert balance(metered, of="cust_acme")["balance"] == 8000


def test_an_unknown_customer_is_not_made(metered: Api) -> None:
    body = {"external_customer_id": "stranger", "metric_key": "api_calls", "value": 1, "idempotency_key": "a"}
    assert metered.post("/v1/events", body).refusal() == (404, "customer-not-found")
    assert metered.get("/v1/customer-by-external-id/stranger").status == 404


def test_a_key_is_required(metered: Api) -> None:
    assert metered.post("/v1/events", event()).refusal() == (422, "idempotency-key-missing")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"metric_key": "nothing"}, 422, "metric-not-found"),
        ({"external_customer_id": "both"}, 400, "ambiguous-customer"),
        ({"timestamp": "yesterday"}, 422, "validation-failed"),
        ({"value": "x"}, 422, "validation-failed"),
        ({"value": True}, 422, "validation-failed"),
        ({"units": 1}, 422, "validation-failed"),
        ({"value": -1}, 422, "validation-failed"),
        ({"value": 0, "metric_key": "paid"}, 422, "validation-failed"),
        ({"value": "0.00000000001"}, 422, "validation-failed"),
    ],
)
def test_bad_events_are_refused(metered: Api, change: dict[str, Any], status: int, code: str) -> None:
    answer = metered.post("/v1/events", event() | {"idempotency_key": "a"} | change)
    assert answer.refusal() == (status, code)
    assert listed(metered) == []


def test_five_minutes_ahead_are_forgiven(metered: Api) -> None:
    now = datetime.now(UTC)
    near, far = ((now + timedelta(minutes=minutes)).isoformat() for minutes in (4, 6))
    assert metered.post("/v1/events", event(timestamp=near, idempotency_key="a")).status == 202
    assert metered.post("/v1/events", event(timestamp=far, idempotency_key="b")).refusal() == (
        422,
        "validation-failed",
    )
    assert (
        metered.post("/v1/events", event(timestamp="1999-12-31T23:59:59Z", idempotency_key="c")).status == 202
    )


def test_values_below_zero_are_for_metrics_they_mean_something_to(metered: Api) -> None:
    for aggregation in ("max", "min", "last"):
        metered.post("/v1/metrics", {"key": aggregation, "name": aggregation, "aggregation": aggregation})
        answer = metered.post("/v1/events", event("-2.5", metric=aggregation, idempotency_key=aggregation))
        assert answer.status == 202, answer
    assert [each["value"] for each in listed(metered)] == ["-2.5"] * 3


def test_zero_is_a_value_of_a_metric_without_a_rule(metered: Api) -> None:
    assert metered.post("/v1/events", event(0, idempotency_key="a")).status == 202


def test_who_is_suspended_may_still_be_metered(metered: Api, acme: Character, superuser_sql: Any) -> None:
    superuser_sql.execute(
        "UPDATE billing_credit_account SET usage_suspended = 'subscription_paused' WHERE environment_id = %s",
        [acme.test.id],
    )
    assert metered.post("/v1/events", event(idempotency_key="a")).status == 202
    assert metered.post("/v1/events", event(metric="paid", idempotency_key="b")).refusal() == (
        403,
        "usage-suspended",
    )


@pytest.mark.parametrize(("path", "status"), [("/v1/events/batch", 207), ("/v1/events/backfill", 200)])
def test_a_batch_answers_for_each_event(metered: Api, path: str, status: int) -> None:
    # when
    answer = metered.post(
        path,
        {
            "events": [
                event(timestamp="2026-04-03T09:30:00Z"),
                event(metric="nothing"),
                {"customer_id": "stranger", "metric_key": "api_calls"},
                event(4, metric="paid", idempotency_key="own"),
                event(7, metric="paid"),
                event(4, metric="paid", idempotency_key="own"),
            ]
        },
        idempotency_key="b",
    )
    # then
    assert answer.status == status
    assert [answer[name] for name in ("accepted", "duplicates", "rejected")] == [2, 1, 3]
    assert [(each["status"], each.get("error", {}).get("code")) for each in answer["results"]] == [
        ("accepted", None),
        ("rejected", "metric-not-found"),
        ("rejected", "customer-not-found"),
        ("accepted", None),
        ("rejected", "insufficient-credits"),
        ("duplicate", None),
    ]
    assert [each["idempotency_key"] for each in answer["results"]] == [
        "b:0",
        "b:1",
        "b:2",
        "own",
        "b:4",
        "own",
    ]
    assert balance(metered, of="cust_acme")["balance"] == 6000


def test_a_thousand_events_fit_and_no_more(metered: Api) -> None:
    many = [event(n, properties={"n": n}) for n in range(1, 1002)]
    assert metered.post("/v1/events/batch", {"events": many}, idempotency_key="b").refusal() == (
        422,
        "validation-failed",
    )
    answer = metered.post("/v1/events/batch", {"events": many[:1000]}, idempotency_key="b")
    assert (answer.status, answer["accepted"]) == (207, 1000)


def test_the_list_is_filtered_and_paged(metered: Api) -> None:
    # given
    metered.post("/v1/customers", {"external_id": "other"})
    for day in (1, 2, 3):
        metered.post(
            "/v1/events", event(day, timestamp=f"2026-04-0{day}T12:00:00Z", idempotency_key=f"d{day}")
        )
    metered.post("/v1/events", event(9, metric="paid", idempotency_key="p"))
    body = {"external_customer_id": "other", "metric_key": "api_calls", "value": 5, "idempotency_key": "o"}
    metered.post("/v1/events", body)
    # then
    assert [each["value"] for each in listed(metered)] == [5, 9, 3, 2, 1]
    assert [each["value"] for each in listed(metered, "?customer_id=cust_acme")] == [9, 3, 2, 1]
    assert [each["value"] for each in listed(metered, "?external_customer_id=other")] == [5]
    assert [each["value"] for each in listed(metered, "?metric_key=paid")] == [9]
    assert [each["value"] for each in listed(metered, "?idempotency_key=d2")] == [2]
    span = "?from=2026-04-02T12:00:00Z&to=2026-04-03T12:00:00Z"
    assert [each["value"] for each in listed(metered, span)] == [2]
    page = metered.get("/v1/events?limit=2")
    assert page["pagination"]["has_more"] is True
    more = metered.get(f"/v1/events?limit=2&cursor={page['pagination']['next_cursor']}")
    assert [each["value"] for each in more["data"]] == [3, 2]
    assert metered.get("/v1/events?metric=paid").refusal() == (422, "validation-failed")


def test_another_tenant_sees_nothing(metered: Api, rival: Character) -> None:
    made = metered.post("/v1/events", event(idempotency_key="a"))
    stranger = Api(rival.test.secret)
    assert listed(stranger) == []
    assert stranger.get(f"/v1/events/{made['event_id']}").refusal() == (404, "event-not-found")
    assert metered.get("/v1/events/evt_nothing").status == 404
