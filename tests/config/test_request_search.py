"""Somebody at the desk has a request id, of an answer's header or of a problem, and asks what the request did."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, uuid7, uuid7_around, uuid7_floor
from tests.desk import Desk, somebody
from tests.making import give, make_metric, use

LEDGER = "/admin/billing/ledgerentry/"
EVENTS = "/admin/metering/usageevent/"
AUDIT = "/admin/customers/auditrecord/"
NOTHING_STORED = "This request stored nothing here"
ONLY_AUDIT = "Only audit records were searched by request id"


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


def asked(desk, term):
    return desk.open(f"/admin/search/?s={quote(term)}")


def request_of(answer):
    return answer.headers["X-Request-Id"]


def entry_of(desk, event_id):
    """The id of the ledger entry that an event's page names."""
    page = desk.open(f"{EVENTS}{event_id}/change/")
    return page.partition(f"{LEDGER}led_")[2].partition("/")[0]


def test_a_usage_call_is_found_with_its_event_and_its_ledger_entry(desk, api):
    make_metric(api)
    give(api, 100_000)
    answer = use(api, 7)
    use(api, 8)

    found = asked(desk, request_of(answer))

    assert found.count("<li class") == 2
    assert f"{EVENTS}{answer['event_id']}/change/" in found
    assert f"{LEDGER}led_{entry_of(desk, answer['event_id'])}/change/" in found
    assert NOTHING_STORED not in found


def test_a_grant_is_found_with_its_block_and_its_ledger_entry(desk, api):
    answer = api.post(
        "/v1/customer-by-external-id/user_1/credits/grant", {"credits": 5_000}, idempotency_key="grant-1"
    )
    block = answer["block"]["id"]

    found = asked(desk, request_of(answer))

    assert f"/admin/billing/creditblock/{block}/change/" in found
    assert f"{LEDGER}led_" in found


def test_a_change_is_found_with_its_audit_record(desk, api):
    answer = api.post("/v1/billable-metrics", {"key": "api_call", "name": "API call"})

    found = asked(desk, request_of(answer))

    assert "metric.created" in found
    assert f"{AUDIT}" in found


def test_many_objects_of_one_kind_are_left_to_the_list(desk, api):
    make_metric(api)
    give(api, 100_000)
    events = [
        {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1} for _ in range(7)
    ]
    answer = api.post("/v1/usage/batch", {"events": events}, idempotency_key="batch-1")
    asked_id = request_of(answer)

    found = asked(desk, asked_id)

    assert found.count(f"{EVENTS}evt_") == 5
    assert "All usage events of this request" in found
    assert f"{EVENTS}?q={asked_id}" in found
    assert "7 results" in desk.open(f"{EVENTS}?q={asked_id}")
    assert "7 results" in desk.open(f"{LEDGER}?q={asked_id}")


def test_a_refused_request_has_an_id_that_leads_to_the_word_that_nothing_is_stored(desk, api):
    make_metric(api)
    refused = use(api, 7)
    assert refused.refusal() == (402, "insufficient-credits")
    assert refused["request_id"] == request_of(refused)

    assert NOTHING_STORED in asked(desk, refused["request_id"])


def test_an_id_that_the_caller_chose_is_looked_for_among_audit_records_and_that_is_said(desk, api):
    make_metric(api)
    give(api, 100_000)
    theirs = f"gateway-{uuid4().hex}"
    chosen = {"X-Request-Id": theirs}
    api.post("/v1/billable-metrics", {"key": "tokens", "name": "Tokens"}, headers=chosen)
    event = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    api.post("/v1/usage", {**event, "idempotency_key": "order-1"}, headers=chosen)

    found = asked(desk, theirs)

    assert "metric.created" in found
    assert ONLY_AUDIT in found
    assert "has no time in it" in found
    assert EVENTS not in found
    assert "metric.created" in desk.open(f"{AUDIT}?q={theirs}")


def test_an_unknown_id_of_a_program_is_told_what_was_searched_and_a_name_is_not(desk):
    assert ONLY_AUDIT in asked(desk, uuid4().hex)
    assert ONLY_AUDIT not in asked(desk, "brightline-laboratories")
    assert ONLY_AUDIT not in asked(desk, typeid("req", uuid7())[:-3])
    assert ONLY_AUDIT not in asked(desk, typeid("blk", uuid7()))


def test_requests_of_another_environment_are_not_found(desk, api, acme, rival):
    answer = api.post("/v1/billable-metrics", {"key": "api_call", "name": "API call"})
    stranger = Desk(desk.user, rival.test)

    assert "metric.created" not in asked(stranger, request_of(answer))
    assert "metric.created" not in stranger.open(f"{AUDIT}?q={request_of(answer)}")
    stranger.look_at(acme.live)
    assert "metric.created" not in asked(stranger, request_of(answer))


def test_who_may_see_nothing_finds_nothing(api, acme):
    answer = api.post("/v1/billable-metrics", {"key": "api_call", "name": "API call"})

    found = asked(Desk(somebody(), acme.test), request_of(answer))

    assert "Nothing matched your search" in found


def test_one_question_finds_all_kinds(desk, api):
    make_metric(api)
    give(api, 100_000)

    assert desk.queries(f"/admin/search/?s={request_of(use(api, 7))}") <= 15


@pytest.mark.parametrize("made", [0, (1 << 48) - 1])
def test_an_id_from_the_beginning_or_the_end_of_time_is_no_fault(desk, made):
    from_where = typeid("req", UUID(int=made << 80))

    assert NOTHING_STORED in asked(desk, from_where)


def test_identifiers_around_an_instant():
    now = system_now()
    middle = uuid7_floor(now)

    first, end = uuid7_around(middle, before=timedelta(seconds=2), after=timedelta(seconds=60))

    assert first == uuid7_floor(now - timedelta(seconds=2))
    assert end == uuid7_floor(now + timedelta(seconds=60))


def test_the_rows_of_that_minute_are_read_and_no_others(acme, superuser_sql):
    """A condition on the key alone narrows the ledger and the events; the request id itself has no index there."""
    first, end = uuid7_around(uuid7(), before=timedelta(seconds=2), after=timedelta(seconds=60))
    for table in ("billing_ledger_entry", "metering_usage_event"):
        with environment_scope(acme.test.id), superuser_sql.transaction():
            superuser_sql.execute("SET LOCAL enable_seqscan = off")
            plan = superuser_sql.execute(
                f"EXPLAIN SELECT id FROM {table} WHERE environment_id = %s AND id >= %s AND id < %s"
                " AND request_id = 'req_x'",
                (acme.test.id, first, end),
            ).fetchall()
        (condition,) = [line for (line,) in plan if "Index Cond" in line]
        assert "id >= " in condition
        assert "id < " in condition
