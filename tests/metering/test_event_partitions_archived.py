"""A month of events is taken away: only when nobody needs it, and what is missing then is said, not guessed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from billing.services.verification import verification_run
from customers.kernel.clock import system_now
from customers.kernel.database import call_function, environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import Customer
from metering.errors import UsageArchived
from metering.models import BillableMetric
from metering.selectors.windows import SeenWindow, Window, windows_changed, windows_measure
from metering.services.event_partitions import month_after, partitions_make
from metering.services.usage_rollups import usage_rebuild
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import balance, give, history, make_metric, make_variant, use
from tests.metering.past_months import partitions_command, stored_at
from tests.metering.rolling import roll


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A month that is over, with two events of Acme's: 3 units, voided later, and 4."""

    at: datetime
    voided: str
    event: str
    customer: str

    @property
    def month(self) -> str:
        return f"{self.at:%Y-%m}"

    @property
    def archived(self) -> str:
        return f"metering_archived_event_{self.at:%Y_%m}"


_months = iter(month_after(datetime(2010, 1, 1, tzinfo=UTC), number) for number in range(48))


@pytest.fixture
def past(api: Api, acme: Character) -> Past:
    at = next(_months) + timedelta(days=10, minutes=5)
    list(partitions_make(now=at, months=0))
    with stored_at(acme, at):
        make_metric(api)
        give(api, 50_000)
        voided = use(api, 3, idempotency_key="past-1")["event_id"]
        event = use(api, 4, idempotency_key="past-2", properties={"model": "x"})["event_id"]
    clock_set(acme.test, None)
    assert (
        api.post(f"/v1/events/{voided}/void", {"reason": "wrong"}, idempotency_key=uuid4().hex).status < 300
    )
    roll()
    customer = api.get("/v1/customer-by-external-id/user_1")["id"]
    return Past(at=at, voided=voided, event=event, customer=customer)


