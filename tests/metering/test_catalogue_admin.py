"""Metrics, rules and usage events in the admin."""

from __future__ import annotations

import pytest

from customers.kernel.database import environment_scope
from metering.models import BillableMetric, MeteringRule, UsageEvent
from tests.desk import Desk, somebody
from tests.making import balance, give, make_metric, make_variant, use

METRICS = "/admin/metering/billablemetric/"
RULES = "/admin/metering/meteringrule/"
METRIC = {"key": "chat_message", "name": "Chat message", "aggregation": "sum"}
RULE = {"metric": "api_call", "cost_type": "per_unit", "unit_cost": "0.5"}


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


def test_a_metric_and_its_price_by_hand_charge_like_any(desk, api):
    assert desk.send(f"{METRICS}add/", METRIC).status_code == 302
    assert desk.send(f"{RULES}add/", {**RULE, "metric": "chat_message"}).status_code == 302
    give(api, 10_000)

    assert use(api, 3, metric="chat_message").status == 202
    assert balance(api)["balance"] == 8_500


def test_a_metric_is_made_once_however_often_the_form_is_sent(desk, acme):
    token = desk.token(f"{METRICS}add/")

    answers = [desk.send(f"{METRICS}add/", METRIC, token=token).status_code for _ in range(2)]

    assert answers == [302, 302]
    with environment_scope(acme.test.id):
        assert BillableMetric.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "Bad Key"}, "beginning with a letter"),
        ({"name": ""}, "required"),
        ({"aggregation": "unique_count"}, "Must be 1 to 255 characters"),
        ({"aggregation": "percentile"}, "Must be 0 to 100"),
    ],
)
def test_a_bad_metric_is_refused_at_its_field(desk, acme, change, message):
    answer = desk.send(f"{METRICS}add/", {**METRIC, **change})

    assert answer.status_code == 422
    assert message in answer.content.decode()
    with environment_scope(acme.test.id):
        assert not BillableMetric.objects.exists()


def test_a_key_is_taken_once(desk, api):
    make_metric(api)

    answer = desk.send(f"{METRICS}add/", {**METRIC, "key": "api_call"})

    assert answer.status_code == 422
    assert "exists already" in answer.content.decode()


def test_a_metric_is_renamed_and_switched_off_but_its_key_stays(desk, api, acme):
    make_metric(api)
    with environment_scope(acme.test.id):
        metric = BillableMetric.objects.get()

    data = {"name": "Calls", "description": "", "status": "inactive", "key": "other"}
    assert desk.send(f"{METRICS}{metric.public_id}/edit/", data).status_code == 302

    with environment_scope(acme.test.id):
        metric.refresh_from_db()
    assert (metric.key, metric.name, metric.status) == ("api_call", "Calls", "inactive")


def test_a_new_rule_is_a_new_version_and_the_old_one_stays(desk, api, acme):
    make_metric(api)

    assert desk.send(f"{RULES}add/", RULE).status_code == 302

    with environment_scope(acme.test.id):
        versions = list(MeteringRule.objects.order_by("version").values_list("version", "definition"))
    assert versions == [
        (1, {"cost_type": "per_unit", "unit_cost": 1000}),
        (2, {"cost_type": "per_unit", "unit_cost": 500}),
    ]
    page = desk.open(RULES)
    assert "Superseded" in page
    assert "0.5 credits per unit" in page


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"cost_type": "flat", "unit_cost": "2"}, {"cost_type": "flat", "unit_cost": 2000}),
        (
            {"cost_type": "per_unit", "unit_cost": "0.00005", "minimum_cost": "0.5"},
            {"cost_type": "per_unit", "unit_cost": "0.05", "minimum_cost": 500},
        ),
        (
            {"cost_type": "package", "unit_cost": "", "package_size": "100", "package_cost": "3"},
            {"cost_type": "package", "package_size": 100, "package_cost": 3000},
        ),
        (
            {"cost_type": "volume", "unit_cost": "", "tiers": "10: 1\nrest: 0.5 + 2"},
            {
                "cost_type": "tiered",
                "tier_mode": "volume",
                "tiers": [
                    {"up_to": 10, "credit_cost": 1000},
                    {"up_to": None, "credit_cost": 500, "flat_cost": 2000},
                ],
            },
        ),
    ],
)
def test_prices_in_credits_are_kept_in_millicredits(desk, api, acme, given, stored):
    make_metric(api)

    assert desk.send(f"{RULES}add/", {**RULE, **given}).status_code == 302

    with environment_scope(acme.test.id):
        assert MeteringRule.objects.get(version=2).definition == stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit_cost": ""}, "required"),
        ({"unit_cost": "-1"}, "greater than or equal to 0"),
        ({"cost_type": "graduated", "tiers": "cheap"}, "Each line reads like"),
        ({"cost_type": "graduated", "tiers": "10: 1"}, "last tier must be open"),
        ({"customer": "nobody"}, "There is no customer"),
        ({"plan_variant_id": "plan_x"}, "begins with pvr_"),
        ({"plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t"}, "There is no such plan variant"),
        ({"effective_from": "2020-01-01T00:00"}, "Must be now or later"),
        ({"metric": "unknown"}, "Select a valid choice"),
    ],
)
def test_a_bad_rule_is_refused_with_a_message(desk, api, acme, change, message):
    make_metric(api)

    answer = desk.send(f"{RULES}add/", {**RULE, **change})

    assert answer.status_code == 422
    assert message in answer.content.decode()
    with environment_scope(acme.test.id):
        assert MeteringRule.objects.count() == 1


