"""Source 003, how customers are identified: both URL forms and the special characters, through the real server."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.scenarios.conftest import Service


@pytest.mark.parametrize(
    "external_id", ["userId:companionId", "a/b c", "Siddharth \u00d7 Kabir", "50%", "a+b?c#d", "../x"]
)
def test_any_external_id_works_encoded(service: Service, external_id: str) -> None:
    encoded = quote(external_id, safe="")
    body = {"external_customer_id": external_id, "credits": 50000, "currency": "INR"}
    granted = service.call("POST", "/v1/topup/grant", body, Idempotency_Key="t1")
    assert (granted.status, granted["external_customer_id"], granted["currency"]) == (201, external_id, "INR")
    path = f"/v1/customer-by-external-id/{encoded}"
    changed = service.call("PATCH", path, {"display_name": "Siddharth \u00d7 Kabir"})
    assert (changed.status, changed["display_name"]) == (200, "Siddharth \u00d7 Kabir")
    by_id = f"/v1/customers/{granted['customer_id']}"
    for base in (path, by_id):
        assert service.call("GET", base)["external_id"] == external_id
        assert service.call("GET", f"{base}/credits")["balance"] == 50000
        assert len(service.call("GET", f"{base}/topups")["data"]) == 1
        assert len(service.call("GET", f"{base}/credits/history")["data"]) == 1
    grant = service.call("POST", f"{path}/credits/grant", {"credits": 1}, Idempotency_Key="g1")
    assert (grant.status, grant["balance"]) == (201, 50001)
    adjusted = service.call("POST", f"{by_id}/credits/adjust", {"delta": -50001}, Idempotency_Key="a1")
    assert (adjusted.status, adjusted["balance"]) == (201, 0)
    assert service.call("DELETE", path).status == 204


def test_a_colon_may_stand_as_it_is(service: Service) -> None:
    body = {"external_customer_id": "userId:companionId", "credits": 1}
    service.call("POST", "/v1/topup/grant", body, Idempotency_Key="t1")
    for form in ("customer-by-external-id", "customers"):
        assert service.call("GET", f"/v1/{form}/userId:companionId/credits")["balance"] == 1


def test_exactly_one_name(service: Service) -> None:
    for path, body in (
        ("/v1/topup/grant", {"credits": 1}),
        ("/v1/reserve", {"billable_metric_key": "m", "estimated_units": 1}),
        ("/v1/usage", {"billable_metric_key": "m", "units": 1}),
    ):
        both = {**body, "customer_id": "a", "external_customer_id": "b"}
        assert service.call("POST", path, body, Idempotency_Key="neither").status == 400
        assert service.call("POST", path, both, Idempotency_Key="both").status == 400


def test_by_uuid_a_customer_is_made_too(service: Service) -> None:
    wanted = "019d6258-07ba-7418-83be-58f5fde53e4e"
    body = {"customer_id": wanted, "credits": 50000, "currency": "INR"}
    granted = service.call("POST", "/v1/topup/grant", body, Idempotency_Key="t1")
    assert (granted.status, granted["customer_id"], granted["external_customer_id"]) == (201, wanted, None)
    unknown = {"customer_id": "not-a-uuid", "credits": 1}
    assert service.call("POST", "/v1/topup/grant", unknown, Idempotency_Key="t2").status == 404


def test_winding_down_by_hand_and_in_one_call(service: Service) -> None:
    # given
    for name in ("by-hand", "at-once"):
        body = {"external_customer_id": name, "credits": 700}
        service.call("POST", "/v1/topup/grant", body, Idempotency_Key=f"t-{name}")
    # when
    base = "/v1/customer-by-external-id/by-hand"
    service.call("POST", f"{base}/credits/adjust", {"delta": -700}, Idempotency_Key="a")
    service.call("DELETE", base)
    service.call("POST", "/v1/customer-by-external-id/at-once/wind-down", {}, Idempotency_Key="w")
    # then
    for name in ("by-hand", "at-once"):
        assert service.call("GET", f"/v1/customer-by-external-id/{name}/credits")["balance"] == 0
        assert service.call("GET", f"/v1/customer-by-external-id/{name}")["deleted_at"] is not None
    assert service.call("GET", "/v1/customers")["data"] == []
