"""`/v1/price-plans`: versions are made and never changed; prices in major units come in, minor units go out."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from subscriptions.models import Plan, PlanVariant, PricePlan, PricePlanVersion
from tests.conftest import Api, Character
from tests.subscriptions.deals import BUDGET, make_variant
from tests.subscriptions.pricing import GROWTH, fee, make_price_plan, subscribe_to


@pytest.fixture
def _metric(api: Api) -> None:
    assert api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"}).status == 201


pytestmark = pytest.mark.usefixtures("_metric")


def test_a_price_plan_keeps_exact_prices(api: Api) -> None:
    made = api.post("/v1/price-plans", {**GROWTH, "minimum": "10.50", "changelog": "First"})

    assert made.status == 201, made
    shown = api.get("/v1/price-plans/plan_growth").json
    assert shown == made.json
    assert shown["charges"] == [
        {
            "key": "0",
            "metric_key": "api_calls",
            "pricing_model": "tiered",
            "tiers": [
                {"up_to": 100000, "unit_price": "0"},
                {"up_to": 1000000, "unit_price": "0.0001"},
                {"up_to": None, "unit_price": "0.00005"},
            ],
            "pay_in": "arrears",
        },
        {
            "key": "1",
            "metric_key": None,
            "pricing_model": "flat_fee",
            "amount": "49",
            "pay_in": "arrears",
            "description": "Growth base fee",
        },
    ]
    assert (shown["minimum"], shown["changelog"], shown["currency"], shown["warnings"]) == (
        1050,
        "First",
        "usd",
        [],
    )


def test_the_same_id_again_is_the_next_version(api: Api) -> None:
    make_price_plan(api, "plan_fee", fee("49"))
    make_price_plan(api, "plan_fee", fee("59"), changelog="Dearer", name="Fee")

    versions = api.get("/v1/price-plans/plan_fee/versions")["data"]

    assert [(row["version"], row["status"], row["changelog"]) for row in versions] == [
        (2, "active", "Dearer"),
        (1, "superseded", ""),
    ]
    assert [row["charges"][0]["amount"] for row in versions] == ["59", "49"]
    assert api.get("/v1/price-plans/plan_fee/versions/1")["name"] == "Fee"
    assert [row["version"] for row in api.get("/v1/price-plans")["data"]] == [2]


def test_a_superseded_version_takes_those_who_name_it(api: Api, acme: Character) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_fee", fee("59"))

    assert subscribe_to(api, acme.test, "plan_fee").look()["plan_version"] == 2
    assert subscribe_to(api, acme.test, "plan_fee", plan_version=1).look()["plan_version"] == 1


def test_a_version_is_deprecated_and_taken_back(api: Api) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_fee", fee("59"))

    assert api.patch("/v1/price-plans/plan_fee", {"status": "deprecated"})["status"] == "deprecated"
    assert api.patch("/v1/price-plans/plan_fee", {"status": "active"})["status"] == "active"
    one = "/v1/price-plans/plan_fee/versions/1"
    assert api.patch(one, {"status": "deprecated"})["status"] == "deprecated"
    assert api.patch(one, {"status": "active"})["status"] == "superseded"


def test_a_deprecated_version_stays_so_when_the_next_is_made(api: Api) -> None:
    make_price_plan(api)
    api.patch("/v1/price-plans/plan_fee", {"status": "deprecated"})

    assert make_price_plan(api, "plan_fee", fee("59"))["status"] == "active"

    assert api.get("/v1/price-plans/plan_fee/versions/1")["status"] == "deprecated"


def test_labels_change_and_are_audited(api: Api, acme: Character) -> None:
    make_price_plan(api)

    answer = api.patch("/v1/price-plans/plan_fee", {"name": "Fee", "metadata": {"a": "b"}})

    assert (answer["name"], answer["metadata"], answer["version"]) == ("Fee", {"a": "b"}, 1)
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.filter(action="price_plan.updated").get()
        assert record.changes["name"] == ["Plan_Fee", "Fee"]
        assert Plan.objects.get().name == "Fee"


def test_an_archived_one_takes_no_version(api: Api, acme: Character) -> None:
    make_price_plan(api)
    assert api.post("/v1/price-plans/plan_fee/archive")["archived_at"] is not None

    again = api.post("/v1/price-plans", {**GROWTH, "id": "plan_fee"})

    assert again.refusal() == (409, "price-plan-archived")
    assert [row["id"] for row in api.get("/v1/price-plans?archived=true")["data"]] == ["plan_fee"]
    with environment_scope(acme.test.id):
        assert PricePlanVersion.objects.count() == 1


def test_an_archived_one_is_sold_again_under_the_id_that_no_other_could_have(api: Api) -> None:
    make_price_plan(api)
    api.post("/v1/price-plans/plan_fee/archive")

    back = api.post("/v1/price-plans/plan_fee/unarchive")

    assert (back.status, back["archived_at"], back["status"]) == (200, None, "active")
    assert api.post("/v1/price-plans/plan_fee/unarchive").json == back.json
    assert api.post("/v1/price-plans", {**GROWTH, "id": "plan_fee"})["version"] == 2


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        (
            {"charges": [{"pricing_model": "per_unit", "metric_key": "none", "unit_price": 1}]},
            "metric-not-found",
            "charges.0.metric_key",
        ),
        ({"charges": [{"pricing_model": "per_unit", "unit_price": 1}]}, "required", "charges.0.metric_key"),
        ({"charges": [fee("-1")]}, "out-of-range", "charges.0.amount"),
        ({"charges": ["free"]}, "invalid", "charges.0"),
        ({"minimum": "10.005"}, "invalid", "minimum"),
        ({"minimum": -1}, "out-of-range", "minimum"),
        ({"entitlements": {"calls": {"type": "limit"}}}, "invalid", "entitlements.calls.limit"),
        (
            {"entitlements": {"calls": {"type": "limit", "limit": 1, "metric_key": "none"}}},
            "metric-not-found",
            "entitlements.calls.metric_key",
        ),
        ({"entitlements": {"calls": {"type": "odd"}}}, "invalid", "entitlements.calls.type"),
        ({"entitlements": {"sso": None}}, "invalid", "entitlements.sso.type"),
        ({"entitlements": {"sso": {"type": "boolean", "value": 1}}}, "invalid", "entitlements.sso.value"),
    ],
)
def test_what_makes_no_sense_is_named_and_leaves_nothing(
    api: Api, acme: Character, more: dict[str, Any], code: str, field: str
) -> None:
    answer = api.post("/v1/price-plans", {**GROWTH, **more})

    assert answer.refusal() == (422, "invalid-price-plan")
    assert [(error["field"], error["code"]) for error in answer["errors"]] == [(field, code)]
    with environment_scope(acme.test.id):
        assert (PricePlan.objects.count(), Plan.objects.count(), PlanVariant.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(
    "more",
    [
        {"id": "a/b"},
        {"id": ""},
        {"id": "."},
        {"id": " plan"},
        {"id": "x" * 256},
        {"currency": "mc"},
        {"currency": "xxx"},
        {"billing_period": "fortnightly"},
        {"charges": None},
        {"charges": {}},
        {"surprise": 1},
    ],
)
def test_what_cannot_be_read_is_refused(api: Api, acme: Character, more: dict[str, Any]) -> None:
    assert api.post("/v1/price-plans", {**GROWTH, **more}).refusal() == (422, "validation-failed")

    with environment_scope(acme.test.id):
        assert PricePlan.objects.count() == 0


def test_minor_units_are_those_of_the_currency(api: Api) -> None:
    assert make_price_plan(api, "yen", fee("500"), currency="JPY", minimum="100")["minimum"] == 100
    assert make_price_plan(api, "dinar", fee("5"), currency="KWD", minimum="1.005")["minimum"] == 1005


def test_how_it_is_sold_by_itself_is_nobodys_business(api: Api, acme: Character) -> None:
    make_price_plan(api)
    with environment_scope(acme.test.id):
        variant = PlanVariant.objects.select_related("plan").get()
    plan = f"/v1/plans/{variant.plan.public_id}"

    assert api.get("/v1/plans")["data"] == []
    assert api.get(plan).refusal() == (404, "plan-not-found")
    assert api.patch(plan, {"name": "x"}).refusal() == (404, "plan-not-found")
    assert api.get(f"{plan}/variants").refusal() == (404, "plan-not-found")
    one = f"{plan}/variants/{variant.public_id}"
    assert api.get(one).refusal() == (404, "plan-variant-not-found")
    assert api.patch(one, {"price": 1, "currency": "usd"}).refusal() == (404, "plan-variant-not-found")
    grants = {"credits": 1000}
    assert api.post(f"{one}/credit-grants", grants).refusal() == (404, "plan-variant-not-found")
    api.post("/v1/customers", {"external_id": "user_1"})
    body = {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}
    assert api.post("/v1/subscriptions", body).refusal() == (404, "plan-variant-not-found")
    rule = {"billable_metric_key": "api_calls", "cost_type": "flat", "unit_cost": 1}
    refused = api.post("/v1/metering-rules", {**rule, "plan_variant_id": variant.public_id})
    assert refused.status == 422


def test_a_plan_variant_carries_a_price_plan(api: Api) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_year", billing_period="yearly")
    plan = api.post("/v1/plans", {"name": "Both"})["id"]
    terms = {"name": "Monthly", "billing_cycle": "monthly", "billing_mode": "postpaid"}

    made = api.post(f"/v1/plans/{plan}/variants", {**terms, "price_plan_id": "plan_fee"})
    assert (made.status, made["price_plan_id"], made["price_plan_version"]) == (201, "plan_fee", 1)
    # another version, and none, while nobody is on it
    make_price_plan(api, "plan_fee", fee("59"))
    one = f"/v1/plans/{plan}/variants/{made['id']}"
    assert api.patch(one, {"price_plan_version": 2})["price_plan_version"] == 2
    assert api.patch(one, {"price_plan_id": None})["price_plan_id"] is None
    # and what does not fit
    for more, refusal in (
        ({"price_plan_id": "plan_year"}, (422, "billing-period-differs")),
        ({"price_plan_id": "plan_none"}, (404, "price-plan-not-found")),
        ({"price_plan_version": 1}, (422, "validation-failed")),
    ):
        assert api.patch(one, more).refusal() == refusal
    assert api.get(one)["price_plan_id"] is None


def test_a_variant_in_use_gets_its_price_plan_with_its_next_version(api: Api, acme: Character) -> None:
    make_price_plan(api)
    variant = make_variant(acme.test, BUDGET)
    api.post("/v1/customers", {"external_id": "user_1"})
    body = {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}
    assert api.post("/v1/subscriptions", body)["price_plan_id"] is None

    one = f"/v1/plans/{variant.plan.public_id}/variants/{variant.public_id}"
    next_version = api.patch(one, {"price_plan_id": "plan_fee"})

    assert (next_version.status, next_version["version"], next_version["price_plan_id"]) == (
        201,
        2,
        "plan_fee",
    )
    assert api.get(one)["price_plan_id"] is None
    # and a version after that keeps it
    api.post("/v1/customers", {"external_id": "user_2"})
    body = {"external_customer_id": "user_2", "plan_variant_id": next_version["id"]}
    subscribed = api.post("/v1/subscriptions", body)
    assert (subscribed["price_plan_id"], subscribed["plan_version"]) == ("plan_fee", 1)
    third = api.patch(one.replace(variant.public_id, next_version["id"]), {"trial_days": 3})
    assert (third["version"], third["price_plan_id"]) == (3, "plan_fee")


def test_what_is_priced_twice_is_warned_of(api: Api, acme: Character) -> None:
    # given a rule for one customer only
    api.post("/v1/customers", {"external_id": "user_2"})
    rule = {"billable_metric_key": "api_calls", "cost_type": "flat", "unit_cost": 1}
    api.post("/v1/metering-rules", {**rule, "external_customer_id": "user_2"})
    # then the price plan warns, and so does the subscription of whom it concerns
    made = api.post("/v1/price-plans", GROWTH)
    assert [warning["metric_key"] for warning in made["warnings"]] == ["api_calls"]
    assert made["warnings"][0]["code"] == "priced-twice"
    for who, warned in (("user_1", []), ("user_2", ["api_calls"])):
        api.post("/v1/customers", {"external_id": who})
        body = {"external_customer_id": who, "plan_id": "plan_growth"}
        answer = api.post("/v1/subscriptions", body)
        assert [warning["metric_key"] for warning in answer["warnings"]] == warned
    # and a rule that comes later
    later = api.post("/v1/metering-rules", rule)
    assert [warning["code"] for warning in later["warnings"]] == ["priced-twice"]
    assert "plan_growth" in later["warnings"][0]["message"]


def test_subscribers_are_moved_to_the_next_version(api: Api, acme: Character) -> None:
    make_price_plan(api)
    deals = [subscribe_to(api, acme.test, "plan_fee", who=f"user_{n}") for n in range(3)]
    deals[1].act("pause")
    make_price_plan(api, "plan_fee", fee("59"))

    look = api.post("/v1/price-plans/plan_fee/migrate", {"preview": True})
    assert (look.status, look["result"]) == (202, {"subscriptions": 3, "previewed": 2, "refused": 1})
    assert {deal.look()["pending_price_plan_version"] for deal in deals} == {None}

    job = api.post("/v1/price-plans/plan_fee/migrate", {"from_versions": [1], "effective": "immediate"})

    assert job["result"] == {"subscriptions": 3, "moved": 2, "refused": 1}
    assert [deal.look()["plan_version"] for deal in deals] == [2, 1, 2]
    rows = api.get(f"/v1/jobs/{job['id']}/results")["data"]
    assert {(row["from_price_plan_id"], row["from_price_plan_version"]) for row in rows} == {("plan_fee", 1)}


def test_versions_to_move_from_must_be_there(api: Api) -> None:
    make_price_plan(api)

    answer = api.post("/v1/price-plans/plan_fee/migrate", {"from_versions": [1, 9]})

    assert answer.refusal() == (404, "price-plan-not-found")


def test_rivals_do_not_see_it(api: Api, rival: Character) -> None:
    make_price_plan(api)
    stranger = Api(rival.test.secret)

    assert stranger.get("/v1/price-plans")["data"] == []
    for path in ("", "/versions", "/versions/1"):
        assert stranger.get(f"/v1/price-plans/plan_fee{path}").refusal() == (404, "price-plan-not-found")
    assert stranger.patch("/v1/price-plans/plan_fee", {"name": "x"}).status == 404
    assert stranger.post("/v1/price-plans/plan_fee/archive").status == 404
    assert stranger.post("/v1/price-plans/plan_fee/unarchive").status == 404
    assert stranger.post("/v1/price-plans/plan_fee/migrate", {}).status == 404
    # and the same id is theirs to use
    assert make_price_plan(stranger)["version"] == 1


@pytest.mark.parametrize("version", ["0", "3", "x", "-1", "9" * 30, "\u0661"])
def test_a_version_that_is_none_is_not_found(api: Api, version: str) -> None:
    make_price_plan(api)

    assert api.get(f"/v1/price-plans/plan_fee/versions/{version}").status == 404
