"""`/v1/plans`."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from tests.conftest import Api, Character
from tests.making import make_plan, make_variant


def test_a_plan_is_made_shown_and_listed(api: Api) -> None:
    # when: as source 002 prints it
    body = {"name": "API Platform", "description": "Usage-based API access"}
    made = api.post("/v1/plans", body, idempotency_key="plan:api-platform")
    # then
    assert made.status == 201
    shown = {
        "id": made["id"],
        **body,
        "features": {},
        "metadata": {},
        "archived_at": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert made["id"].startswith("plan_")
    assert made.json == {**shown, "variants": []}
    assert api.get(f"/v1/plans/{made['id']}").json == made.json
    assert api.get("/v1/plans")["data"] == [shown]
    assert api.post("/v1/plans", body, idempotency_key="plan:api-platform").bytes == made.bytes


def test_features_are_true_or_false_numbers_and_texts(api: Api) -> None:
    features = {"sso": True, "seats": 5, "share": 0.5, "support": "email"}
    plan = make_plan(api, features=features, metadata={"tier": ["a", 1]})
    assert api.get(f"/v1/plans/{plan}")["features"] == features
    changed = api.patch(f"/v1/plans/{plan}", {"features": {"sso": False}})
    assert (changed.status, changed["features"]) == (200, {"sso": False})
    assert changed["metadata"] == {"tier": ["a", 1]}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"description": 5}, "description"),
        ({"features": ["sso"]}, "features"),
        ({"features": {"sso": None}}, "features"),
        ({"features": {"sso": {"on": True}}}, "features"),
        ({"features": {"sso": "x" * 256}}, "features"),
        ({"price": 1}, "price"),
    ],
)
def test_what_makes_no_plan_is_refused(api: Api, wrong: dict[str, Any], field: str) -> None:
    answer = api.post("/v1/plans", {"name": "API Platform", **wrong})
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == field
    assert api.get("/v1/plans")["data"] == []


def test_labels_and_features_change_where_they_are(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    # when
    changed = api.patch(f"/v1/plans/{plan}", {"name": "API", "features": {"sso": True}})
    # then
    assert (changed["id"], changed["name"], changed["variants"][0]["id"]) == (plan, "API", variant)
    assert api.patch(f"/v1/plans/{plan}", {"name": "API"})["updated_at"] == changed["updated_at"]
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="plan.updated")
        assert record.changes == {"name": ["API Platform", "API"], "features": [{}, {"sso": True}]}


def test_an_archived_plan_takes_no_variants(api: Api) -> None:
    plan, other = make_plan(api), make_plan(api)
    # when
    archived = api.post(f"/v1/plans/{plan}/archive")
    # then
    assert archived.status == 200
    assert archived["archived_at"] is not None
    assert api.post(f"/v1/plans/{plan}/archive")["archived_at"] == archived["archived_at"]
    body = {"name": "Monthly", "billing_cycle": "monthly", "billing_mode": "postpaid"}
    assert api.post(f"/v1/plans/{plan}/variants", body).refusal() == (409, "plan-archived")
    assert [row["id"] for row in api.get("/v1/plans?archived=false")["data"]] == [other]
    assert [row["id"] for row in api.get("/v1/plans?archived=true")["data"]] == [plan]


def test_another_tenant_sees_nothing_of_the_catalogue(api: Api, rival: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    theirs = Api(rival.test.secret)
    assert theirs.get("/v1/plans")["data"] == []
    for path in (f"/v1/plans/{plan}", f"/v1/plans/{plan}/variants"):
        assert theirs.get(path).refusal() == (404, "plan-not-found")
    path = f"/v1/plans/{plan}/variants/{variant}"
    assert theirs.get(path).refusal() == (404, "plan-variant-not-found")
    assert theirs.patch(path, {"name": "Mine"}).refusal() == (404, "plan-variant-not-found")
    assert theirs.post(f"{path}/credit-grants", {"credits": 1}).refusal() == (404, "plan-variant-not-found")
    assert theirs.get("/v1/plans/plan_x").refusal() == (404, "not-found")


def test_the_catalogue_has_its_scope(acme: Character, api: Api) -> None:
    made = api.post("/v1/api-keys", {"name": "reader", "scopes": ["catalog:read"]})
    reader = Api(made["secret"])
    plan = make_plan(api)
    assert reader.get(f"/v1/plans/{plan}").status == 200
    assert reader.post("/v1/plans", {"name": "Mine"}).refusal() == (403, "scope-missing")
    assert [row["id"] for row in api.get("/v1/plans")["data"]] == [plan]
