"""`/v1/plans/{id}/variants/{id}/credit-grants`."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, User
from subscriptions.models import CreditGrantTemplate
from tests.conftest import Api, Character
from tests.desk import Desk
from tests.making import make_plan, make_variant
from tests.subscriptions.catalogue import BUDGET, make_grant, put_somebody_on


@pytest.fixture
def plan(api: Api) -> str:
    return make_plan(api)


@pytest.fixture
def variant(api: Api, plan: str) -> str:
    return make_variant(api, plan)


@pytest.fixture
def path(plan: str, variant: str) -> str:
    return f"/v1/plans/{plan}/variants/{variant}/credit-grants"


def test_a_credit_grant_is_made_shown_and_listed(api: Api, path: str, plan: str, variant: str) -> None:
    # when: as source 002 prints it
    made = api.post(path, BUDGET, idempotency_key="grant:api-monthly-budget")
    # then
    assert made.status == 201
    assert made["id"].startswith("cgt_")
    assert made.json == {
        "id": made["id"],
        "plan_variant_id": variant,
        "name": "",
        **BUDGET,
        "interval_seconds": None,
        "priority": 10,
        "expires": None,
        "metadata": {},
        "archived_at": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert api.get(f"{path}/{made['id']}").json == made.json
    assert api.get(path)["data"] == [made.json]
    assert api.get(f"/v1/plans/{plan}")["variants"][0]["credit_grants"] == [made.json]


def test_credits_alone_are_granted_each_cycle_and_never_expire(api: Api, path: str) -> None:
    made = api.post(path, {"credits": 50000})
    told = ("grant_type", "grant_interval", "source", "priority", "rollover_percentage", "expires")
    assert [made[name] for name in told] == ["recurring", "billing_cycle", "plan_grant", 10, 0, None]
    assert (made["expires_after_seconds"], made["accumulation_cap"]) == (None, None)


@pytest.mark.parametrize(
    "terms",
    [
        {"grant_interval": "hourly", "expires": "interval_end"},
        {"grant_interval": "daily", "rollover_percentage": 50, "accumulation_cap": 75000},
        {"grant_interval": "weekly", "priority": 0},
        {"grant_interval": "monthly", "source": "promotional"},
        {"grant_interval": "custom", "interval_seconds": 90, "expires_after_seconds": 90},
        {"grant_type": "one_time", "name": "Welcome"},
    ],
)
def test_each_interval_can_be_granted(api: Api, path: str, terms: dict[str, Any]) -> None:
    made = api.post(path, {"credits": 50000, **terms})
    assert made.status == 201, made
    assert {name: made[name] for name in terms} == terms


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"credits": 0}, "credits"),
        ({"credits": "100"}, "credits"),
        ({"grant_type": "sometimes"}, "grant_type"),
        ({"grant_interval": "yearly"}, "grant_interval"),
        ({"grant_interval": "custom"}, "interval_seconds"),
        ({"interval_seconds": 60}, "interval_seconds"),
        ({"grant_interval": "custom", "interval_seconds": 0}, "interval_seconds"),
        ({"priority": 101}, "priority"),
        ({"expires": "never"}, "expires"),
        ({"expires": "interval_end"}, "expires"),
        ({"expires_after_seconds": 0}, "expires_after_seconds"),
        ({"rollover_percentage": 101}, "rollover_percentage"),
        ({"grant_type": "one_time", "rollover_percentage": 1}, "rollover_percentage"),
        ({"accumulation_cap": 99999999}, "accumulation_cap"),
        ({"amount": 1}, "amount"),
    ],
)
def test_terms_that_make_no_sense_are_refused(api: Api, path: str, wrong: dict[str, Any], field: str) -> None:
    answer = api.post(path, {**BUDGET, **wrong})
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == field
    assert api.get(path)["data"] == []


def test_without_subscribers_terms_change_where_they_are(api: Api, path: str, acme: Character) -> None:
    grant = api.post(path, BUDGET)["id"]
    # when
    changed = api.patch(f"{path}/{grant}", {"credits": 5000, "expires": "interval_end"})
    # then
    assert (changed.status, changed["id"], changed["credits"]) == (200, grant, 5000)
    assert (changed["expires"], changed["expires_after_seconds"]) == ("interval_end", None)
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="credit_grant.updated")
        assert record.changes == {
            "credits_mc": [100000000, 5000],
            "expires_at_interval_end": [False, True],
            "expires_after_seconds": [2592000, None],
        }


def test_what_excludes_each_other_takes_the_place_of_the_other(api: Api, path: str) -> None:
    grant = api.post(path, {"credits": 5, "grant_interval": "custom", "interval_seconds": 60})["id"]
    daily = api.patch(f"{path}/{grant}", {"grant_interval": "daily", "expires": "interval_end"})
    assert (daily["interval_seconds"], daily["expires"]) == (None, "interval_end")
    lasting = api.patch(f"{path}/{grant}", {"expires_after_seconds": 60})
    assert (lasting["expires"], lasting["expires_after_seconds"]) == (None, 60)
    both = api.patch(f"{path}/{grant}", {"expires_after_seconds": 90, "expires": "interval_end"})
    assert both.refusal() == (422, "validation-failed")
    assert api.get(f"{path}/{grant}").json == lasting.json
    assert api.patch(f"{path}/{grant}", {"expires_after_seconds": None})["expires_after_seconds"] is None


def test_with_subscribers_another_grant_is_a_new_version(
    api: Api, path: str, plan: str, variant: str, acme: Character
) -> None:
    first = make_grant(api, plan, variant)
    put_somebody_on(acme, variant)
    # when
    made = api.post(path, {"credits": 5000, "name": "More"})
    # then
    assert made.status == 201
    new = made["plan_variant_id"]
    assert new != variant
    shown = api.get(f"/v1/plans/{plan}/variants/{new}")
    assert shown["version"] == 2
    assert [grant["credits"] for grant in shown["credit_grants"]] == [100000000, 5000]
    assert [grant["id"] for grant in api.get(path)["data"]] == [first]


def test_with_subscribers_other_terms_are_a_new_version(
    api: Api, path: str, plan: str, variant: str, acme: Character
) -> None:
    first, second = make_grant(api, plan, variant), make_grant(api, plan, variant, credits=7)
    put_somebody_on(acme, variant)
    # when
    changed = api.patch(f"{path}/{first}", {"credits": 5000})
    # then
    assert (changed.status, changed["credits"]) == (201, 5000)
    new = changed["plan_variant_id"]
    assert new != variant
    assert changed["id"] not in {first, second}
    grants = api.get(f"/v1/plans/{plan}/variants/{new}")["credit_grants"]
    assert [(grant["credits"], grant["expires_after_seconds"]) for grant in grants] == [
        (5000, 2592000),
        (7, 2592000),
    ]
    assert api.get(f"{path}/{first}")["credits"] == 100000000


def test_with_subscribers_an_archived_grant_is_archived_in_a_new_version(
    api: Api, path: str, plan: str, variant: str, acme: Character
) -> None:
    first, second = make_grant(api, plan, variant), make_grant(api, plan, variant, credits=7)
    put_somebody_on(acme, variant)
    # when
    archived = api.post(f"{path}/{first}/archive")
    # then
    assert archived.status == 201
    new = archived["plan_variant_id"]
    assert archived["archived_at"] is not None
    assert new != variant
    assert [grant["credits"] for grant in api.get(f"/v1/plans/{plan}/variants/{new}")["credit_grants"]] == [7]
    assert api.get(f"{path}/{first}")["archived_at"] is None
    assert {grant["id"] for grant in api.get(f"{path}?archived=false")["data"]} == {first, second}


def test_labels_change_where_they_are_also_with_subscribers(
    api: Api, path: str, plan: str, variant: str, acme: Character
) -> None:
    grant = make_grant(api, plan, variant)
    put_somebody_on(acme, variant)
    changed = api.patch(f"{path}/{grant}", {"name": "Budget", "metadata": {"a": 1}})
    assert (changed.status, changed["id"], changed["name"]) == (200, grant, "Budget")
    assert changed["metadata"] == {"a": 1}


def test_an_archived_grant_keeps_its_terms(api: Api, path: str, plan: str, variant: str) -> None:
    grant = make_grant(api, plan, variant)
    archived = api.post(f"{path}/{grant}/archive")
    assert (archived.status, archived["id"]) == (200, grant)
    assert api.post(f"{path}/{grant}/archive").json == archived.json
    assert api.patch(f"{path}/{grant}", {"credits": 5}).refusal() == (409, "credit-grant-archived")
    assert api.get(f"/v1/plans/{plan}/variants/{variant}")["credit_grants"] == []
    assert [row["id"] for row in api.get(f"{path}?archived=true")["data"]] == [grant]


def test_a_refused_change_makes_no_version(
    api: Api, path: str, plan: str, variant: str, acme: Character
) -> None:
    grant = make_grant(api, plan, variant)
    put_somebody_on(acme, variant)
    refused = api.patch(f"{path}/{grant}", {"accumulation_cap": 5})
    assert refused.refusal() == (422, "validation-failed")
    assert len(api.get(f"/v1/plans/{plan}/variants")["data"]) == 1
    with environment_scope(acme.test.id):
        assert CreditGrantTemplate.objects.count() == 1


def test_a_grant_is_found_under_its_own_variant_only(api: Api, plan: str, variant: str) -> None:
    grant = make_grant(api, plan, variant)
    other = make_variant(api, plan)
    path = f"/v1/plans/{plan}/variants/{other}/credit-grants"
    assert api.get(f"{path}/{grant}").refusal() == (404, "credit-grant-not-found")
    assert api.patch(f"{path}/{grant}", {"credits": 5}).refusal() == (404, "credit-grant-not-found")
    assert api.post(f"{path}/{grant}/archive").refusal() == (404, "credit-grant-not-found")


def test_it_is_found_by_its_id_on_the_page_of_its_variant(
    api: Api, acme: Character, rival: Character, operator: User, path: str, variant: str
) -> None:
    # given
    grant = api.post(path, BUDGET)["id"]
    found = f"/{variant}/change/"
    # then
    assert found in Desk(operator, acme.test).open(f"/admin/search/?s={grant}")
    # but not from elsewhere
    assert found not in Desk(operator, acme.live).open(f"/admin/search/?s={grant}")
    assert found not in Desk(operator, rival.test).open(f"/admin/search/?s={grant}")
