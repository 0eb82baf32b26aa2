"""Winding a customer down from their page."""

from __future__ import annotations

import re

import pytest

from customers.kernel.database import environment_scope
from customers.models import Approval, Customer
from subscriptions.models import WindDown
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import balance, give, history, make_metric, use

WHY = {"reason": "They left"}


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("operator"), acme.test)


@pytest.fixture
def rich(api: Api) -> Api:
    """user_1 with 100,000 mc, 7,000 that start later, and a hold of 20,000."""
    make_metric(api)
    give(api, 100_000)
    give(api, 7_000, effective_at="2099-01-01T00:00:00Z")
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 20}
    assert api.post("/v1/reserve", body, idempotency_key="held").status == 201
    return api


def path_of(acme: Character) -> str:
    with environment_scope(acme.test.id):
        return f"/admin/customers/customer/{Customer.objects.get(external_id='user_1').pk}/"


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_preview_tells_what_would_end_and_ends_nothing(desk: Desk, rich: Api, acme: Character) -> None:
    page = path_of(acme)
    assert "Wind down" in desk.open(f"{page}change/")

    shown = words(desk.preview(f"{page}actions/wind-down/", WHY))

    assert "100 credits are voided." in shown
    assert "7 credits that start later are voided." in shown
    assert "of 20 credits is released." in shown
    assert balance(rich)["reserved_balance"] == 20_000
    assert rich.get("/v1/customer-by-external-id/user_1")["deleted_at"] is None
    with environment_scope(acme.test.id):
        assert not WindDown.objects.exists()


def test_everything_ends_with_a_reason(desk: Desk, rich: Api, acme: Character) -> None:
    page = path_of(acme)

    assert desk.send(f"{page}actions/wind-down/", WHY).status_code == 302

    shown = balance(rich, query="?include=all&as_of=2100-01-01T00:00:00Z")
    assert (shown["balance"], shown["reserved_balance"]) == (0, 0)
    entry = history(rich)[0]
    assert (entry["kind"], entry["amount"], entry["reason"]) == ("adjust", -100_000, "They left")
    assert entry["actor"] == f"user:{desk.user.username}"
    assert rich.get("/v1/customer-by-external-id/user_1")["deleted_at"] is not None
    # and it is not offered again
    assert "Wind down" not in re.findall(r'<a class="p-button[^>]*>.*?</a>', desk.open(f"{page}change/"))


def test_a_form_sent_twice_winds_down_once(desk: Desk, rich: Api, acme: Character) -> None:
    act = f"{path_of(acme)}actions/wind-down/"
    token = desk.token(act)

    for _ in range(2):
        assert desk.send(act, WHY, token=token).status_code == 302

    with environment_scope(acme.test.id):
        assert WindDown.objects.count() == 1


def test_what_is_owed_stays_owed(desk: Desk, api: Api, acme: Character) -> None:
    make_metric(api)
    give(api, 1_000)
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    use(api, 4)
    act = f"{path_of(acme)}actions/wind-down/"

    assert "3 credits stay owed." in words(desk.preview(act, WHY))
    assert desk.send(act, WHY).status_code == 302

    assert balance(api)["balance"] == -3_000


def test_above_the_limit_two_people_wind_down_what_was_there_when_it_was_asked(
    rich: Api, desk: Desk, acme: Character
) -> None:
    # given more than one operator may void alone
    give(rich, 2_000_000_000)
    act = f"{path_of(acme)}actions/wind-down/"
    refused = desk.send(act, WHY)
    assert refused.status_code == 422
    assert "above your limit" in refused.content.decode()
    assert desk.send(act, {**WHY, "ask": "1"}).status_code == 302
    assert balance(rich)["balance"] == 2_000_100_000
    with environment_scope(acme.test.id):
        approval = Approval.objects.get()
    assert (approval.deed, approval.amount) == ("customers.wind_down", 2_000_107_000)
    checker = Desk(somebody("owner"), acme.test)
    decide = f"/admin/customers/approval/{approval.public_id}/approve/"
    # when usage goes on, that is no other deed
    assert use(rich, 1).status == 202
    assert checker.send(decide, {"reason": "Fine"}).status_code == 302
    # then
    assert balance(rich)["balance"] == 0
    assert history(rich)[0]["metadata"]["approved_by"] == f"user:{checker.user.username}"
    with environment_scope(acme.test.id):
        assert WindDown.objects.get().actor == f"user:{desk.user.username}"


def test_credits_given_meanwhile_are_not_voided_by_an_old_request(
    rich: Api, desk: Desk, acme: Character
) -> None:
    # given
    give(rich, 2_000_000_000)
    assert desk.send(f"{path_of(acme)}actions/wind-down/", {**WHY, "ask": "1"}).status_code == 302
    with environment_scope(acme.test.id):
        approval = Approval.objects.get()
    # when
    give(rich, 5_000)
    checker = Desk(somebody("owner"), acme.test)
    answer = checker.send(f"/admin/customers/approval/{approval.public_id}/approve/", {"reason": "Fine"})
    # then
    assert answer.status_code == 422
    assert balance(rich)["balance"] == 2_000_105_000
    with environment_scope(acme.test.id):
        assert not WindDown.objects.exists()


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("support", 403), ("finance", 403), ("owner", 200)]
)
def test_who_winds_down(rich: Api, acme: Character, role: str, status: int) -> None:
    Desk(somebody(role), acme.test).open(f"{path_of(acme)}actions/wind-down/", status=status)
