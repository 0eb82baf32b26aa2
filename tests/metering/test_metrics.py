"""Metrics: services and API."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Environment
from metering.models import BillableMetric
from tests.conftest import Api, Character

QUICKSTART = {"key": "api_call", "name": "API Call", "description": "One API request."}


def config_version(character: Character) -> int:
    return Environment.objects.values_list("config_version", flat=True).get(id=character.test.id)


def names_of_metrics(character: Character) -> list[str]:
    with environment_scope(character.test.id):
        return list(BillableMetric.objects.order_by("id").values_list("name", flat=True))


def records(character: Character, **about: Any) -> list[AuditRecord]:
    with environment_scope(character.test.id):
        return list(AuditRecord.objects.filter(**about))


def test_a_metric_is_created_as_printed_in_the_quickstart(api, acme):
    answer = api.post("/v1/billable-metrics", QUICKSTART)
    assert answer.status == 201
    metric = answer.json
    assert metric == {
        "id": metric["id"],
        "key": "api_call",
        "name": "API Call",
        "description": "One API request.",
        "aggregation": "sum",
        "aggregation_property": None,
        "percentile": None,
        "status": "active",
        "created_at": metric["created_at"],
        "updated_at": metric["created_at"],
    }
    assert metric["id"].startswith("met_")
    assert len(metric["id"]) == 30


@pytest.mark.parametrize("path", ["/v1/billable-metrics", "/v1/metrics"])
def test_both_names_are_one_resource(api, path):
    api.post(path, QUICKSTART)
    for other in ("/v1/billable-metrics", "/v1/metrics"):
        assert api.get(f"{other}/api_call").json["key"] == "api_call"
        assert [metric["key"] for metric in api.get(other).json["data"]] == ["api_call"]


def test_the_name_defaults_to_the_key(api):
    assert api.post("/v1/metrics", {"key": "tokens.in-1_x"}).json["name"] == "tokens.in-1_x"


@pytest.mark.parametrize(
    ("aggregation", "more"),
    [
        ("sum", {}),
        ("count", {}),
        ("max", {}),
        ("min", {}),
        ("last", {}),
        ("unique_count", {"aggregation_property": "user_id"}),
        ("percentile", {"percentile": 95}),
        ("percentile", {"percentile": "99.9"}),
        ("percentile", {"percentile": 0}),
        ("percentile", {"percentile": 100}),
    ],
)
def test_every_aggregation_is_kept(api, aggregation, more):
    assert api.post("/v1/metrics", {**QUICKSTART, "aggregation": aggregation, **more}).status == 201
    metric = api.get("/v1/metrics/api_call").json
    assert metric["aggregation"] == aggregation
    assert {name: metric[name] for name in more} == more


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "A"}, "key"),
        ({"key": "1a"}, "key"),
        ({"key": "a b"}, "key"),
        ({"key": "a\n"}, "key"),
        ({"key": "ä"}, "key"),
        ({"key": "a" * 65}, "key"),
        ({"key": 7}, "key"),
        ({"key": None}, "key"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"description": "d" * 1001}, "description"),
        ({"aggregation": "average"}, "aggregation"),
        ({"aggregation": ["sum"]}, "aggregation"),
        ({"aggregation": "unique_count"}, "aggregation_property"),
        ({"aggregation": "unique_count", "aggregation_property": ""}, "aggregation_property"),
        ({"aggregation_property": "user_id"}, "aggregation_property"),
        ({"aggregation": "percentile"}, "percentile"),
        ({"aggregation": "percentile", "percentile": 101}, "percentile"),
        ({"aggregation": "percentile", "percentile": -1}, "percentile"),
        ({"aggregation": "percentile", "percentile": True}, "percentile"),
        ({"percentile": 95}, "percentile"),
        ({"status": "inactive"}, "status"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_is_refused_by_field_and_leaves_nothing(api, acme, change, field):
    before = config_version(acme)
    answer = api.post("/v1/metrics", {**QUICKSTART, **change})
    assert answer.status == 422
    assert answer.json["code"] == "validation-failed"
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert names_of_metrics(acme) == []
    assert records(acme, object_type="metric") == []
    assert config_version(acme) == before


def test_a_key_exists_once(api, acme):
    first = api.post("/v1/metrics", QUICKSTART).json
    before = config_version(acme)
    answer = api.post("/v1/billable-metrics", {"key": "api_call", "name": "Another"})
    assert answer.status == 409
    assert answer.json["code"] == "metric-exists"
    assert answer.json["existing_id"] == first["id"]
    assert names_of_metrics(acme) == ["API Call"]
    assert config_version(acme) == before


def test_each_environment_has_keys_of_its_own(api, rival):
    rival_api = Api(rival.test.secret)
    api.post("/v1/metrics", QUICKSTART)
    assert rival_api.post("/v1/metrics", {**QUICKSTART, "name": "Theirs"}).status == 201
    assert api.get("/v1/metrics/api_call").json["name"] == "API Call"
    assert rival_api.get("/v1/metrics/api_call").json["name"] == "Theirs"
    assert len(api.get("/v1/metrics").json["data"]) == 1


def test_an_unknown_key_is_404(api):
    for answer in (api.get("/v1/metrics/nothing"), api.patch("/v1/metrics/nothing", {"name": "x"})):
        assert answer.status == 404
        assert answer.json["code"] == "metric-not-found"


def test_labels_and_status_change_and_leave_a_record(api, acme):
    metric = api.post("/v1/metrics", QUICKSTART).json
    before = config_version(acme)
    answer = api.patch("/v1/metrics/api_call", {"name": "Calls", "description": None, "status": "inactive"})
    assert answer.status == 200
    changed = {"name": "Calls", "description": "", "status": "inactive"}
    assert answer.json == {**metric, **changed, "updated_at": answer.json["updated_at"]}
    assert config_version(acme) == before + 1
    (record,) = records(acme, action="metric.updated")
    assert record.object_id == metric["id"]
    assert record.changes == {
        "name": ["API Call", "Calls"],
        "description": ["One API request.", ""],
        "status": ["active", "inactive"],
    }


def test_what_changes_nothing_leaves_no_trace(api, acme):
    metric = api.post("/v1/metrics", QUICKSTART).json
    before = config_version(acme)
    assert api.patch("/v1/metrics/api_call", {"name": "API Call"}).json == metric
    assert config_version(acme) == before
    assert records(acme, action="metric.updated") == []


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"},
        {"aggregation": "max"},
        {"status": "deleted"},
        {"status": None},
        {"name": ""},
        {"x": 1},
    ],
)
def test_nothing_else_changes(api, change):
    metric = api.post("/v1/metrics", QUICKSTART).json
    assert api.patch("/v1/metrics/api_call", change).status == 422
    assert api.get("/v1/metrics/api_call").json == metric


def test_no_metric_is_deleted(api):
    api.post("/v1/metrics", QUICKSTART)
    assert api.delete("/v1/metrics/api_call").status == 405


def test_the_list_pages_newest_first_and_filters(api):
    for number in range(5):
        api.post("/v1/metrics", {"key": f"m{number}"})
    api.patch("/v1/metrics/m3", {"status": "inactive"})
    page = api.get("/v1/metrics?limit=2").json
    assert [metric["key"] for metric in page["data"]] == ["m4", "m3"]
    assert page["pagination"]["has_more"] is True
    rest = api.get(f"/v1/metrics?limit=3&cursor={page['pagination']['next_cursor']}").json
    assert [metric["key"] for metric in rest["data"]] == ["m2", "m1", "m0"]
    assert rest["pagination"] == {"has_more": False, "next_cursor": None}
    inactive = api.get("/v1/metrics?status=inactive").json["data"]
    assert [metric["key"] for metric in inactive] == ["m3"]
    assert api.get("/v1/metrics?colour=red").status == 422


def test_the_same_idempotency_key_makes_one_metric(api, acme):
    first = api.post("/v1/metrics", QUICKSTART, idempotency_key="quickstart-metric-1")
    again = api.post("/v1/metrics", QUICKSTART, idempotency_key="quickstart-metric-1")
    assert (again.status, again.bytes) == (201, first.bytes)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert names_of_metrics(acme) == ["API Call"]


def test_reading_and_writing_need_the_scope_catalog(api):
    def limited_to(scope):
        return Api(api.post("/v1/api-keys", {"name": scope, "scopes": [scope]})["secret"])

    reader, stranger = limited_to("catalog:read"), limited_to("usage:write")
    assert reader.get("/v1/metrics").status == 200
    assert reader.post("/v1/metrics", QUICKSTART).refusal() == (403, "scope-missing")
    assert stranger.get("/v1/metrics").refusal() == (403, "scope-missing")
