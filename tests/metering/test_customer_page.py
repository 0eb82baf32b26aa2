"""What metering adds to a customer's page: the month's usage, and what a check would answer."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import Customer, OutboxEvent
from metering.models import UsageEvent
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import balance, give, make_metric, use
from tests.metering.rolling import roll


@pytest.fixture
def desk(acme: Character, operator: Any) -> Desk:
    return Desk(operator, acme.test)


@pytest.fixture
def here(acme: Character, api: Api) -> str:
    """The page of a customer with ten credits; a call costs one."""
    make_metric(api)
    give(api, 10_000)
    with environment_scope(acme.test.id):
        return f"/admin/customers/customer/{Customer.objects.get(external_id='user_1').pk}/"


def test_the_chart_is_asked_for_by_the_page_and_counts_what_was_used(desk: Desk, api: Api, here: str) -> None:
    # given
    use(api, 3)
    use(api, 2)
    roll()
    # when
    page, chart = desk.open(f"{here}change/"), desk.open(f"{here}panels/usage-chart/")
    # then
    assert f'data-load="{here}panels/usage-chart/"' in page
    assert "api_call" in chart
    assert ": 5 credits" in chart
    assert desk.queries(f"{here}panels/usage-chart/") <= 15


def test_a_panel_that_is_part_of_the_page_is_no_page_of_its_own(desk: Desk, here: str) -> None:
    desk.open(f"{here}panels/details/", status=404)
    desk.open(f"{here}panels/nonsense/", status=404)


def test_who_may_not_see_usage_does_not_see_the_chart(acme: Character, here: str) -> None:
    assert Desk(somebody(), acme.test).client.get(f"{here}panels/usage-chart/").status_code == 403


@pytest.mark.parametrize(
    ("units", "verdict"), [("10", "would be allowed"), ("10.5", "would be denied"), ("11", "would be denied")]
)
def test_the_tester_says_what_a_check_would(
    desk: Desk, api: Api, here: str, units: str, verdict: str
) -> None:
    shown = desk.preview(f"{here}actions/check/", {"metric_key": "api_call", "units": units})

    assert verdict in shown
    assert "At most 10 units" in shown


def test_the_tester_writes_nothing(desk: Desk, api: Api, acme: Character, here: str) -> None:
    # given
    with environment_scope(acme.test.id):
        before = (UsageEvent.objects.count(), OutboxEvent.objects.count(), balance(api)["balance"])
    # when
    answer = desk.send(f"{here}actions/check/", {"metric_key": "api_call", "units": "3"})
    # then
    assert answer.status_code == 302
    with environment_scope(acme.test.id):
        assert (UsageEvent.objects.count(), OutboxEvent.objects.count(), balance(api)["balance"]) == before


def test_the_tester_refuses_nonsense(desk: Desk, here: str) -> None:
    answer = desk.client.post(
        f"{here}actions/check/",
        {"metric_key": "nonsense", "units": "-1", "token": desk.token(f"{here}actions/check/")},
    )

    assert answer.status_code == 422
