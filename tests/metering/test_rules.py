"""Metering rules: services and API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from customers.kernel.database import environment_scope
from customers.kernel.ids import uuid7
from customers.kernel.instants import instant_text
from customers.models import AuditRecord, Environment
from metering.errors import EffectiveFromPast, InvalidMeteringRule, MetricUnknown
from metering.models import MeteringRule
from metering.selectors.rules import rules_list
from metering.services.metrics import metric_create
from metering.services.rules import rule_create
from tests.conftest import Answer, Api, Character
from tests.making import make_variant

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)
PER_UNIT = {"cost_type": "per_unit", "unit_cost": 1000}
TIERS = [
    {"up_to": 10000, "credit_cost": 1000},
    {"up_to": 100000, "credit_cost": 500},
    {"up_to": None, "credit_cost": 100},
]
TIERED = {"cost_type": "tiered", "tiers": TIERS}


@pytest.fixture(autouse=True)
def metric(acme: Character) -> None:
    for world in (acme.test, acme.live):
        with environment_scope(world.id):
            metric_create(caller=world.caller, key="api_call", name="API Call", now=NOW)


def create(character: Character, **wish: Any) -> MeteringRule:
    with environment_scope(character.test.id):
        wish = {"metric_key": "api_call", "definition": PER_UNIT, "now": NOW, **wish}
        return rule_create(caller=character.test.caller, **wish)


def statuses(character: Character, now: datetime) -> list[tuple[int, str]]:
    with environment_scope(character.test.id):
        rules: list[Any] = list(rules_list(now=now).order_by("id"))
        return [(rule.version, rule.status) for rule in rules]


def what_there_is(character: Character) -> tuple[int, int, int]:
    """Rules, audit records of rules, config version."""
    with environment_scope(character.test.id):
        return (
            MeteringRule.objects.count(),
            AuditRecord.objects.filter(object_type="metering_rule").count(),
            Environment.objects.get(id=character.test.id).config_version,
        )


def post(api: Api, **body: Any) -> Answer:
    return api.post("/v1/metering-rules", {"billable_metric_key": "api_call", **body})


# --- As printed


def test_the_quickstart_rule(api):
    body = {"billable_metric_key": "api_call", **PER_UNIT}
    answer = api.post("/v1/metering-rules", body, idempotency_key="quickstart-rule-1")
    assert answer.status == 201
    assert answer.json == {
        "id": answer["id"],
        "billable_metric_key": "api_call",
        "version": 1,
        "status": "active",
        "cost_type": "per_unit",
        "unit_cost": 1000,
        "plan_variant_id": None,
        "customer_id": None,
        "external_customer_id": None,
        "effective_from": answer["created_at"],
        "effective_until": None,
        "created_at": answer["created_at"],
    }
    assert answer["id"].startswith("rul_")
    assert api.get(f"/v1/metering-rules/{answer['id']}").json == answer.json
    again = api.post("/v1/metering-rules", body, idempotency_key="quickstart-rule-1")
    assert (again.status, again.bytes) == (201, answer.bytes)
    assert len(api.get("/v1/metering-rules")["data"]) == 1


def test_the_tiered_rule_with_a_unit_cost_beside(api):
    answer = post(api, cost_type="tiered", tiers=TIERS, unit_cost=1000)
    assert answer.status == 201
    assert (answer["tier_mode"], answer["tiers"]) == ("graduated", TIERS)
    assert "unit_cost" not in answer.json


@pytest.mark.parametrize(
    "prices",
    [
        {"cost_type": "flat", "unit_cost": 0},
        {"cost_type": "per_unit", "unit_cost": "0.0000000001"},
        {"cost_type": "per_unit", "unit_cost": 1000000000000000},
        {"cost_type": "package", "package_size": "0.5", "package_cost": 8000},
        {"cost_type": "per_unit", "unit_cost": "1.5", "minimum_cost": 10},
        {
            "cost_type": "tiered",
            "tier_mode": "volume",
            "tiers": [
                {"up_to": "2.5", "credit_cost": 3, "flat_cost": "0.25"},
                {"up_to": None, "credit_cost": 1},
            ],
        },
        {
            "cost_type": "rates",
            "dimension": "model",
            "rates": {
                "large": {"cost_type": "flat", "unit_cost": 30},
                "*": {**TIERED, "tier_mode": "graduated"},
            },
        },
    ],
)
def test_all_kinds_of_prices_are_kept_as_they_were_sent(api, prices):
    answer = post(api, **prices)
    assert answer.status == 201, answer
    assert {name: answer[name] for name in prices} == prices


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("1.50", "1.5"),
        ("1e3", 1000),
        ("7.0", 7),
        ("-0", 0),
        (" 1", None),
        ("1_0", None),
        ("٣", None),
        ("NaN", None),
    ],
)
def test_prices_are_exact_decimals_as_text(api, sent, kept):
    answer = post(api, cost_type="per_unit", unit_cost=sent)
    assert (answer.status, answer.json.get("unit_cost")) == ((422, None) if kept is None else (201, kept))


def test_a_price_sent_as_a_fraction_in_json_stays_exact(api):
    body = b'{"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 0.1000000001}'
    assert api.post("/v1/metering-rules", body)["unit_cost"] == "0.1000000001"


def test_rates_inherit_the_cost_type_and_the_minimum(api):
    answer = post(
        api,
        cost_type="per_unit",
        minimum_cost=5,
        dimension="model",
        rates={"large": {"unit_cost": 30}, "*": {"unit_cost": 10, "minimum_cost": 1}},
    )
    assert answer["cost_type"] == "per_unit"
    assert answer["rates"] == {
        "large": {"cost_type": "per_unit", "unit_cost": 30, "minimum_cost": 5},
        "*": {"cost_type": "per_unit", "unit_cost": 10, "minimum_cost": 1},
    }


# --- What is refused

OPEN = {"up_to": None, "credit_cost": 1}
REFUSED = [
    ({}, "cost_type"),
    ({"cost_type": "per_unit"}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": None}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": -1}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": True}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": []}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": "0.00000000001"}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": 10**15 + 1}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": 10**300}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": "1e999"}, "unit_cost"),
    ({"cost_type": "per_unit", "unit_cost": 1, "package_size": 1}, "package_size"),
    ({"cost_type": "per_unit", "unit_cost": 1, "tiers": [OPEN]}, "tiers"),
    ({"cost_type": "per_unit", "unit_cost": 1, "minimum_cost": -1}, "minimum_cost"),
    ({"cost_type": "package", "package_cost": 1}, "package_size"),
    ({"cost_type": "package", "package_size": 0, "package_cost": 1}, "package_size"),
    ({"cost_type": "package", "package_size": 1}, "package_cost"),
    ({"cost_type": "tiered"}, "tiers"),
    ({"cost_type": "tiered", "tiers": []}, "tiers"),
    ({"cost_type": "tiered", "tiers": {}}, "tiers"),
    ({"cost_type": "tiered", "tiers": [7]}, "tiers.0"),
    ({"cost_type": "tiered", "tiers": [{"up_to": 5, "credit_cost": 1}]}, "tiers.0.up_to"),
    ({"cost_type": "tiered", "tiers": [OPEN, OPEN]}, "tiers.0.up_to"),
    ({"cost_type": "tiered", "tiers": [{"up_to": None}]}, "tiers.0.credit_cost"),
    ({"cost_type": "tiered", "tiers": [{"up_to": 0, "credit_cost": 1}, OPEN]}, "tiers.0.up_to"),
    ({"cost_type": "tiered", "tiers": [{"up_to": -5, "credit_cost": 1}, OPEN]}, "tiers.0.up_to"),
    ({"cost_type": "tiered", "tiers": [{**OPEN, "credit_cost": -1}]}, "tiers.0.credit_cost"),
    ({"cost_type": "tiered", "tiers": [{**OPEN, "flat_cost": -1}]}, "tiers.0.flat_cost"),
    ({"cost_type": "tiered", "tiers": [{**OPEN, "price": 1}]}, "tiers.0.price"),
    ({"cost_type": "tiered", "tiers": [{"up_to": 5, "credit_cost": 1}] * 2 + [OPEN]}, "tiers.1.up_to"),
    ({"cost_type": "tiered", "tiers": [OPEN], "dimension": "model"}, "tiers"),
    ({"dimension": "model"}, "rates"),
    ({"rates": {"*": PER_UNIT}}, "dimension"),
    ({"dimension": "", "rates": {"*": PER_UNIT}}, "dimension"),
    ({"dimension": "model", "rates": {}}, "rates"),
    ({"dimension": "model", "rates": {"": PER_UNIT}}, "rates."),
    ({"dimension": "model", "rates": {"*": {"unit_cost": 1}}}, "rates.*.cost_type"),
    ({"dimension": "model", "rates": {"*": {"cost_type": "flat"}}}, "rates.*.unit_cost"),
    ({"dimension": "model", "rates": {"*": {**PER_UNIT, "dimension": "x"}}}, "rates.*.dimension"),
    ({"dimension": "model", "rates": {"*": 7}}, "rates.*"),
    ({**PER_UNIT, "plan_variant_id": "pln_x"}, "plan_variant_id"),
    ({**PER_UNIT, "effective_from": "tomorrow"}, "effective_from"),
    ({**PER_UNIT, "effective_from": "2020-01-01T00:00:00Z"}, "effective_from"),
    ({**PER_UNIT, "colour": "red"}, "colour"),
    ({**PER_UNIT, "version": 7}, "version"),
]


@pytest.mark.parametrize(("prices", "field"), REFUSED, ids=range(len(REFUSED)))
def test_bad_prices_are_refused_by_field_and_leave_nothing(api, acme, prices, field):
    before = what_there_is(acme)
    answer = post(api, **prices)
    assert answer.refusal()[0] == 422
    assert field in [error["field"] for error in answer["errors"]]
    assert what_there_is(acme) == before


def test_no_more_than_a_hundred_tiers(api):
    def tiers(count: int) -> list[dict[str, Any]]:
        return [{"up_to": number + 1, "credit_cost": 1} for number in range(count - 1)] + [OPEN]

    assert post(api, cost_type="tiered", tiers=tiers(100)).status == 201
    assert post(api, cost_type="tiered", tiers=tiers(101)).refusal() == (422, "invalid-metering-rule")


def test_every_fault_is_named_at_once(acme):
    with pytest.raises(InvalidMeteringRule) as refused:
        create(acme, definition={"cost_type": "package", "package_size": "x", "package_cost": -1, "a": 1})
    assert [error.field for error in refused.value.errors] == ["a", "package_size", "package_cost"]


def test_an_unknown_metric_is_named_in_the_body_so_422(api, acme):
    answer = post(api, billable_metric_key="nothing", **PER_UNIT)
    assert answer.refusal() == (422, "metric-not-found")
    with pytest.raises(MetricUnknown):
        create(acme, metric_key="nothing")


def test_nobody_prices_with_somebody_elses_metric(api, rival):
    assert post(Api(rival.test.secret), **PER_UNIT).refusal() == (422, "metric-not-found")
    rule = post(api, **PER_UNIT)
    theirs = Api(rival.test.secret).get(f"/v1/metering-rules/{rule['id']}")
    assert theirs.refusal() == (404, "metering-rule-not-found")


@pytest.mark.parametrize("name", ["rul_x", "nothing", "met_01jr2zk5q8e4f9t6v7w8x9y0za"])
def test_what_is_no_rule_is_404(api, name):
    assert api.get(f"/v1/metering-rules/{name}").status == 404


# --- Scopes


def test_a_rule_for_a_customer(api, acme):
    customer = api.post("/v1/customers", {"external_id": "big"})
    by_external = post(api, **PER_UNIT, external_customer_id="big")
    by_id = post(api, **PER_UNIT, customer_id=customer["id"])
    for version, rule in ((1, by_external), (2, by_id)):
        assert (rule["version"], rule["customer_id"]) == (version, customer["id"])
        assert rule["external_customer_id"] == "big"
    default = post(api, **PER_UNIT)
    assert (default["version"], default["customer_id"]) == (1, None)
    found = api.get("/v1/metering-rules?external_customer_id=big")["data"]
    assert [rule["id"] for rule in found] == [by_id["id"], by_external["id"]]
    assert api.get("/v1/metering-rules?customer_id=nobody")["data"] == []
    with environment_scope(acme.test.id):
        audit = AuditRecord.objects.filter(action="metering_rule.created", customer_id__isnull=False)
        assert audit.count() == 2


def test_a_rule_for_a_plan_variant(api):
    variant = make_variant(api)
    rule = post(api, **PER_UNIT, plan_variant_id=variant)
    assert rule["plan_variant_id"] == variant
    post(api, **PER_UNIT)
    assert [found["id"] for found in api.get(f"/v1/metering-rules?plan_variant_id={variant}")["data"]] == [
        rule["id"]
    ]


def test_a_rule_has_one_scope(api, acme):
    api.post("/v1/customers", {"external_id": "big"})
    variant = make_variant(api)
    both = post(api, **PER_UNIT, external_customer_id="big", plan_variant_id=variant)
    assert both.refusal() == (422, "invalid-metering-rule")
    assert what_there_is(acme)[0] == 0


def test_a_customer_is_named_once_and_exists(api, acme):
    before = what_there_is(acme)
    twice = post(api, **PER_UNIT, external_customer_id="big", customer_id="big")
    assert twice.refusal() == (400, "ambiguous-customer")
    assert post(api, **PER_UNIT, external_customer_id="big").refusal() == (404, "customer-not-found")
    assert what_there_is(acme) == before


# --- Versions in time


def test_a_new_version_takes_over_at_once(acme):
    first = create(acme)
    second = create(acme, now=NOW + timedelta(hours=1))
    assert (first.version, second.version) == (1, 2)
    assert statuses(acme, NOW + timedelta(minutes=59)) == [(1, "active"), (2, "scheduled")]
    assert statuses(acme, NOW + timedelta(hours=1)) == [(1, "superseded"), (2, "active")]


def test_a_version_for_later_waits_and_one_made_meanwhile_holds_until_then(acme):
    create(acme)
    create(acme, effective_from=NOW + timedelta(days=30))
    create(acme, now=NOW + timedelta(days=1))
    assert statuses(acme, NOW) == [(1, "active"), (2, "scheduled"), (3, "scheduled")]
    assert statuses(acme, NOW + timedelta(days=2)) == [(1, "superseded"), (2, "scheduled"), (3, "active")]
    assert statuses(acme, NOW + timedelta(days=30)) == [(1, "superseded"), (2, "active"), (3, "superseded")]


def test_of_two_that_begin_at_one_instant_the_later_version_holds(acme):
    later = NOW + timedelta(days=1)
    create(acme, effective_from=later)
    create(acme, effective_from=later)
    assert statuses(acme, NOW) == [(1, "superseded"), (2, "scheduled")]
    assert statuses(acme, later) == [(1, "superseded"), (2, "active")]


def test_until_when_a_rule_holds_is_shown_and_status_filters(api):
    later = instant_text(datetime.now(UTC).replace(microsecond=0) + timedelta(days=1))
    first = post(api, **PER_UNIT)
    second = post(api, **PER_UNIT, effective_from=later)
    assert (second["status"], second["effective_from"]) == ("scheduled", later)
    assert api.get(f"/v1/metering-rules/{first['id']}")["effective_until"] == later
    for status, ids in (("active", [first["id"]]), ("scheduled", [second["id"]]), ("superseded", [])):
        assert [rule["id"] for rule in api.get(f"/v1/metering-rules?status={status}")["data"]] == ids


def test_a_little_past_means_now_and_more_is_refused(acme):
    rule = create(acme, effective_from=NOW - timedelta(minutes=5))
    assert rule.effective_from == NOW
    before = what_there_is(acme)
    with pytest.raises(EffectiveFromPast):
        create(acme, effective_from=NOW - timedelta(minutes=5, microseconds=1))
    assert what_there_is(acme) == before


def test_a_process_whose_clock_is_behind_still_supersedes(acme):
    create(acme)
    second = create(acme, now=NOW - timedelta(seconds=1))
    assert second.effective_from == NOW
    assert statuses(acme, NOW) == [(1, "superseded"), (2, "active")]


def test_versions_made_at_once_are_numbered_without_gaps(acme, together):
    made = together(8, lambda _: create(acme).version)
    assert sorted(made) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_rule_is_recorded_and_raises_the_config_version(acme):
    rules, records, version = what_there_is(acme)
    rule = create(acme, definition={"cost_type": "per_unit", "unit_cost": Decimal("0.5")})
    assert what_there_is(acme) == (rules + 1, records + 1, version + 1)
    assert rule.config_version == version + 1
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(object_id=rule.public_id)
    assert record.actor == acme.test.caller.actor
    assert record.changes == {
        "metric": [None, "api_call"],
        "version": [None, 1],
        "definition": [None, {"cost_type": "per_unit", "unit_cost": "0.5"}],
        "effective_from": [None, "2026-04-03T09:01:00Z"],
    }


# --- What the database refuses by itself


@pytest.mark.parametrize("statement", ["UPDATE metering_rule SET version = 9", "DELETE FROM metering_rule"])
def test_the_application_cannot_change_a_rule(acme, statement):
    create(acme)
    with environment_scope(acme.test.id), pytest.raises(DatabaseError), transaction.atomic():
        connection.cursor().execute(statement)


def test_nobody_can_change_a_rule(acme, superuser_sql):
    rule = create(acme)
    for statement in (
        "UPDATE metering_rule SET version = 9 WHERE id = %s",
        "DELETE FROM metering_rule WHERE id = %s",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            superuser_sql.execute(statement, [rule.id])


def test_the_application_cannot_change_what_a_metric_counts(acme):
    for statement in ("UPDATE metering_metric SET key = 'x'", "DELETE FROM metering_metric"):
        with environment_scope(acme.test.id), pytest.raises(DatabaseError), transaction.atomic():
            connection.cursor().execute(statement)


def test_one_environment_does_not_see_the_rules_of_another(acme, rival):
    create(acme)
    for environment_id in (acme.live.id, rival.test.id):
        with environment_scope(environment_id):
            assert MeteringRule.objects.count() == 0
    with environment_scope(acme.live.id), pytest.raises(DatabaseError), transaction.atomic():
        connection.cursor().execute(
            "INSERT INTO metering_metric (id, environment_id, key, name, description, aggregation, status, created_at,"
            " updated_at) VALUES (%s, %s, 'x', 'x', '', 'sum', 'active', now(), now())",
            [uuid7(), acme.test.id],
        )
