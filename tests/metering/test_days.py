"""From the numbers of a day on home to the rows that they are made of."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from customers.kernel.clock import system_now
from customers.models import User
from tests.conftest import Api, Character, World
from tests.desk import Desk
from tests.making import give, make_metric, use

EVENTS = "/admin/metering/usageevent/"
DEBITS = "/admin/billing/ledgerentry/?kind__exact=debit"
FIRST = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)


def links(page: str, label: str) -> str:
    """Where the tile of this name leads."""
    found = re.search(rf'href="([^"]+)" class="p-tile[^>]*>\s*<span class="p-tile-label">.*?{label}', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


def sold(world: World) -> Api:
    api = Api(world.secret)
    make_metric(api)
    give(api, 100_000)
    return api


@pytest.fixture
def clocked(acme: Character, operator: User) -> tuple[Api, Desk]:
    """One event in the last second of a day, one at noon of the next, by a test clock."""
    api = Api(acme.test.secret)
    assert api.post("/v1/test-clock", {"frozen_time": FIRST.isoformat()}).status == 200
    sold(acme.test)
    use(api, 1, idempotency_key="late-on-the-first")
    assert api.post("/v1/test-clock/advance", {"to": (FIRST + timedelta(hours=12)).isoformat()}).status == 200
    use(api, 1, idempotency_key="noon-on-the-second")
    return api, Desk(operator, acme.test)


def test_homes_tiles_lead_to_todays_rows(acme: Character, operator: User) -> None:
    # given
    api, desk = sold(acme.live), Desk(operator, acme.live)
    use(api, 1, idempotency_key="just-now")
    today = system_now().date()
    # when
    home = desk.open("/admin/")
    # then
    assert links(home, "Events today") == f"{EVENTS}?day={today}"
    assert links(home, "Burned today") == f"{DEBITS}&day={today}"
    assert "just-now" in desk.open(links(home, "Events today"))
    assert "user_1" in desk.open(links(home, "Burned today"))
    # and a bar of the chart to its day's
    yesterday = today - timedelta(days=1)
    assert f'href="{DEBITS}&amp;day={yesterday}" tabindex="-1"' in home.replace("&day", "&amp;day")
    assert "user_1" not in desk.open(f"{DEBITS}&day={yesterday}").split('id="changelist"')[1]


def test_a_day_is_that_of_the_environments_clock(clocked: tuple[Api, Desk]) -> None:
    _, desk = clocked

    first, second = (desk.open(f"{EVENTS}?day={day}") for day in ("2026-03-01", "2026-03-02"))

    assert ("late-on-the-first" in first, "noon-on-the-second" in first) == (True, False)
    assert ("late-on-the-first" in second, "noon-on-the-second" in second) == (False, True)


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "0001-01-01", "9999-12-31", "\x00"])
def test_a_day_that_is_none_has_no_rows(day: str, clocked: tuple[Api, Desk]) -> None:
    _, desk = clocked

    page = desk.open(f"{EVENTS}?day={day}")

    assert "late-on-the-first" not in page
    assert "noon-on-the-second" not in page


def test_todays_rows_are_found_by_their_ids(acme: Character, operator: User) -> None:
    """There is no index by environment and day: a day of millions must not be looked for among all days."""
    desk = Desk(operator, acme.live)
    sold(acme.live)

    page = desk.open(f"{EVENTS}?day={system_now().date()}")

    assert "Today" in page
    assert desk.queries(f"{EVENTS}?day={system_now().date()}") <= 15
