"""Usage events by the month of their storage: made ahead, caught, moved, guarded; and their keys, for ever."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, typeid_parse, uuid7_floor
from metering import tasks
from metering.models import UsageEvent, UsageKey
from metering.selectors.event_partitions import event_partition_is_there, event_partitions
from metering.services import event_partitions as service
from metering.services.event_partitions import month_after, partitions_make
from tests.desk import Desk, somebody
from tests.making import balance, give, make_metric, use
from tests.metering.past_months import partitions_command, stored_at, stored_id

NOW = datetime(2019, 5, 20, 12, tzinfo=UTC)
BEFORE_ALL = datetime(2001, 3, 1, tzinfo=UTC)


def table_of(superuser: psycopg.Connection[Any], event_id: UUID) -> str:
    row = superuser.execute(
        "SELECT tableoid::regclass::text FROM metering_usage_event WHERE id = %s", [event_id]
    ).fetchone()
    assert row is not None
    return str(row[0])


def recorded(answer: Any) -> UUID:
    assert answer.status == 202, answer
    event_id = typeid_parse("evt", answer["event_id"])
    assert event_id is not None
    return event_id


def test_this_month_and_the_next_are_there_from_the_beginning():
    assert event_partition_is_there(system_now())
    assert event_partition_is_there(month_after(system_now(), 1))


def test_an_event_lies_in_the_month_in_which_it_was_stored(api, superuser_sql):
    make_metric(api)
    give(api, 5000)

    event_id = recorded(use(api, 1))

    assert table_of(superuser_sql, event_id) == f"metering_usage_event_{system_now():%Y_%m}"


@pytest.mark.parametrize("at", [BEFORE_ALL, datetime(9000, 1, 1, tzinfo=UTC)])
def test_an_id_of_no_month_lies_in_the_default_partition(api, acme, superuser_sql, at):
    with stored_at(acme, at):
        make_metric(api)
        give(api, 1000)
        event_id = recorded(use(api, 1))

    assert table_of(superuser_sql, event_id) == "metering_usage_event_default"
    assert api.get(f"/v1/events/{typeid('evt', event_id)}").status == 200


def test_the_task_makes_the_coming_months_once():
    tasks.event_partitions_make_run()
    there = {each.begins_at for each in event_partitions()}

    assert {month_after(system_now(), ahead) for ahead in range(4)} <= there
    assert tasks.event_partitions_make_run() == 0


def test_months_have_their_ranges_and_the_default_has_none():
    found = event_partitions()

    assert found[-1].name == "metering_usage_event_default"
    assert (found[-1].begins_at, found[-1].ends_at) == (None, None)
    for each in found[:-1]:
        assert each.begins_at is not None
        assert each.ends_at == month_after(each.begins_at, 1)
        assert each.name == f"metering_usage_event_{each.begins_at:%Y_%m}"


def test_a_month_takes_over_what_the_default_partition_caught(api, acme, superuser_sql):
    with stored_at(acme, NOW):
        make_metric(api)
        give(api, 5000)
        event_id = recorded(use(api, 2))
    before = superuser_sql.execute("SELECT e::text FROM metering_usage_event e WHERE id = %s", [event_id])
    row = before.fetchone()
    assert table_of(superuser_sql, event_id) == "metering_usage_event_default"

    made = list(partitions_make(now=NOW, months=0))

    assert [(each.name, each.status) for each in made] == [("metering_usage_event_2019_05", "made")]
    assert made[0].moved == 1
    assert table_of(superuser_sql, event_id) == "metering_usage_event_2019_05"
    after = superuser_sql.execute("SELECT e::text FROM metering_usage_event e WHERE id = %s", [event_id])
    assert after.fetchone() == row
    assert [each.status for each in partitions_make(now=NOW, months=0)] == ["there"]
    with stored_at(acme, NOW + timedelta(seconds=1)):
        assert table_of(superuser_sql, recorded(use(api, 1))) == "metering_usage_event_2019_05"


def test_what_is_too_much_to_move_is_left_for_a_quiet_hour(api, acme, superuser_sql):
    with stored_at(acme, NOW.replace(year=2018)):
        make_metric(api)
        give(api, 5000)
        event_id = recorded(use(api, 1))

    made = list(partitions_make(now=NOW.replace(year=2018), months=0, moved_max=0))

    assert [each.status for each in made] == ["crowded"]
    assert table_of(superuser_sql, event_id) == "metering_usage_event_default"


def test_the_task_lets_go_of_a_table_that_somebody_holds(superuser_sql):
    """Two seconds, then the next time; who holds it is not disturbed, and nothing was made."""
    with superuser_sql.transaction():
        superuser_sql.execute("LOCK TABLE metering_usage_event IN SHARE UPDATE EXCLUSIVE MODE")
        assert tasks.event_partitions_make_run() == 0
        with pytest.raises(service.PartitionsBusy):
            list(partitions_make(now=NOW.replace(year=2017), months=0))
    assert not event_partition_is_there(NOW.replace(year=2017))


# --- What holds of the table holds of its parts, also of those to come


@pytest.fixture
def parts(superuser_sql) -> list[str]:
    list(partitions_make(now=NOW.replace(year=2016), months=0))
    return [
        "metering_usage_event_default",
        "metering_usage_event_2016_05",
        f"metering_usage_event_{system_now():%Y_%m}",
    ]


@pytest.mark.parametrize(
    "deed",
    [
        "SELECT count(*) FROM {}",
        "INSERT INTO {0} SELECT * FROM {0}",
        "UPDATE {} SET units = 0",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "DROP TABLE {}",
        "ALTER TABLE metering_usage_event DETACH PARTITION {}",
    ],
)
def test_the_application_has_no_business_with_a_part(parts, deed):
    for part in parts:
        with (
            pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
            connection.cursor() as cursor,
        ):
            cursor.execute(deed.format(part))


def test_whoever_may_read_a_part_sees_the_rows_of_one_environment(api, acme, rival, superuser_sql):
    make_metric(api)
    give(api, 5000)
    event_id = recorded(use(api, 1))
    part = table_of(superuser_sql, event_id)
    superuser_sql.execute(f"GRANT SELECT ON {part} TO purser_app")
    try:
        for world, expected in ((acme.test, 1), (rival.test, 0)):
            with environment_scope(world.id), connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {part} WHERE id = %s", [event_id])
                assert cursor.fetchone() == (expected,)
    finally:
        superuser_sql.execute(f"REVOKE SELECT ON {part} FROM purser_app")


@pytest.mark.parametrize("deed", ["UPDATE {} SET units = 0", "DELETE FROM {}", "TRUNCATE {}"])
def test_nobody_changes_an_event_through_its_part(api, parts, superuser_sql, deed):
    make_metric(api)
    give(api, 5000)
    recorded(use(api, 1))

    for part in (parts[-1], "metering_usage_event"):
        with pytest.raises(psycopg.Error) as refusal:
            superuser_sql.execute(deed.format(part))
        assert "append-only" in str(refusal.value) or "never" in str(refusal.value)


@pytest.mark.parametrize("deed", ["UPDATE {} SET cost_mc = 0", "DELETE FROM {}", "TRUNCATE {}"])
def test_nobody_changes_a_key(api, superuser_sql, deed):
    make_metric(api)
    give(api, 5000)
    recorded(use(api, 1))

    with pytest.raises(psycopg.Error):
        superuser_sql.execute(deed.format("metering_usage_key"))


def test_the_parts_have_the_tables_indexes(parts, superuser_sql):
    def kinds(table: str) -> list[str]:
        rows = superuser_sql.execute(
            "SELECT regexp_replace(indexdef, '.* USING ', '') FROM pg_indexes WHERE tablename = %s ORDER BY 1",
            [table],
        )
        return [row[0] for row in rows]

    expected = kinds("metering_usage_event")
    assert len(expected) == 4
    assert any("autosummarize" in each for each in expected)
    assert [kinds(part) for part in parts] == [expected] * len(parts)


# --- Look-ups find one part


def explained(sql: str, *parameters: Any) -> set[str]:
    """The parts that a query looks at."""
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"]) as raw:
        row = raw.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters).fetchone()
        assert row is not None
    return set(_relations(row[0][0]["Plan"] if isinstance(row[0], list) else json.loads(row[0])[0]["Plan"]))


def _relations(plan: dict[str, Any]) -> list[str]:
    here = [plan["Relation Name"]] if "Relation Name" in plan else []
    return here + [name for below in plan.get("Plans", []) for name in _relations(below)]


def test_a_look_up_by_id_looks_at_one_part(parts):
    found = explained("SELECT * FROM metering_usage_event WHERE id = %s", stored_id(NOW.replace(year=2016)))

    assert found == {"metering_usage_event_2016_05"}


def test_a_look_up_since_a_day_looks_at_no_older_part(parts):
    today = uuid7_floor(system_now())
    found = explained("SELECT * FROM metering_usage_event WHERE id >= %s", today)

    assert "metering_usage_event_2016_05" not in found
    assert f"metering_usage_event_{system_now():%Y_%m}" in found


# --- Keys


def test_a_key_stands_for_its_event_with_all_that_a_retry_is_told(api, acme):
    make_metric(api)
    give(api, 5000)
    event_id = recorded(use(api, 3, idempotency_key="k-1"))

    with environment_scope(acme.test.id):
        key = UsageKey.objects.get(environment_id=acme.test.id, idempotency_key="k-1")
    assert (key.event_id, key.cost_mc, len(key.fingerprint)) == (event_id, 3000, 16)


def test_a_refused_event_leaves_no_key(api, acme):
    make_metric(api)
    give(api, 500)

    assert use(api, 3, idempotency_key="k-1").refusal() == (402, "insufficient-credits")

    with environment_scope(acme.test.id):
        assert not UsageKey.objects.filter(environment_id=acme.test.id).exists()


def test_a_key_is_one_event_whoever_sends_it_at_once(api, acme, together):
    """Sixteen at once, for two customers, singly and in batches: one effect; the others are told of it or refused."""
    make_metric(api)
    for name in ("user_1", "user_2"):
        give(api, 5000, to=name)

    def deed(index: int) -> Any:
        by = f"user_{1 + index % 2}"
        if index % 4 < 2:
            return use(api, 1, by=by, idempotency_key="k-1").status
        event = {
            "external_customer_id": by,
            "billable_metric_key": "api_call",
            "units": 1,
            "idempotency_key": "k-1",
        }
        return api.post("/v1/usage/batch", {"events": [event]}, idempotency_key=uuid4().hex)

    together(16, deed)

    with environment_scope(acme.test.id):
        assert UsageEvent.objects.filter(idempotency_key="k-1").count() == 1
        key = UsageKey.objects.get(environment_id=acme.test.id, idempotency_key="k-1")
        assert UsageEvent.objects.get(idempotency_key="k-1").id == key.event_id
    assert balance(api)["balance"] + balance(api, of="user_2")["balance"] == 9000


# --- Told to operators


def test_home_says_when_the_next_month_has_no_partition(api, acme, monkeypatch):
    make_metric(api)
    desk = Desk(somebody("owner"), acme.test)
    assert "No partition for next month" not in desk.open("/admin/")

    monkeypatch.setattr("config.dashboard.month_after", lambda _now, _months: BEFORE_ALL)

    assert "No partition for next month&#x27;s usage events" in desk.open("/admin/")


def test_the_command_lists_and_makes(superuser_sql):
    done = partitions_command("--ahead", "5")

    assert done.returncode == 0, done.stderr
    assert f"metering_usage_event_{month_after(system_now(), 5):%Y_%m}" in done.stdout
    assert "metering_usage_event_default" in done.stdout