def detach(past: Past) -> tuple[str, int]:
    """What the command does in the end, as the owner of the tables: the status, and how many events."""
    with psycopg.connect(
        os.environ["DATABASE_OWNER_URL"], options="-c role=purser_owner -c timezone=UTC"
    ) as owner:
        row = owner.execute(
            "SELECT status, events FROM metering_event_partition_detach_v1(%s, %s)", [past.at, system_now()]
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.fixture
def archived(past: Past) -> Past:
    assert detach(past) == ("detached", 2)
    return past


def usage_of(api: Api, past: Past) -> list[tuple[int, int]]:
    """Events and units of the month, by the hour's sums."""
    query = f"from={past.at:%Y-%m}-01&to={past.at:%Y-%m}-28&group_by=all"
    answer = api.get(f"/v1/customer-by-external-id/user_1/usage?{query}")
    return [(row["event_count"], row["units"]) for row in answer["data"]]


def test_the_events_are_in_a_table_of_their_own(archived, superuser_sql):
    rows = superuser_sql.execute(f"SELECT units FROM {archived.archived} ORDER BY id").fetchall()

    assert [row[0] for row in rows] == [3, 4]
    seen = superuser_sql.execute(
        "SELECT count(*) FROM metering_usage_event WHERE id = %s", [typeid_parse("evt", archived.event)]
    )
    assert seen.fetchone() == (0,)
    assert detach(archived)[0] == "not-there"


def test_a_key_still_answers_for_its_event(api, archived):
    before = balance(api)["balance"]

    again = use(api, 4, idempotency_key="past-2", properties={"model": "x"})

    assert (again.status, again["event_id"]) == (202, archived.event)
    assert use(api, 5, idempotency_key="past-2").refusal() == (422, "idempotency-key-reused")
    assert balance(api)["balance"] == before


def test_an_archived_event_says_so(api, rival, archived):
    assert api.get(f"/v1/events/{archived.event}").refusal() == (410, "event-archived")
    void = api.post(f"/v1/events/{archived.event}/void", {"reason": "wrong"}, idempotency_key=uuid4().hex)
    assert void.refusal() == (410, "event-archived")
    # To others there has never been anything.
    other = Api(rival.test.secret).get(f"/v1/events/{archived.event}")
    assert other.refusal() == (404, "event-not-found")


def test_sums_by_the_hour_stay(api, archived):
    assert usage_of(api, archived) == [(1, 4)]


def test_sums_by_the_hour_are_the_same_when_they_are_made_anew(api, archived, superuser_sql):
    hours = "SELECT h::text FROM metering_usage_hour h ORDER BY 1"
    of_all = "SELECT h::text FROM metering_usage_hour_of_all h ORDER BY 1"
    before = superuser_sql.execute(hours).fetchall(), superuser_sql.execute(of_all).fetchall()

    usage_rebuild()

    assert (superuser_sql.execute(hours).fetchall(), superuser_sql.execute(of_all).fetchall()) == before


def test_a_void_in_the_same_hour_leaves_the_archived_share(api, acme, archived):
    """An event of today about an hour whose other events are archived."""
    told = {
        "external_customer_id": "user_1",
        "metric_key": "api_call",
        "value": 10,
        "idempotency_key": uuid4().hex,
    }
    late = api.post("/v1/events", {**told, "timestamp": f"{archived.at:%Y-%m-%dT%H:%M:%SZ}"})
    assert late.status < 300, late
    roll()
    assert usage_of(api, archived) == [(2, 14)]

    assert (
        api.post(
            f"/v1/events/{late['event_id']}/void", {"reason": "wrong"}, idempotency_key=uuid4().hex
        ).status
        < 300
    )
    roll()

    assert usage_of(api, archived) == [(1, 4)]


def test_what_needs_the_events_is_refused(api, acme, archived):
    begin, end = archived.at.replace(day=1), archived.at.replace(day=28)
    replay = {
        "billable_metric_key": "api_call",
        "cost_type": "per_unit",
        "unit_cost": 1,
        "replay": {"from": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "to": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
    }

    answer = api.post("/v1/metering-rules/preview", replay, idempotency_key=uuid4().hex)

    assert answer.refusal() == (410, "usage-archived")
    with environment_scope(acme.test.id), pytest.raises(psycopg.Error) as refusal:
        call_function(
            "metering_usage_compute_v1",
            environment=acme.test.id,
            customer=Customer.objects.get(public_id=archived.customer).id,
            metric=BillableMetric.objects.get(key="api_call").id,
            **{"from": begin, "to": end},
        )
    assert refusal.value.sqlstate == "PU410"


def test_the_ledger_is_in_order_without_them(api, acme, archived):
    run = verification_run(environment_id=acme.test.id, now=system_now())

    assert (run.ok, run.faults) == (True, 0)


def test_pages_of_who_has_archived_events_open(api, acme, archived):
    desk = Desk(somebody("owner"), acme.test)
    entry = next(row for row in history(api) if row["kind"] == "debit")

    for path in (
        f"/admin/customers/customer/{archived.customer}/change/",
        f"/admin/billing/ledgerentry/{entry['id']}/change/",
        "/admin/metering/usageevent/",
    ):
        assert desk.open(path)


# --- What stays


def test_the_command_refuses_what_is_kept_and_archives_the_rest(api, acme, past):
    def refused(*arguments: str) -> str:
        done = partitions_command(*arguments)
        assert done.returncode == 1, done.stdout
        return str(done.stderr)

    assert "Events are kept for 25 months" in refused("--detach", f"{system_now():%Y-%m}")
    assert "There is no such partition" in refused("--detach", "1999-01")
    done = partitions_command("--detach", past.month)
    assert f"{past.month}: 2 events are now in {past.archived}." in done.stdout


def test_a_month_with_a_period_that_is_not_over_stays(api, acme, past):
    with stored_at(acme, past.at):
        body = {"external_customer_id": "user_1", "plan_variant_id": make_variant(api)}
        assert api.post("/v1/subscriptions", body).status == 201
    clock_set(acme.test, None)

    done = partitions_command("--detach", past.month)

    assert (done.returncode, "still open, or not invoiced" in done.stderr) == (1, True)


def test_what_comes_late_for_archived_time_is_corrected_on_no_invoice(api, acme, archived):
    """The window cannot be measured again, so it does not count as changed."""
    begins = archived.at.replace(day=1, hour=0, minute=0)
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(public_id=archived.customer)
        metric = BillableMetric.objects.get(key="api_call")
        window = Window(metric_id=metric.id, begins_at=begins, ends_at=begins + timedelta(days=28))
        seen = SeenWindow(window=window, snapshot="3:3:", taken_at=archived.at)
        assert windows_changed(customer_id=customer.id, seen=[seen]) == [False]
        with pytest.raises(UsageArchived):
            windows_measure(environment_id=acme.test.id, customer_id=customer.id, windows=[window])


def test_a_month_that_is_not_rolled_up_stays(api, past, acme, superuser_sql):
    with stored_at(acme, past.at + timedelta(hours=1)):
        assert use(api, 1).status == 202
    clock_set(acme.test, None)

    assert detach(past)[0] == "not-rolled-up"
    assert superuser_sql.execute("SELECT to_regclass(%s)", [past.archived]).fetchone() == (None,)


def test_a_month_whose_cycle_is_open_stays(api, past, acme):
    clock_set(acme.test, past.at + timedelta(days=1))

    assert detach(past)[0] == "cycle-open"
    assert api.get(f"/v1/events/{past.event}").status == 200


def test_the_application_cannot_archive(api, past):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        call_function("metering_event_partition_detach_v1", at=past.at, now=system_now())
    assert api.get(f"/v1/events/{past.event}").status == 200
