"""`/v1/topup-packages`."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from tests.conftest import Api, Character

TERMS: dict[str, Any] = {"name": "100 credits", "credits": 100000, "price": 1000, "currency": "usd"}


def test_a_package_is_made_shown_and_listed(api: Api) -> None:
    # when
    made = api.post("/v1/topup-packages", {**TERMS, "metadata": {"shown": True}}, idempotency_key="package-1")
    # then
    assert made.status == 201
    assert made.json == {
        "id": made["id"],
        **TERMS,
        "bonus_credits": 0,
        "expires_after_seconds": None,
        "priority": 0,
        "active": True,
        "metadata": {"shown": True},
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert api.get(f"/v1/topup-packages/{made['id']}").json == made.json
    assert api.get("/v1/topup-packages")["data"] == [made.json]
    again = api.post(
        "/v1/topup-packages", {**TERMS, "metadata": {"shown": True}}, idempotency_key="package-1"
    )
    assert again.bytes == made.bytes


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"credits": 0}, "credits"),
        ({"price": -1}, "price"),
        ({"currency": "dollars"}, "currency"),
        ({"priority": 101}, "priority"),
        ({"expires_after_seconds": 0}, "expires_after_seconds"),
        ({"bonus": 1}, "bonus"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, wrong: dict[str, Any], field: str) -> None:
    answer = api.post("/v1/topup-packages", {**TERMS, **wrong})
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == field
    assert api.get("/v1/topup-packages")["data"] == []


def test_changes_are_for_topups_to_come(api: Api, acme: Character) -> None:
    # given
    package = api.post("/v1/topup-packages", TERMS)["id"]
    body = {"external_customer_id": "user_1", "package_id": package}
    before = api.post("/v1/topup/grant", body, idempotency_key="t1")
    # when
    changed = api.patch(f"/v1/topup-packages/{package}", {"credits": 200000, "name": "200 credits"})
    # then
    assert (changed.status, changed["credits"], changed["price"]) == (200, 200000, 1000)
    assert api.post("/v1/topup/grant", body, idempotency_key="t2")["credits"] == 200000
    assert api.get("/v1/customer-by-external-id/user_1/topups")["data"][1]["credits"] == before["credits"]
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="topup_package.updated")
        assert record.changes == {"credits_mc": [100000, 200000], "name": ["100 credits", "200 credits"]}


def test_what_is_not_sold_any_more_cannot_be_bought(api: Api) -> None:
    package = api.post("/v1/topup-packages", TERMS)["id"]
    assert api.patch(f"/v1/topup-packages/{package}", {"active": False})["active"] is False
    body = {"external_customer_id": "user_1", "package_id": package}
    assert api.post("/v1/topup/grant", body, idempotency_key="t1").refusal() == (
        422,
        "topup-package-inactive",
    )
    assert api.get("/v1/topup-packages?active=true")["data"] == []
    assert [row["id"] for row in api.get("/v1/topup-packages?active=false")["data"]] == [package]


def test_another_tenant_does_not_see_it(api: Api, rival: Character) -> None:
    package = api.post("/v1/topup-packages", TERMS)["id"]
    theirs = Api(rival.test.secret)
    assert theirs.get(f"/v1/topup-packages/{package}").refusal() == (404, "topup-package-not-found")
    assert theirs.patch(f"/v1/topup-packages/{package}", {"credits": 1}).status == 404
    body = {"external_customer_id": "user_1", "package_id": package}
    answer = theirs.post("/v1/topup/grant", body, idempotency_key="t1")
    assert answer.refusal() == (422, "topup-package-not-found")
