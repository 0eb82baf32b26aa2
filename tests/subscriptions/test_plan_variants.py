"""`/v1/plans/{id}/variants`: terms, and their versions."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import AuditRecord
from subscriptions.models import PlanVariant
from tests.conftest import Api, Character
from tests.making import make_metric, make_plan, make_rule, make_variant
from tests.subscriptions.catalogue import make_grant, put_somebody_on

TERMS: dict[str, Any] = {
    "name": "Monthly Postpaid",
    "billing_cycle": "monthly",
    "billing_mode": "postpaid",
    "allow_usage_while_overdue": True,
}


def test_a_variant_is_made_shown_and_listed(api: Api) -> None:
    plan = make_plan(api)
    # when: as source 002 prints it
    made = api.post(f"/v1/plans/{plan}/variants", TERMS, idempotency_key="variant:api-monthly-postpaid")
    # then
    assert made.status == 201
    assert made.json == {
        "id": made["id"],
        "plan_id": plan,
        "version": 1,
        "current_version_id": made["id"],
        **TERMS,
        "description": "",
        "renewal_due_days": 3,
        "grace_period_days": 3,
        "trial_days": 0,
        "price": None,
        "currency": None,
        "fallback_variant_id": None,
        "price_plan_id": None,
        "price_plan_version": None,
        "credit_grants": [],
        "metadata": {},
        "superseded_at": None,
        "archived_at": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert api.get(f"/v1/plans/{plan}/variants/{made['id']}").json == made.json
    assert api.get(f"/v1/plans/{plan}/variants")["data"] == [made.json]
    assert api.get(f"/v1/plans/{plan}")["variants"] == [made.json]


@pytest.mark.parametrize("cycle", ["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"])
@pytest.mark.parametrize("mode", ["prepaid", "postpaid"])
def test_each_cycle_and_mode_can_be_sold(api: Api, cycle: str, mode: str) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan, billing_cycle=cycle, billing_mode=mode, price=2000, currency="EUR")
    found = api.get(f"/v1/plans/{plan}/variants?billing_cycle={cycle}&billing_mode={mode}")["data"]
    assert [(row["id"], row["price"], row["currency"]) for row in found] == [(variant, 2000, "EUR")]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"billing_cycle": "fortnightly"}, "billing_cycle"),
        ({"billing_mode": "free"}, "billing_mode"),
        ({"renewal_due_days": -1}, "renewal_due_days"),
        ({"grace_period_days": 367}, "grace_period_days"),
        ({"trial_days": 1.5}, "trial_days"),
        ({"price": 2000}, "currency"),
        ({"currency": "usd"}, "price"),
        ({"price": -1, "currency": "usd"}, "price"),
        ({"price": 1, "currency": "dollars"}, "currency"),
        ({"fallback_variant_id": "pvr_x"}, "fallback_variant_id"),
        ({"cycle": "monthly"}, "cycle"),
    ],
)
def test_terms_that_make_no_sense_are_refused(api: Api, wrong: dict[str, Any], field: str) -> None:
    plan = make_plan(api)
    answer = api.post(f"/v1/plans/{plan}/variants", {**TERMS, **wrong})
    assert answer.refusal() == (422, "validation-failed")
    assert answer["errors"][0]["field"] == field
    assert api.get(f"/v1/plans/{plan}")["variants"] == []


def test_a_variant_falls_back_to_another_that_is_sold(api: Api) -> None:
    plan = make_plan(api)
    free, gone = make_variant(api, plan), make_variant(api, plan)
    api.post(f"/v1/plans/{plan}/variants/{gone}/archive")
    # when
    paid = make_variant(api, plan, fallback_variant_id=free)
    # then
    path = f"/v1/plans/{plan}/variants/{paid}"
    assert api.get(path)["fallback_variant_id"] == free
    unknown = "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t"
    for refused in (paid, gone, unknown):
        assert api.patch(path, {"fallback_variant_id": refused}).refusal() == (422, "fallback-refused")
    assert api.get(path)["fallback_variant_id"] == free
    assert api.patch(path, {"fallback_variant_id": None})["fallback_variant_id"] is None


def test_without_subscribers_terms_change_where_they_are(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    # when
    changed = api.patch(f"/v1/plans/{plan}/variants/{variant}", {"billing_mode": "prepaid", "trial_days": 14})
    # then
    assert changed.status == 200
    assert (changed["id"], changed["version"]) == (variant, 1)
    assert (changed["billing_mode"], changed["trial_days"]) == ("prepaid", 14)
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="plan_variant.updated")
        assert record.changes == {"billing_mode": ["postpaid", "prepaid"], "trial_days": [0, 14]}


def test_with_subscribers_other_terms_are_a_new_version(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan, metadata={"sold": "online"})
    grant = make_grant(api, plan, variant)
    dropped = make_grant(api, plan, variant, name="dropped")
    api.post(f"/v1/plans/{plan}/variants/{variant}/credit-grants/{dropped}/archive")
    subscription = put_somebody_on(acme, variant)
    before = api.get(f"/v1/plans/{plan}/variants/{variant}").json
    # when
    body = {"grace_period_days": 7, "name": "Monthly, patient"}
    changed = api.patch(f"/v1/plans/{plan}/variants/{variant}", body, idempotency_key="patient")
    # then: the new one
    assert changed.status == 201
    new = changed["id"]
    assert new != variant
    assert changed.json == {
        **before,
        **body,
        "id": new,
        "version": 2,
        "current_version_id": new,
        "created_at": changed["created_at"],
        "updated_at": changed["created_at"],
        "credit_grants": [
            {
                **before["credit_grants"][0],
                "id": changed["credit_grants"][0]["id"],
                "plan_variant_id": new,
                "created_at": changed["created_at"],
                "updated_at": changed["created_at"],
            }
        ],
    }
    assert changed["credit_grants"][0]["id"] != grant
    # and the old one, as it was
    after = api.get(f"/v1/plans/{plan}/variants/{variant}").json
    assert after == {
        **before,
        "current_version_id": new,
        "superseded_at": changed["created_at"],
        "updated_at": changed["created_at"],
    }
    with environment_scope(acme.test.id):
        subscription.refresh_from_db()
        assert subscription.variant_id == typeid_parse("pvr", variant)
    assert [row["id"] for row in api.get(f"/v1/plans/{plan}")["variants"]] == [new]
    path = f"/v1/plans/{plan}/variants"
    assert [row["id"] for row in api.get(f"{path}?superseded=true")["data"]] == [variant]
    # and a retry makes no third
    again = api.patch(f"{path}/{variant}", body, idempotency_key="patient")
    assert (again.status, again["id"]) == (201, new)
    assert len(api.get(path)["data"]) == 2


def test_a_new_version_has_the_metering_rules_of_the_old(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    make_metric(api)
    make_rule(api, cost_type="per_unit", unit_cost=900, plan_variant_id=variant)
    make_rule(api, cost_type="per_unit", unit_cost=800, plan_variant_id=variant)
    make_rule(
        api,
        cost_type="per_unit",
        unit_cost=700,
        plan_variant_id=variant,
        effective_from="2099-01-01T00:00:00Z",
    )
    put_somebody_on(acme, variant)
    # when
    new = api.patch(f"/v1/plans/{plan}/variants/{variant}", {"trial_days": 7})["id"]
    # then: what holds and what is to come, not what was
    rules = api.get(f"/v1/metering-rules?plan_variant_id={new}")["data"]
    assert [(rule["unit_cost"], rule["status"], rule["version"]) for rule in rules] == [
        (700, "scheduled", 2),
        (800, "active", 1),
    ]
    assert rules[0]["effective_from"] == "2099-01-01T00:00:00Z"
    assert len(api.get(f"/v1/metering-rules?plan_variant_id={variant}")["data"]) == 3


@pytest.mark.parametrize("labels", [{"name": "Monthly!"}, {"description": "By card"}, {"metadata": {"a": 1}}])
def test_labels_change_where_they_are_also_with_subscribers(
    api: Api, acme: Character, labels: dict[str, Any]
) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    put_somebody_on(acme, variant)
    changed = api.patch(f"/v1/plans/{plan}/variants/{variant}", labels)
    assert changed.status == 200
    assert (changed["id"], changed["version"], changed["superseded_at"]) == (variant, 1, None)
    assert {name: changed[name] for name in labels} == labels


def test_what_is_sent_again_as_it_is_makes_no_version(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    put_somebody_on(acme, variant)
    same = api.patch(f"/v1/plans/{plan}/variants/{variant}", {"billing_cycle": "monthly", "trial_days": 0})
    assert (same.status, same["id"]) == (200, variant)


@pytest.mark.parametrize("facts", [{}, {"status": "canceled"}])
def test_who_is_only_planned_to_move_there_or_has_left_counts_as_a_subscriber(
    api: Api, acme: Character, facts: dict[str, Any]
) -> None:
    plan = make_plan(api)
    variant, coming = make_variant(api, plan), make_variant(api, plan)
    put_somebody_on(acme, variant, pending_variant_id=typeid_parse("pvr", coming), **facts)
    for one in (variant, coming):
        changed = api.patch(f"/v1/plans/{plan}/variants/{one}", {"trial_days": 7})
        assert (changed.status, changed["version"]) == (201, 2)


def test_a_superseded_version_is_changed_no_more(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    grant = make_grant(api, plan, variant)
    put_somebody_on(acme, variant)
    path = f"/v1/plans/{plan}/variants/{variant}"
    new = api.patch(path, {"trial_days": 7})["id"]
    # when
    refused = (
        api.patch(path, {"trial_days": 9}),
        api.post(f"{path}/credit-grants", {"credits": 5}),
        api.patch(f"{path}/credit-grants/{grant}", {"credits": 5}),
        api.post(f"{path}/credit-grants/{grant}/archive"),
    )
    # then
    for answer in refused:
        assert answer.refusal() == (409, "plan-variant-superseded")
        assert answer["current_version_id"] == new
    assert api.patch(path, {"name": "The old one"}).status == 200
    with environment_scope(acme.test.id):
        assert PlanVariant.objects.count() == 2


def test_an_archived_variant_keeps_its_terms(api: Api, acme: Character) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    path = f"/v1/plans/{plan}/variants/{variant}"
    # when
    archived = api.post(f"{path}/archive")
    # then
    assert archived["archived_at"] is not None
    assert api.post(f"{path}/archive").json == archived.json
    assert api.patch(path, {"trial_days": 9}).refusal() == (409, "plan-variant-archived")
    assert api.patch(path, {"name": "Gone"})["name"] == "Gone"
    assert api.get(f"/v1/plans/{plan}/variants?archived=false")["data"] == []


def test_a_variant_is_found_under_its_own_plan_only(api: Api) -> None:
    variant = make_variant(api, make_plan(api))
    other = make_plan(api)
    assert api.get(f"/v1/plans/{other}/variants/{variant}").refusal() == (404, "plan-variant-not-found")
    assert api.get(f"/v1/plans/{other}/variants/pvr_x").refusal() == (404, "not-found")


def test_a_metering_rule_is_for_a_variant_that_there_is(api: Api) -> None:
    make_metric(api)
    variant = make_variant(api)
    unknown = "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t"
    body = {"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 5}
    refused = api.post("/v1/metering-rules", {**body, "plan_variant_id": unknown})
    assert refused.refusal() == (422, "plan-variant-not-found")
    assert refused["errors"][0]["field"] == "plan_variant_id"
    assert api.get(f"/v1/metering-rules?plan_variant_id={unknown}")["data"] == []
    made = api.post("/v1/metering-rules", {**body, "plan_variant_id": variant})
    assert (made.status, made["plan_variant_id"]) == (201, variant)


def test_two_changes_at_once_make_one_version_after_the_other(
    api: Api, acme: Character, together: Any
) -> None:
    plan = make_plan(api)
    variant = make_variant(api, plan)
    put_somebody_on(acme, variant)
    path = f"/v1/plans/{plan}/variants/{variant}"

    answers = together(4, lambda index: Api(acme.test.secret).patch(path, {"trial_days": index + 1}))

    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    with environment_scope(acme.test.id):
        versions = PlanVariant.objects.order_by("version")
        assert [(one.version, one.superseded_at is None) for one in versions] == [(1, False), (2, True)]
