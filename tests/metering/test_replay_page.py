"""The admin's page of a replay: before and after, who wins and loses, and whether the past was reproduced."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils.html import strip_tags

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Job
from customers.services.jobs import job_run
from metering.services import replays
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import give, make_metric, make_rule, use

FORM = {"since": "2026-01-01T00:00:00", "until": "", "cost_type": ""}


@pytest.fixture
def rule(api: Api) -> str:
    """One credit a unit; `small` used 2 units, `big` 100."""
    make_metric(api)
    for name, units in (("small", 2), ("big", 100)):
        give(api, 500_000, to=name)
        assert use(api, units, by=name).status == 202
    return str(api.get("/v1/metering-rules")["data"][0]["id"])


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("owner"), acme.test)


def tried(desk: Desk, rule: str, **form: Any) -> str:
    """The address of the page that a replay leads to."""
    since = {"since": f"{system_now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"}
    answer = desk.send(f"/admin/metering/meteringrule/{rule}/try/", {**FORM, **since, **form})
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def words(html: str) -> str:
    """The page as one reads it, with figures' minus signs as hyphens."""
    apart = re.sub(
        r'</(td|th|dt|dd|p|li|h1|h2)>|<span class="p-hint">', " ", html.split('<div class="p-page">')[1]
    )
    return re.sub(r"\s+", " ", strip_tags(apart)).replace("\N{MINUS SIGN}", "-")


def test_the_present_rule_comes_to_exactly_what_was_charged(desk, rule):
    seen = words(desk.open(tried(desk, rule)))

    assert "Charged 102.000 Under this price 102.000 Difference 0.000" in seen
    assert "0 less, 0 more, 2 the same" in seen
    assert "Exact" in seen
    assert "2 of 2 events come to exactly what was charged" in seen
    assert "Would have paid less Nobody." in seen
    assert "Would have paid more Nobody." in seen


def test_another_price_shows_who_wins_and_who_loses(desk, rule):
    """Ten credits an event, whatever its units: dearer for the small one, cheaper for the big one."""
    page = desk.open(tried(desk, rule, cost_type="flat", unit_cost="10"))
    seen = words(page)

    assert "Charged 102.000 Under this price 20.000 Difference -82.000 -80.3 %" in seen
    assert "1 less, 1 more, 0 the same" in seen
    less, more = seen.split("Would have paid less")[1].split("Would have paid more")
    assert "big 1 100.000 10.000 -90.000 -90.0 %" in less
    assert "small 1 2.000 10.000 +8.000 +400.0 %" in more
    assert "Exact" in seen
    assert page.split('<div class="p-page">')[1].count('href="/admin/customers/customer/') >= 2


def test_what_was_not_reproduced_is_named(desk, rule, superuser_sql, acme):
    superuser_sql.execute("ALTER TABLE metering_usage_event DISABLE TRIGGER USER")
    superuser_sql.execute(
        "UPDATE metering_usage_event SET cost_mc = 1999 WHERE units = 2 AND environment_id = %s",
        [acme.test.id],
    )
    superuser_sql.execute("ALTER TABLE metering_usage_event ENABLE TRIGGER USER")

    seen = words(desk.open(tried(desk, rule)))

    assert "Not reproduced 1 of 2 events do not come to what was charged" in seen
    assert "small" in seen.split("Self-check")[1].split("Would have paid less")[0]


def test_a_rule_of_one_customer_is_tried_on_that_customer(api, desk, rule):
    small = api.get("/v1/customer-by-external-id/small")["id"]
    own = make_rule(api, cost_type="flat", unit_cost=500, customer_id=small)

    seen = words(desk.open(tried(desk, own)))

    assert "Charged 2.000 Under this price 0.500 Difference -1.500 -75.0 %" in seen
    assert "Customers 1" in seen


def test_a_job_that_is_not_done_says_how_far_it_is(desk, rule, acme, monkeypatch):
    monkeypatch.setattr(replays, "AT_ONCE_MAX", 0)
    path = tried(desk, rule, cost_type="flat", unit_cost="10")
    assert "Not done State Queued not begun" in words(desk.open(path))

    with environment_scope(acme.test.id):
        job = Job.objects.get(kind=replays.KIND)
    job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now)

    assert "Charged 102.000 Under this price 20.000" in words(desk.open(path))
    assert f'href="{path}"' in desk.open(f"/admin/customers/job/{job.public_id}/change/")


def test_the_rules_page_offers_it_to_those_who_may(acme, desk, rule):
    page = f"/admin/metering/meteringrule/{rule}/change/"
    assert f"/admin/metering/meteringrule/{rule}/try/" in desk.open(page)

    viewer = Desk(somebody("viewer"), acme.test)

    assert "/try/" not in viewer.open(page)
    viewer.open(f"/admin/metering/meteringrule/{rule}/try/", status=403)
    viewer.open(tried(desk, rule))


def test_a_replay_of_others_is_not_there(desk, rule, rival):
    path = tried(desk, rule)

    Desk(somebody("owner"), rival.test).open(path, status=404)
    desk.open("/admin/metering/meteringrule/replays/job_01k7x3s9c5ef6v8b2n4m6q8r0t/", status=404)
    desk.open("/admin/metering/meteringrule/replays/nothing/", status=404)


def test_nonsense_is_refused_in_the_form(desk, rule):
    path = f"/admin/metering/meteringrule/{rule}/try/"

    wrong = desk.send(path, {**FORM, "since": "2026-03-01T00:00:00", "until": "2026-02-01T00:00:00"})
    assert "Must be after the beginning." in wrong.content.decode()
    future = desk.send(path, {**FORM, "since": "2999-01-01T00:00:00"})
    assert "Must be before the end, and in the past." in future.content.decode()
    priceless = desk.send(path, {**FORM, "cost_type": "per_unit"})
    assert "This field is required." in priceless.content.decode()


def test_the_page_takes_few_queries_however_many_customers(api, desk, rule):
    few = desk.queries(tried(desk, rule, cost_type="flat", unit_cost="10"))
    for number in range(12):
        give(api, 50_000, to=f"user_{number}")
        assert use(api, number + 1, by=f"user_{number}").status == 202

    path = tried(desk, rule, cost_type="flat", unit_cost="10")

    assert desk.queries(path) == few
    assert few <= 15
