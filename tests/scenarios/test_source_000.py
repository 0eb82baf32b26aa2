"""Source 000, the quickstart: its seven calls as printed, through the real server. Then all of them again."""

from __future__ import annotations

from tests.scenarios.conftest import Reply, Service


def seven_calls(service: Service) -> list[Reply]:
    return [
        service.call(
            "POST",
            "/v1/customers",
            {"external_id": "user_quickstart", "display_name": "Quickstart User"},
            Idempotency_Key="quickstart-customer-1",
        ),
        service.call(
            "POST",
            "/v1/billable-metrics",
            {"key": "api_call", "name": "API Call", "description": "One API request."},
            Idempotency_Key="quickstart-metric-1",
        ),
        service.call(
            "POST",
            "/v1/metering-rules",
            {"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 1000},
            Idempotency_Key="quickstart-rule-1",
        ),
        service.call(
            "POST",
            "/v1/customer-by-external-id/user_quickstart/credits/grant",
            {"credits": 100000, "source": "promotional", "reason": "Quickstart welcome credits"},
            Idempotency_Key="quickstart-grant-1",
        ),
        service.call("GET", "/v1/customer-by-external-id/user_quickstart/entitlements/api_call"),
        service.call(
            "POST",
            "/v1/usage",
            {
                "external_customer_id": "user_quickstart",
                "billable_metric_key": "api_call",
                "units": 1,
                "idempotency_key": "quickstart-event-1",
            },
            Idempotency_Key="quickstart-usage-1",
        ),
        service.call("GET", "/v1/customer-by-external-id/user_quickstart/credits"),
    ]


def test_the_quickstart_as_printed(service: Service) -> None:
    # when
    customer, metric, rule, grant, entitlement, usage, credits = seven_calls(service)
    # then
    assert [reply.status for reply in (customer, metric, rule, grant)] == [201] * 4
    assert (customer["external_id"], metric["key"], rule["unit_cost"]) == (
        "user_quickstart",
        "api_call",
        1000,
    )
    assert grant["block"]["original_amount"] == 100000
    assert (entitlement.status, entitlement["allowed"], entitlement["balance"]) == (200, True, 100000)
    assert (usage.status, usage["status"], usage["estimated_cost"]) == (202, "accepted", 1000)
    # at once, not within milliseconds
    assert (credits.status, credits["balance"]) == (200, 99000)


def test_all_of_it_again_changes_nothing(service: Service) -> None:
    first = seven_calls(service)
    again = seven_calls(service)
    assert [reply.status for reply in again] == [reply.status for reply in first]
    for index in range(4):
        assert again[index].body == first[index].body
        assert again[index].headers["x-idempotent-replayed"] == "true"
    assert (again[5]["event_id"], again[5]["duplicate"]) == (first[5]["event_id"], True)
    assert again[6]["balance"] == 99000


def test_bearer_means_the_same(service: Service) -> None:
    seven_calls(service)
    bare = Service(port=service.port, secret="")
    path = "/v1/customer-by-external-id/user_quickstart/credits"
    assert bare.call("GET", path, Authorization=f"Bearer {service.secret}")["balance"] == 99000
    assert bare.call("GET", path).status == 401
