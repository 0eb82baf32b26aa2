"""Lists: newest first, in cursor pages that stay put while rows are being added."""

from __future__ import annotations

import base64

import pytest

PATH = "/v1/customers"


def names(answer):
    return [customer["external_id"] for customer in answer["data"]]


def test_a_walk_through_the_pages_sees_everybody_once_newest_first(api):
    for number in range(7):
        api.post(PATH, {"external_id": f"c{number}"})

    first = api.get(f"{PATH}?limit=3")
    second = api.get(f"{PATH}?limit=3&cursor={first['pagination']['next_cursor']}")
    third = api.get(f"{PATH}?limit=3&cursor={second['pagination']['next_cursor']}")

    assert names(first) + names(second) + names(third) == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]
    assert [page["pagination"]["has_more"] for page in (first, second, third)] == [True, True, False]
    assert third["pagination"] == {"has_more": False, "next_cursor": None}


def test_rows_added_meanwhile_move_nothing(api):
    for number in range(4):
        api.post(PATH, {"external_id": f"c{number}"})
    first = api.get(f"{PATH}?limit=2")

    api.post(PATH, {"external_id": "late"})
    second = api.get(f"{PATH}?limit=2&cursor={first['pagination']['next_cursor']}")

    assert names(first) + names(second) == ["c3", "c2", "c1", "c0"]


def test_exactly_one_page_has_no_next(api):
    for number in range(2):
        api.post(PATH, {"external_id": f"c{number}"})

    assert api.get(f"{PATH}?limit=2")["pagination"] == {"has_more": False, "next_cursor": None}


def test_an_empty_list(api):
    assert api.get(PATH).json == {"data": [], "pagination": {"has_more": False, "next_cursor": None}}


def test_a_page_is_50_unless_told_otherwise(api, acme, superuser_sql):
    superuser_sql.execute(
        "INSERT INTO customers_customer (id, environment_id, public_id, created_at, updated_at) "
        "SELECT purser_uuid7(), %s, 'c' || n, now(), now() FROM generate_series(1, 120) n",
        [acme.test.id],
    )

    assert len(api.get(PATH)["data"]) == 50
    assert len(api.get(f"{PATH}?limit=100")["data"]) == 100
    assert len(api.get(f"{PATH}?limit=1")["data"]) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "1.5", "", "99999999999999999999", "٣"])
def test_a_bad_limit_is_refused(api, limit):
    refused = api.get(f"{PATH}?limit={limit}")

    assert refused.refusal() == (422, "validation-failed")
    assert refused["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    "cursor", ["", "x", "%00", "é", "a" * 5000, base64.urlsafe_b64encode(b"n12x").decode(), "bg"]
)
def test_a_bad_cursor_is_refused(api, cursor):
    refused = api.get(f"{PATH}?cursor={cursor}")

    assert refused.refusal() == (422, "validation-failed")
    assert refused["errors"][0]["field"] == "cursor"


def test_a_cursor_of_another_environment_opens_nothing(api, acme):
    api.post(PATH, {"external_id": "a"}, key=acme.live.secret)
    api.post(PATH, {"external_id": "b"}, key=acme.live.secret)
    cursor = api.get(f"{PATH}?limit=1", key=acme.live.secret)["pagination"]["next_cursor"]

    assert api.get(f"{PATH}?cursor={cursor}")["data"] == []
