"""A year of expiring grants and holds in seconds, on the real server; and another process that knew the old time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from billing.services.verification import ledger_verify
from tests.conftest import Api, Character
from tests.making import give, make_metric, use
from tests.scenarios.conftest import Service

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def everything(service: Service) -> list[dict[str, object]]:
    """The ledger of user_1, oldest first."""
    entries: list[dict[str, object]] = []
    path = "/v1/customer-by-external-id/user_1/credits/history?limit=100"
    cursor = ""
    while True:
        page = service.call("GET", f"{path}&cursor={cursor}" if cursor else path)
        assert page.status == 200
        entries += page["data"]
        if not page["pagination"]["has_more"]:
            return entries[::-1]
        cursor = page["pagination"]["next_cursor"]


def test_a_year_of_grants_and_holds_in_seconds(service: Service, api: Api, acme: Character) -> None:
    assert service.call("POST", "/v1/test-clock", {"frozen_time": text(START)}).status == 200
    make_metric(api)
    give(api, 50_000)
    for week in range(52):
        # given: a budget for a week that nobody uses up, and a hold for a job that nobody finishes
        now = START + week * 7 * DAY
        give(api, 10_000, expires_at=text(now + 7 * DAY), priority=10)
        assert use(api, 4).status == 202
        wish = {
            "external_customer_id": "user_1",
            "billable_metric_key": "api_call",
            "estimated_units": 2,
            "ttl_seconds": 3 * 86_400,
        }
        assert service.call("POST", "/v1/reserve", wish, Idempotency_Key=uuid4().hex).status == 201
        # when
        done = service.call("POST", "/v1/test-clock/advance", {"to": text(now + 7 * DAY)})
        # then: the hold ended after three days, the rest of the budget after seven
        assert (done.status, done["instants"], done["done"]) == (200, 2, {"credits": 2})

    entries = everything(service)
    assert len(entries) == 1 + 52 * 3
    expired = [entry for entry in entries if entry["kind"] == "expire"]
    assert {entry["amount"] for entry in expired} == {-6_000}
    assert [entry["occurred_at"] for entry in expired] == [text(START + n * 7 * DAY) for n in range(1, 53)]
    assert entries[-1]["balance_after"] == 50_000
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_every_process_knows_the_new_time_when_the_call_has_answered(service: Service, api: Api) -> None:
    # given: this process and the server, and both know key, catalogue and time
    assert service.call("POST", "/v1/test-clock", {"frozen_time": text(START)}).status == 200
    make_metric(api)
    give(api, 50_000)
    wish = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 1}
    balance = "/v1/customer-by-external-id/user_1/credits"
    for turn in range(1, 20):
        mine, theirs = START + (2 * turn) * DAY, START + (2 * turn + 1) * DAY
        # when one of them moves the clock
        assert api.post("/v1/test-clock/advance", {"to": text(mine)}).status == 200
        # then the other goes by it
        assert service.call("GET", balance)["as_of"] == text(mine)
        assert service.call("POST", "/v1/usage", wish, Idempotency_Key=uuid4().hex).status == 202
        assert everything(service)[-1]["occurred_at"] == text(mine)
        assert service.call("POST", "/v1/test-clock/advance", {"to": text(theirs)}).status == 200
        assert use(api, 1).status == 202
        assert everything(service)[-1]["occurred_at"] == text(theirs)
