"""The catalogue under those who are on it: nobody's terms change, and nobody subscribes to terms that just did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from tests.conftest import Api, Character
from tests.making import make_plan, make_variant
from tests.subscriptions.catalogue import make_grant


def subscribe(api: Api, variant: str, customer: str = "acme_corp") -> Any:
    if api.get(f"/v1/customer-by-external-id/{customer}").status == 404:
        assert api.post("/v1/customers", {"external_id": customer}).status == 201
    return api.post("/v1/subscriptions", {"external_customer_id": customer, "plan_variant_id": variant})


def test_who_subscribed_stays_on_their_version(api: Api) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    make_grant(api, plan, variant)
    subscription = subscribe(api, variant)["id"]
    # when
    new = api.patch(f"/v1/plans/{plan}/variants/{variant}", {"billing_cycle": "yearly"})
    # then
    assert (new.status, new["version"]) == (201, 2)
    assert api.get(f"/v1/subscriptions/{subscription}")["plan_variant_id"] == variant
    refused = subscribe(api, variant, "another")
    assert refused.refusal() == (409, "plan-variant-archived")
    assert subscribe(api, new["id"], "another")["plan_variant_id"] == new["id"]


@pytest.mark.parametrize("what", ["plan", "variant"])
def test_what_is_archived_takes_no_new_subscriptions(api: Api, what: str) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    kept = subscribe(api, variant)["id"]
    path = f"/v1/plans/{plan}" if what == "plan" else f"/v1/plans/{plan}/variants/{variant}"
    assert api.post(f"{path}/archive").status == 200

    assert subscribe(api, variant, "another").refusal() == (409, "plan-variant-archived")

    assert api.get(f"/v1/subscriptions/{kept}")["status"] == "active"


@pytest.mark.parametrize("what", ["plan", "variant"])
def test_what_was_archived_by_mistake_is_sold_again_under_its_id(
    api: Api, acme: Character, what: str
) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    path = f"/v1/plans/{plan}" if what == "plan" else f"/v1/plans/{plan}/variants/{variant}"
    api.post(f"{path}/archive")

    back = api.post(f"{path}/unarchive")

    assert (back.status, back["archived_at"]) == (200, None)
    assert subscribe(api, variant)["plan_variant_id"] == variant
    # again it changes nothing, and leaves no record
    assert api.post(f"{path}/unarchive").json == back.json
    with environment_scope(acme.test.id):
        assert AuditRecord.objects.filter(action__endswith=".unarchived").count() == 1


def test_a_variant_of_an_archived_plan_comes_back_with_its_plan(api: Api) -> None:
    plan = make_plan(api)
    variant, other = make_variant(api, plan), make_variant(api, plan, name="Other")
    for path in (
        f"/v1/plans/{plan}/variants/{variant}",
        f"/v1/plans/{plan}/variants/{other}",
        f"/v1/plans/{plan}",
    ):
        api.post(f"{path}/archive")

    api.post(f"/v1/plans/{plan}/variants/{variant}/unarchive")
    assert subscribe(api, variant).refusal() == (409, "plan-variant-archived")
    api.post(f"/v1/plans/{plan}/unarchive")

    assert subscribe(api, variant)["plan_variant_id"] == variant
    assert subscribe(api, other, "another").refusal() == (409, "plan-variant-archived")


def test_a_superseded_variant_that_comes_back_is_superseded(api: Api) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    subscribe(api, variant)
    api.patch(f"/v1/plans/{plan}/variants/{variant}", {"billing_cycle": "yearly"})
    api.post(f"/v1/plans/{plan}/variants/{variant}/archive")

    api.post(f"/v1/plans/{plan}/variants/{variant}/unarchive")

    assert subscribe(api, variant, "another").refusal() == (409, "plan-variant-archived")


def test_a_fallback_leads_to_its_newest_version(api: Api) -> None:
    plan = make_plan(api)
    free = make_variant(api, plan, name="Free")
    paid = make_variant(api, plan, fallback_variant_id=free)
    subscribe(api, free, "another")
    newest = api.patch(f"/v1/plans/{plan}/variants/{free}", {"billing_cycle": "yearly"})["id"]
    subscription = subscribe(api, paid)["id"]
    # when
    canceled = api.post(f"/v1/subscriptions/{subscription}/cancel", {"cancel_immediately": True})
    # then
    assert canceled.status == 200
    found = api.get("/v1/customer-by-external-id/acme_corp/subscriptions")["data"]
    assert [(one["plan_variant_id"], one["status"]) for one in found] == [
        (newest, "active"),
        (paid, "canceled"),
    ]


def test_terms_that_change_while_somebody_subscribes_are_theirs_or_a_new_version(
    acme: Character, together: Any
) -> None:
    api = Api(acme.test.secret)
    plan = make_plan(api)
    for number in range(4):
        variant = make_variant(api, plan)
        customers = [f"user_{number}_{index}" for index in range(3)]
        for customer in customers:
            assert api.post("/v1/customers", {"external_id": customer}).status == 201
        path = f"/v1/plans/{plan}/variants/{variant}"

        def deed(index: int, path: str = path, variant: str = variant, who: Any = customers) -> Any:
            mine = Api(acme.test.secret)
            return (
                mine.patch(path, {"billing_cycle": "daily"})
                if index == 0
                else subscribe(mine, variant, who[index - 1])
            )

        changed, *made = together(4, deed)

        cycle = timedelta(days=1) if changed.status == 200 else timedelta(days=28)
        assert changed.status in {200, 201}
        for answer in made:
            if answer.status == 409:
                assert changed.status == 201
                continue
            begin, end = (
                datetime.fromisoformat(answer[f"current_period_{side}"]) for side in ("start", "end")
            )
            assert (end - begin == cycle) if changed.status == 200 else (end - begin >= cycle)
