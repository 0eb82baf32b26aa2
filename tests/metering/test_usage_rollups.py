"""Hours of usage: every event once, whatever is committed when, and then equal to what the events come to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel import clock
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.instants import instant_text
from metering.models import UsageHour
from metering.selectors.overview import usage_by_day
from metering.services.usage import UsageInput, usage_record
from metering.services.usage_rollups import usage_rebuild, usage_roll
from tests.conftest import Api, Character, World, make_character
from tests.making import give, make_metric, use
from tests.metering.rolling import roll

CUSTOMER = "/v1/customer-by-external-id"


def summary(api: Api, query: str = "") -> dict[str, Any]:
    answer = api.get(f"/v1/usage/summary?from=2026-01-01&to=2036-06-01{query}")
    assert answer.status == 200, answer
    return dict(answer.json)


def by_day(api: Api, query: str = "", of: str = "user_1") -> dict[str, Any]:
    answer = api.get(f"{CUSTOMER}/{of}/usage?from=2026-04-01&to=2026-05-01{query}")
    assert answer.status == 200, answer
    return dict(answer.json)


@pytest.fixture
def priced(api: Api) -> Api:
    make_metric(api)
    give(api, 10_000_000)
    return api


def test_a_customers_usage_by_day(priced: Api) -> None:
    # given two days of April, and one event of May
    for units, stamp in (
        (3, "2026-04-03T09:01:00Z"),
        ("1.5", "2026-04-03T23:59:59Z"),
        (5, "2026-04-04T00:00:00Z"),
        (7, "2026-05-01T00:00:00Z"),
    ):
        assert use(priced, units, timestamp=stamp).status == 202
    # when
    roll()
    found = by_day(priced)
    # then
    assert (found["from"], found["to"], found["group_by"]) == (
        "2026-04-01T00:00:00Z",
        "2026-05-01T00:00:00Z",
        "day",
    )
    assert (found["lag_seconds"], found["event_count"], found["cost"]) == (0, 3, 9500)
    assert found["data"] == [
        {
            "billable_metric_key": "api_call",
            "aggregation": "sum",
            "period_start": "2026-04-03T00:00:00Z",
            "period_end": "2026-04-04T00:00:00Z",
            "quantity": "4.5",
            "event_count": 2,
            "units": "4.5",
            "max_units": 3,
            "min_units": "1.5",
            "cost": 4500,
        },
        {
            "billable_metric_key": "api_call",
            "aggregation": "sum",
            "period_start": "2026-04-04T00:00:00Z",
            "period_end": "2026-04-05T00:00:00Z",
            "quantity": 5,
            "event_count": 1,
            "units": 5,
            "max_units": 5,
            "min_units": 5,
            "cost": 5000,
        },
    ]


def test_what_is_not_rolled_up_yet_is_the_lag(priced: Api) -> None:
    use(priced, 2, timestamp="2026-04-03T09:01:00Z")
    found = by_day(priced)
    assert found["data"] == []
    assert 0 < found["lag_seconds"] < 60
    roll()
    assert by_day(priced)["lag_seconds"] == 0


def test_rolling_up_again_changes_nothing(priced: Api) -> None:
    use(priced, 2, timestamp="2026-04-03T09:01:00Z")
    roll()
    before = by_day(priced)
    roll()
    assert by_day(priced) == before
    use(priced, 1, timestamp="2026-04-03T09:02:00Z")
    roll()
    assert by_day(priced)["data"][0]["units"] == 3


def test_an_event_committed_late_is_not_stepped_over(priced: Api, acme: Character) -> None:
    # given an event whose transaction stays open
    stored, commit = Event(), Event()

    def slow() -> None:
        now = system_now()
        usage = UsageInput(
            by="external",
            reference="slow",
            metric_key="free",
            units=4,
            key=uuid4().hex,
            timestamp=datetime(2026, 4, 3, 9, tzinfo=UTC),
        )
        with transaction.atomic():
            usage_record(caller=acme.test.caller, usage=usage, now=now)
            stored.set()
            commit.wait(30)
        connection.close()

    make_metric(priced, key="free", cost_type="flat", unit_cost=0)
    thread = Thread(target=slow)
    thread.start()
    assert stored.wait(30)
    # when a later one is committed before it, and rolled up
    use(priced, 2, timestamp="2026-04-03T09:01:00Z")
    usage_roll()
    # then the later one waits too, because nobody can tell what else is still to come
    assert by_day(priced)["lag_seconds"] > 0
    # and both are there once the slow one is
    commit.set()
    thread.join(30)
    roll()
    assert by_day(priced)["lag_seconds"] == 0
    assert by_day(priced)["data"][0]["units"] == 2
    assert by_day(priced, of="slow")["data"][0]["units"] == 4


def test_a_void_is_a_lag_until_its_hour_is_made_anew(priced: Api) -> None:
    event_id = use(priced, 2, timestamp="2026-04-03T09:01:00Z")["event_id"]
    use(priced, 3, timestamp="2026-04-03T09:02:00Z")
    roll()
    assert by_day(priced)["data"][0]["max_units"] == 3
    # when
    priced.post(f"/v1/events/{event_id}/void", {"reason": "a test"}, idempotency_key="v")
    assert by_day(priced)["lag_seconds"] > 0
    roll()
    # then
    for found in (by_day(priced), summary(priced)):
        assert (found["lag_seconds"], found["data"][0]["units"], found["data"][0]["event_count"]) == (0, 3, 1)


def test_rollers_at_once_add_each_event_once(priced: Api, together: Any) -> None:
    for _ in range(20):
        use(priced, 1, timestamp="2026-04-03T09:01:00Z")
    together(6, lambda _: usage_roll())
    roll()
    assert by_day(priced)["data"][0]["event_count"] == 20


def test_the_hours_can_be_made_anew(priced: Api, acme: Character, superuser_sql: Any) -> None:
    for units in (1, 2, 3):
        use(priced, units, timestamp="2026-04-03T09:01:00Z")
    roll()
    before = by_day(priced)
    superuser_sql.execute("UPDATE metering_usage_hour SET units_sum = 0, events = 99")
    usage_rebuild()
    assert by_day(priced) == before
    use(priced, 4, timestamp="2026-04-03T09:01:00Z")
    roll()
    assert by_day(priced)["data"][0]["units"] == 10


def test_hours_made_anew_by_a_host_whose_clock_is_ahead_miss_nothing_afterwards(
    priced: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Ahead:
            return super().now(tz) + timedelta(hours=1)

    use(priced, 1, timestamp="2026-04-03T09:01:00Z")
    # when
    with monkeypatch.context() as host:
        host.setattr(clock, "datetime", Ahead)
        call_command("usage_rebuild")
    use(priced, 2, timestamp="2026-04-03T09:01:00Z")
    roll()
    # then
    assert by_day(priced)["data"][0]["units"] == 3


def test_a_restored_dump_is_noticed_and_mended(priced: Api, superuser_sql: Any) -> None:
    # given a watermark and an event of a server that had come further
    use(priced, 1, timestamp="2026-04-03T09:01:00Z")
    superuser_sql.execute("UPDATE metering_usage_watermark SET recorded_before = 10 ^ 15")
    superuser_sql.execute("ALTER TABLE metering_usage_event DISABLE TRIGGER USER")
    superuser_sql.execute("UPDATE metering_usage_event SET recorded_xid = 10 ^ 14")
    superuser_sql.execute("ALTER TABLE metering_usage_event ENABLE TRIGGER USER")
    # then
    with pytest.raises(Exception, match="usage_rebuild"):
        usage_roll()
    # when
    usage_rebuild()
    use(priced, 2, timestamp="2026-04-03T09:02:00Z")
    roll()
    # then
    found = by_day(priced)
    assert (found["lag_seconds"], found["data"][0]["units"]) == (0, 3)


def test_the_sum_of_all_customers(priced: Api) -> None:
    make_metric(priced, key="seats", cost_type="flat", unit_cost=0)
    priced.post(
        "/v1/metrics", {"key": "users", "aggregation": "unique_count", "aggregation_property": "user"}
    )
    priced.post("/v1/metering-rules", {"billable_metric_key": "users", "cost_type": "flat", "unit_cost": 0})
    use(priced, 3, timestamp="2026-04-03T09:01:00Z")
    use(priced, 4, by="user_2", metric="seats", timestamp="2026-04-03T09:01:00Z")
    use(priced, 1, by="user_2", metric="users", timestamp="2026-04-03T09:01:00Z", properties={"user": "a"})
    roll()

    found = summary(priced)
    rows = {row["billable_metric_key"]: (row["quantity"], row["event_count"]) for row in found["data"]}
    assert rows == {"api_call": (3, 1), "seats": (4, 1), "users": (None, 1)}
    assert (found["event_count"], found["cost"], found["lag_seconds"]) == (3, 3000, 0)

    one = summary(priced, "&external_customer_id=user_2")
    rows = {row["billable_metric_key"]: (row["quantity"], row["event_count"]) for row in one["data"]}
    assert rows == {"seats": (4, 1), "users": (1, 1)}
    assert [row["billable_metric_key"] for row in summary(priced, "&metric=seats")["data"]] == ["seats"]


def test_another_environment_sees_nothing(priced: Api, rival: Character) -> None:
    use(priced, 3, timestamp="2026-04-03T09:01:00Z")
    roll()
    assert summary(Api(rival.test.secret))["data"] == []
    with environment_scope(rival.test.id):
        assert UsageHour.objects.count() == 0


def test_periods_are_widened_to_whole_hours(priced: Api) -> None:
    use(priced, 3, timestamp="2026-04-03T09:01:00Z")
    roll()
    answer = priced.get(
        f"{CUSTOMER}/user_1/usage?from=2026-04-03T09:30:00Z&to=2026-04-03T09:31:00Z&group_by=hour"
    )
    assert (answer["from"], answer["to"]) == ("2026-04-03T09:00:00Z", "2026-04-03T10:00:00Z")
    assert answer["data"][0]["units"] == 3


def test_both_forms_of_a_customers_url(priced: Api) -> None:
    use(priced, 3, timestamp="2026-04-03T09:01:00Z")
    roll()
    customer_id = priced.get(f"{CUSTOMER}/user_1")["id"]
    answer = priced.get(f"/v1/customers/{customer_id}/usage?from=2026-04-01&to=2026-05-01")
    assert answer.json["data"] == by_day(priced)["data"]


@pytest.mark.parametrize(
    "query",
    [
        "from=x",
        "to=2026-13-01",
        "from=2026-05-01&to=2026-04-01",
        "group_by=week",
        "colour=red",
        "from=2020-01-01&to=2026-01-01&group_by=day",
    ],
)
def test_bad_queries(priced: Api, query: str) -> None:
    assert priced.get(f"{CUSTOMER}/user_1/usage?{query}").refusal() == (422, "validation-failed")


def test_the_unknown_are_not_found(priced: Api) -> None:
    assert priced.get(f"{CUSTOMER}/nobody/usage").refusal() == (404, "customer-not-found")
    assert priced.get(f"{CUSTOMER}/user_1/usage?metric=nothing").refusal() == (422, "metric-not-found")
    period = {"period_start": "2026-04-01T00:00:00Z", "period_end": "2026-05-01T00:00:00Z"}
    asked = {"metric_key": "api_call", "external_customer_id": "nobody", **period}
    assert priced.post("/v1/usage/compute", asked).refusal() == (404, "customer-not-found")
    asked = {"metric_key": "nothing", "external_customer_id": "user_1", **period}
    assert priced.post("/v1/usage/compute", asked).refusal() == (422, "metric-not-found")
    asked = {"metric_key": "api_call", "external_customer_id": "user_1", **period}
    backwards = {**asked, "period_end": asked["period_start"]}
    assert priced.post("/v1/usage/compute", backwards).refusal() == (422, "validation-failed")


def test_late_events_are_counted_and_told(priced: Api) -> None:
    # given one event in time for the hour, one told of a minute after its end
    now = system_now()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    use(priced, 2, timestamp=instant_text(hour))
    asked = {"external_customer_id": "user_1", "metric_key": "api_call"}
    answer = priced.post(
        "/v1/usage/compute",
        {**asked, "period_start": instant_text(hour), "period_end": instant_text(hour + timedelta(hours=1))},
    )
    assert (answer["quantity"], answer["event_count"], answer["late_event_count"]) == (2, 1, 1)
    answer = priced.post(
        "/v1/usage/compute",
        {**asked, "period_start": instant_text(hour), "period_end": instant_text(now + timedelta(hours=1))},
    )
    assert (answer["quantity"], answer["late_event_count"]) == (2, 0)


_EVENT = st.tuples(st.integers(0, 1), st.integers(1, 50), st.integers(-4000, 0), st.booleans())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=st.lists(_EVENT, min_size=1, max_size=15),
    kind=st.sampled_from(["sum", "count", "max", "min", "last"]),
)
def test_hours_and_events_agree_when_there_is_no_lag(events: Any, kind: str) -> None:
    api = Api(make_character("Hours").test.secret)
    api.post("/v1/metrics", {"key": "m", "aggregation": kind})
    api.post("/v1/metering-rules", {"billable_metric_key": "m", "cost_type": "per_unit", "unit_cost": 3})
    names = ("a", "b")
    for name in names:
        give(api, 10_000, to=name)
    noon = datetime(2026, 4, 3, 12, tzinfo=UTC)
    for who, units, minute, rolls in events:
        stamp = instant_text(noon + timedelta(minutes=minute))
        assert use(api, units, by=names[who], metric="m", timestamp=stamp).status == 202
        if rolls:
            roll()
    roll()

    customers = [by_day(api, of=name) for name in names]
    in_all = api.get("/v1/usage/summary?from=2026-04-01&to=2026-05-01")
    assert in_all["event_count"] == sum(found["event_count"] for found in customers)
    assert in_all["cost"] == sum(found["cost"] for found in customers)
    for name, found in zip(names, customers, strict=True):
        assert found["lag_seconds"] == 0
        for row in found["data"]:
            body = {"external_customer_id": name, "metric_key": "m"}
            exact = api.post(
                "/v1/usage/compute",
                {**body, "period_start": row["period_start"], "period_end": row["period_end"]},
            )
            assert (row["quantity"], row["event_count"], row["cost"]) == (
                exact["quantity"],
                exact["event_count"],
                exact["cost"],
            )


def days(world: World) -> list[tuple[str, str, int, int]]:
    with environment_scope(world.id):
        found, _ = usage_by_day(
            environment_id=world.id, since=date(2026, 4, 3), until=date(2026, 4, 5), coming=system_now()
        )
    return [(each.day.isoformat(), each.metric_key, each.events, each.cost_mc) for each in found]


def test_everybodys_days_are_the_same_before_the_roll_up_and_after_it(priced: Api, acme: Character) -> None:
    # given: what happened before, on, between and after the days that are asked for
    for units, stamp in (
        (9, "2026-04-02T23:59:59Z"),
        (3, "2026-04-03T00:00:00Z"),
        (1, "2026-04-03T23:59:59Z"),
        (5, "2026-04-04T10:00:00Z"),
        (7, "2026-04-05T00:00:00Z"),
    ):
        assert use(priced, units, timestamp=stamp).status == 202
    expected = [("2026-04-03", "api_call", 2, 4_000), ("2026-04-04", "api_call", 1, 5_000)]
    assert days(acme.test) == expected
    assert days(acme.live) == []
    # when
    roll()
    assert use(priced, 2, timestamp="2026-04-04T11:00:00Z").status == 202
    # then
    assert days(acme.test) == [expected[0], ("2026-04-04", "api_call", 2, 7_000)]
    roll()
    assert days(acme.test) == [expected[0], ("2026-04-04", "api_call", 2, 7_000)]


def test_a_voided_event_is_in_nobodys_day(priced: Api, acme: Character) -> None:
    # given
    event = use(priced, 3, timestamp="2026-04-03T09:00:00Z")["event_id"]
    # when
    voided = priced.post(f"/v1/events/{event}/void", {"reason": "sent twice"}, idempotency_key="void")
    assert voided.status == 200
    # then
    assert days(acme.test) == []
    roll()
    assert days(acme.test) == []
