"""`…/auto-topup`: `topup.requested`, once per crossing and never twice while one is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from billing.models import TopupRequest
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from tests.clock import clock_set
from tests.conftest import Answer, Api, Character
from tests.making import give, make_metric, use

URL = "/v1/customer-by-external-id/user_1/auto-topup"


@pytest.fixture
def package(api: Api) -> str:
    """A package of 5,000 mc; `api_call` at 1,000 mc; user_1 with 10,000 mc."""
    make_metric(api)
    give(api, 10000)
    terms = {"name": "Refill", "credits": 5000, "price": 500, "currency": "usd"}
    return str(api.post("/v1/topup-packages", terms)["id"])


def set_it(api: Api, package: str, **more: Any) -> Answer:
    return api.send("PUT", URL, {"threshold": 4000, "package_id": package, **more})


def topup(api: Api, **terms: Any) -> Answer:
    body = {"external_customer_id": "user_1", **terms}
    return api.post("/v1/topup/grant", body, idempotency_key=uuid4().hex)


def requested(acme: Character) -> list[dict[str, Any]]:
    with environment_scope(acme.test.id):
        return [event.payload for event in OutboxEvent.objects.filter(event="topup.requested").order_by("id")]


def test_it_is_set_shown_and_removed(api: Api, package: str) -> None:
    assert api.get(URL).refusal() == (404, "auto-topup-not-found")
    answer = set_it(api, package, monthly_limit=3)
    assert answer.status == 200
    assert (answer["threshold"], answer["package_id"], answer["monthly_limit"]) == (4000, package, 3)
    assert answer["open_request"] is None
    assert api.get(URL).json == answer.json
    assert [api.delete(URL).status for _ in range(2)] == [204, 204]
    assert api.get(URL).status == 404


def test_unknown_packages_and_customers_are_refused(api: Api, package: str) -> None:
    assert set_it(api, "pkg_01k7x3s9c5ef6v8b2n4m6q8r0t").refusal() == (422, "topup-package-not-found")
    nobody = api.send(
        "PUT", "/v1/customer-by-external-id/nobody/auto-topup", {"threshold": 1, "package_id": package}
    )
    assert nobody.refusal() == (404, "customer-not-found")
    assert set_it(api, package, monthly_limit=0).refusal() == (422, "validation-failed")


def test_one_request_per_crossing(api: Api, acme: Character, package: str) -> None:
    # given
    set_it(api, package)
    use(api, 5)
    assert requested(acme) == []
    # when: 5,000 → 4,000
    use(api, 1)
    # then
    [told] = requested(acme)
    assert (told["threshold"], told["effective_balance"]) == (4000, 4000)
    assert (told["package_id"], told["credits"], told["price"], told["currency"]) == (
        package,
        5000,
        500,
        "usd",
    )
    assert api.get(URL)["open_request"]["id"] == told["topup_request_id"]
    # and: not again, however much is used while it is open
    use(api, 1)
    use(api, 1)
    assert len(requested(acme)) == 1
    # when: answered, and used up again
    answer = topup(api, package_id=package, topup_request_id=told["topup_request_id"])
    assert (answer["topup_request_id"], answer["balance"]) == (told["topup_request_id"], 7000)
    assert api.get(URL)["open_request"] is None
    use(api, 3)
    # then
    assert len(requested(acme)) == 2
    with environment_scope(acme.test.id):
        states = list(TopupRequest.objects.order_by("id").values_list("state", flat=True))
    assert states == ["fulfilled", "open"]


def test_a_hold_crosses_too(api: Api, acme: Character, package: str) -> None:
    set_it(api, package)
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 6}
    api.post("/v1/reserve", body, idempotency_key="r1")
    [told] = requested(acme)
    assert (told["balance"], told["reserved_balance"], told["effective_balance"]) == (10000, 6000, 4000)


def test_whatever_lifts_it_above_the_threshold_resolves_it(api: Api, acme: Character, package: str) -> None:
    set_it(api, package)
    use(api, 8)
    # when: not enough, and nobody names the request
    give(api, 1000)
    assert len(requested(acme)) == 1
    assert api.get(URL)["open_request"] is not None
    # when
    give(api, 2000)
    # then
    assert api.get(URL)["open_request"] is None
    with environment_scope(acme.test.id):
        assert TopupRequest.objects.get().state == "covered"
    use(api, 1)
    assert len(requested(acme)) == 2


def test_a_topup_that_was_not_enough_is_followed_by_another_request(
    api: Api, acme: Character, package: str
) -> None:
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    set_it(api, package)
    use(api, 15)
    [first] = requested(acme)
    # when: -5,000 + 5,000 is still not above 4,000
    topup(api, package_id=package, topup_request_id=first["topup_request_id"])
    # then
    [_, second] = requested(acme)
    assert (second["effective_balance"], second["topup_request_id"] != first["topup_request_id"]) == (0, True)
    topup(api, package_id=package, topup_request_id=second["topup_request_id"])
    assert len(requested(acme)) == 2


def test_who_is_below_already_is_asked_for_at_once(api: Api, acme: Character, package: str) -> None:
    use(api, 9)
    answer = set_it(api, package)
    assert answer["open_request"]["effective_balance"] == 1000
    assert len(requested(acme)) == 1


def test_removing_it_cancels_the_request(api: Api, acme: Character, package: str) -> None:
    set_it(api, package)
    use(api, 6)
    api.delete(URL)
    with environment_scope(acme.test.id):
        assert TopupRequest.objects.get().state == "canceled"
    use(api, 1)
    assert len(requested(acme)) == 1
    # and: a topup that answers it all the same is welcome
    [told] = requested(acme)
    assert topup(api, credits=10, topup_request_id=told["topup_request_id"]).status == 201


def test_a_month_sees_only_so_many(api: Api, acme: Character, package: str) -> None:
    # given
    clock_set(acme.test, datetime(2030, 1, 31, 23, 59, tzinfo=UTC))
    set_it(api, package, monthly_limit=2)
    # when
    for _ in range(3):
        use(api, 6)
        give(api, 6000)
    # then
    assert len(requested(acme)) == 2
    # when: the next month
    clock_set(acme.test, datetime(2030, 2, 1, tzinfo=UTC))
    use(api, 6)
    assert len(requested(acme)) == 3


def test_a_package_that_is_asked_for_cannot_be_archived(api: Api, package: str) -> None:
    set_it(api, package)
    path = f"/v1/topup-packages/{package}"
    assert api.patch(path, {"active": False}).refusal() == (409, "topup-package-in-use")
    api.delete(URL)
    assert api.patch(path, {"active": False}).status == 200
    assert set_it(api, package).refusal() == (422, "topup-package-inactive")


def test_many_at_once_ask_once(
    api: Api, acme: Character, package: str, together: Callable[..., list[Any]]
) -> None:
    set_it(api, package)
    answers = together(9, lambda _: use(Api(acme.test.secret), 1))
    assert {answer.status for answer in answers} == {202}
    assert len(requested(acme)) == 1