def test_a_rule_for_one_customer_leaves_the_others_alone(desk, api):
    make_metric(api)
    give(api, 10_000, to="special")
    give(api, 10_000, to="plain")

    assert desk.send(f"{RULES}add/", {**RULE, "customer": "special"}).status_code == 302
    for who in ("special", "plain"):
        assert use(api, 2, by=who).status == 202

    assert balance(api, of="special")["balance"] == 9_000
    assert balance(api, of="plain")["balance"] == 8_000


def test_a_rule_for_a_plan_variant_names_it(desk, api, acme):
    make_metric(api)
    variant = make_variant(api)
    assert f'value="{variant}"' in desk.open(f"{RULES}add/?plan_variant={variant}")

    assert desk.send(f"{RULES}add/", {**RULE, "plan_variant_id": variant}).status_code == 302

    (rule,) = api.get(f"/v1/metering-rules?plan_variant_id={variant}")["data"]
    assert rule["unit_cost"] == 500
    assert variant in desk.open(RULES)


def test_the_preview_prices_examples_and_sets_nothing(desk, api, acme):
    make_metric(api)

    shown = desk.preview(f"{RULES}add/", RULE)

    assert "1,000 units" in shown
    assert ">500<" in shown.replace("\n", "") or "500<span" in shown
    with environment_scope(acme.test.id):
        assert MeteringRule.objects.count() == 1
    give(api, 10_000)
    assert use(api, 1).json["estimated_cost"] == 1000


@pytest.mark.parametrize("role", ["viewer", "support", "finance"])
def test_who_may_not_price_is_refused(api, acme, role):
    make_metric(api)
    desk = Desk(somebody(role), acme.test)

    desk.open(f"{RULES}add/", status=403)
    desk.open(f"{METRICS}add/", status=403)
    assert desk.client.post(f"{RULES}add/", {**RULE, "token": "t" * 32}).status_code == 403


def test_events_are_found_by_key_customer_and_id(desk, api, acme):
    make_metric(api)
    give(api, 10_000)
    give(api, 10_000, to="other")
    assert use(api, 2, idempotency_key="order-1").status == 202
    assert use(api, 3, idempotency_key="order-2", by="other").status == 202
    with environment_scope(acme.test.id):
        event = UsageEvent.objects.get(idempotency_key="order-1")

    for query in ("order-1", "user_1", event.public_id):
        page = desk.open(f"/admin/metering/usageevent/?q={query}")
        assert "order-1" in page, query
        assert "order-2" not in page, query
    assert "order-1" in desk.open("/admin/metering/usageevent/?metric=api_call")


def test_a_tiered_event_shows_what_came_before_it(desk, api, acme):
    tiers = [{"up_to": 10, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}]
    make_metric(api, cost_type="tiered", tiers=tiers)
    give(api, 100_000)
    assert use(api, 8).status == 202
    assert use(api, 4, idempotency_key="across").status == 202
    with environment_scope(acme.test.id):
        event = UsageEvent.objects.get(idempotency_key="across")
    assert event.cost_mc == 3_000

    page = desk.open(f"/admin/metering/usageevent/{event.public_id}/change/")

    for word in ("In the cycle before", "Tier 1", "Tier 2", "graduated tiers"):
        assert word in page, word
    assert "has been moved since" not in page
