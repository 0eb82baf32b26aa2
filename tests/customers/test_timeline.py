"""One timeline of everything that happened to a customer: in order, whole, once, and of nobody else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from customers.admin.timeline import ROWS
from customers.kernel.database import environment_scope
from customers.models import Customer
from tests.billing.invoicing import make_invoice
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import give, make_metric, make_plan, make_variant, use

TIMES_3 = "3 \N{MULTIPLICATION SIGN} api_call"


@pytest.fixture
def desk(acme: Character, operator: Any) -> Desk:
    return Desk(operator, acme.test)


def timeline(acme: Character, name: str = "user_1") -> str:
    with environment_scope(acme.test.id):
        return f"/admin/customers/customer/{Customer.objects.get(external_id=name).pk}/timeline/"


def lines(desk: Desk, path: str) -> list[str]:
    """What each line says, without its markup."""
    part = desk.client.get(path, headers={"X-Purser-Dialog": "1"}).content.decode()
    items = re.findall(r"<li[^>]*>(.*?)</li>", part, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]


def test_everything_is_there_the_newest_first(desk: Desk, api: Api, acme: Character) -> None:
    # given
    make_metric(api)
    give(api, 50_000, reason="Welcome")
    use(api, 3, idempotency_key="order-1")
    api.post(
        "/v1/reserve",
        {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 2},
        idempotency_key="hold-1",
    )
    variant = make_variant(api, make_plan(api))
    api.post("/v1/subscriptions", {"external_customer_id": "user_1", "plan_variant_id": variant})
    assert api.patch("/v1/customer-by-external-id/user_1", {"email": "ada@example.com"}).status == 200
    # when
    shown = lines(desk, timeline(acme))
    # then
    said = "\n".join(shown)
    order = [
        said.index(word)
        for word in (
            "customer.updated",
            "Created",
            "Hold",
            "3 \N{MULTIPLICATION SIGN} api_call",
            "Welcome",
            "customer.created",
        )
    ]
    assert order == sorted(order)
    for webhook in ("credit.granted", "reservation.created", "subscription.created"):
        assert webhook in said


def test_usage_and_the_debit_it_is_for_are_one_line(desk: Desk, api: Api, acme: Character) -> None:
    make_metric(api)
    give(api, 50_000)
    use(api, 3, idempotency_key="order-1")

    shown = [line for line in lines(desk, timeline(acme)) if "api_call" in line]

    assert len(shown) == 1
    assert shown[0].startswith(f"receipt_long Debit {TIMES_3}")
    (alone,) = lines(desk, f"{timeline(acme)}?kind=usage")
    assert "order-1" in alone


def test_a_kind_alone(desk: Desk, api: Api, acme: Character) -> None:
    make_metric(api)
    give(api, 50_000, reason="Welcome")
    use(api, 3)

    assert [line.split()[1] for line in lines(desk, f"{timeline(acme)}?kind=credits")] == [
        "Debit",
        "Grant",
    ]


def test_many_things_of_one_instant_come_once_each_over_all_pages(
    desk: Desk, api: Api, acme: Character
) -> None:
    # given all of it happened at one instant
    clock_set(acme.test, datetime(2026, 5, 1, tzinfo=UTC))
    desk.look_at(acme.test)
    make_metric(api)
    give(api, 5_000_000)
    events = [
        {
            "external_customer_id": "user_1",
            "billable_metric_key": "api_call",
            "units": 1,
            "idempotency_key": f"k{number}",
        }
        for number in range(90)
    ]
    assert api.post("/v1/usage/batch", {"events": events})["accepted"] == 90
    # when
    url, found = timeline(acme), []
    while url:
        page = desk.open(url)
        found += re.findall(r'href="(/admin/billing/ledgerentry/[^"]+)"', page)
        older = re.search(r'href="([^"]+)" data-more', page)
        url = older[1].replace("&amp;", "&") if older else ""
    # then
    assert len(found) == len(set(found)) == 91
    assert len(found) > ROWS


def test_one_sees_what_one_may_see(api: Api, acme: Character) -> None:
    give(api, 50_000)
    where = timeline(acme)

    assert Desk(somebody(), acme.test).client.get(where).status_code == 403
    assert "credit.granted" in Desk(somebody("viewer"), acme.test).open(where)


def test_of_a_strangers_customer_there_is_none(
    desk: Desk, api: Api, acme: Character, rival: Character
) -> None:
    give(Api(rival.test.secret), 50_000, to="theirs")

    desk.open(timeline(rival, "theirs"), status=404)


@pytest.mark.parametrize("query", ["before=nonsense", "before=2026-01-01T00:00:00Z~x~y", "kind=none"])
def test_nonsense_in_the_address_does_no_harm(desk: Desk, api: Api, acme: Character, query: str) -> None:
    give(api, 50_000)

    assert desk.open(f"{timeline(acme)}?{query}")


def test_the_customers_page_has_it_and_asks_no_more_for_it(desk: Desk, api: Api, acme: Character) -> None:
    give(api, 50_000)
    where = timeline(acme)

    page = desk.open(where.replace("timeline/", "change/"))

    assert f'data-load="{where}"' in page
    assert desk.queries(where) <= 15


def test_what_happens_to_invoices_is_in_it(desk: Desk, acme: Character, api: Api) -> None:
    # given
    give(api, 50_000)
    with environment_scope(acme.test.id):
        invoice = make_invoice(acme.test, Customer.objects.get(external_id="user_1"), 4900)
    # when
    shown = lines(desk, f"{timeline(acme)}?kind=invoices")
    # then
    assert [line.split()[1] for line in shown] == ["invoice.issued", "invoice.created"]
    assert str(invoice) in shown[0]
