"""What most stories begin with, made through the API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.conftest import Api


def make_metric(api: Api, *, key: str = "api_call", **terms: Any) -> None:
    """A metric with a default metering rule: one credit a unit unless `terms` say otherwise."""
    assert api.post("/v1/billable-metrics", {"key": key, "name": key}).status == 201
    make_rule(api, key=key, **terms or {"cost_type": "per_unit", "unit_cost": 1000})


def make_rule(api: Api, *, key: str = "api_call", **terms: Any) -> str:
    """A metering rule; its id."""
    answer = api.post("/v1/metering-rules", {"billable_metric_key": key, **terms})
    assert answer.status == 201, answer
    return str(answer["id"])


def give(api: Api, credits_mc: int, *, to: str = "user_1", **terms: Any) -> dict[str, Any]:
    """Grant credits to a customer by external id; the answer."""
    answer = api.post(
        f"/v1/customer-by-external-id/{to}/credits/grant",
        {"credits": credits_mc, **terms},
        idempotency_key=f"grant-{uuid4().hex}",
    )
    assert answer.status == 201, answer
    return dict(answer.json)


def use(api: Api, units: Any, *, by: str = "user_1", metric: str = "api_call", **more: Any) -> Any:
    """Send one usage event with a key of its own, unless `idempotency_key` is given."""
    body = {
        "external_customer_id": by,
        "billable_metric_key": metric,
        "units": units,
        "idempotency_key": more.pop("idempotency_key", f"event-{uuid4().hex}"),
        **more,
    }
    return api.post("/v1/usage", body)


def balance(api: Api, *, of: str = "user_1", query: str = "") -> dict[str, Any]:
    """GET …/credits."""
    answer = api.get(f"/v1/customer-by-external-id/{of}/credits{query}")
    assert answer.status == 200, answer
    return dict(answer.json)


def history(api: Api, *, of: str = "user_1", query: str = "") -> list[dict[str, Any]]:
    """The entries, newest first."""
    answer = api.get(f"/v1/customer-by-external-id/{of}/credits/history{query}")
    assert answer.status == 200, answer
    return list(answer["data"])


def make_plan(api: Api, **terms: Any) -> str:
    """A plan; its id."""
    answer = api.post("/v1/plans", {"name": "API Platform", **terms})
    assert answer.status == 201, answer
    return str(answer["id"])


def make_variant(api: Api, plan: str | None = None, **terms: Any) -> str:
    """A variant of the plan, monthly and postpaid unless `terms` say otherwise; its id."""
    body = {"name": "Monthly", "billing_cycle": "monthly", "billing_mode": "postpaid", **terms}
    answer = api.post(f"/v1/plans/{plan or make_plan(api)}/variants", body)
    assert answer.status == 201, answer
    return str(answer["id"])
