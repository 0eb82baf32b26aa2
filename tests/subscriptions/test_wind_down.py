"""`POST …/wind-down`: a customer's end in one call."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from subscriptions.models import WindDown
from tests.conftest import Answer, Api, Character
from tests.making import balance, give, history, make_metric, use
from tests.subscriptions.deals import make_variant, subscribe

URL = "/v1/customer-by-external-id/user_1/wind-down"


@pytest.fixture
def rich(api: Api) -> Api:
    """user_1 with 10,000 mc, 700 that start later, a hold of 2,000, and an auto-topup at 5,000."""
    make_metric(api)
    give(api, 10000)
    give(api, 700, effective_at="2099-01-01T00:00:00Z")
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 2}
    api.post("/v1/reserve", body, idempotency_key="held")
    package = api.post("/v1/topup-packages", {"name": "Refill", "credits": 1, "price": 1, "currency": "usd"})[
        "id"
    ]
    api.send(
        "PUT", "/v1/customer-by-external-id/user_1/auto-topup", {"threshold": 5000, "package_id": package}
    )
    return api


def wind_down(api: Api, body: Any = None, *, key: str = "w1") -> Answer:
    return api.post(URL, body, idempotency_key=key)


def facts(answer: Answer) -> dict[str, Any]:
    return {
        name: value for name, value in answer.json.items() if name not in ("ledger_entry_id", "deleted_at")
    }


def test_everything_ends(rich: Api, acme: Character) -> None:
    # when
    answer = wind_down(rich, {"reason": "They left"})
    # then
    assert answer.status == 200
    [released] = answer["reservations_released"]
    assert released["amount"] == 2000
    assert (answer["credits_voided"], answer["pending_credits_voided"]) == (10000, 700)
    assert (answer["balance"], answer["amount_owed"], answer["duplicate"]) == (0, 0, False)
    assert rich.get(f"/v1/reserve/{released['reservation_id']}")["status"] == "released"
    entry = history(rich)[0]
    assert (entry["id"], entry["kind"], entry["amount"]) == (answer["ledger_entry_id"], "adjust", -10000)
    assert entry["reason"] == "They left"
    assert rich.get("/v1/customer-by-external-id/user_1")["deleted_at"] == answer["deleted_at"]
    assert rich.get("/v1/customer-by-external-id/user_1/auto-topup").status == 404
    shown = balance(rich, query="?include=all&as_of=2100-01-01T00:00:00Z")
    assert shown["balance"] == 0
    assert sorted(block["status"] for block in shown["blocks"]) == ["spent", "voided"]
    # and: nobody is asked to pay for a customer who leaves
    with environment_scope(acme.test.id):
        told = set(OutboxEvent.objects.values_list("event", flat=True))
    assert "topup.requested" not in told
    assert {"reservation.released", "credit.adjusted", "customer.deleted"} <= told


def test_the_preview_tells_the_same_and_does_nothing(rich: Api, acme: Character) -> None:
    # given
    before = balance(rich, query="?include=all")
    # when
    preview = rich.post(URL, {"preview": True})
    # then
    assert (preview.status, preview["preview"], preview["ledger_entry_id"]) == (200, True, None)
    after = balance(rich, query="?include=all")
    assert {**after, "as_of": None} == {**before, "as_of": None}
    assert rich.get("/v1/customer-by-external-id/user_1")["deleted_at"] is None
    assert rich.get("/v1/customer-by-external-id/user_1/auto-topup").status == 200
    with environment_scope(acme.test.id):
        assert WindDown.objects.count() == 0
        assert not OutboxEvent.objects.filter(event="customer.deleted").exists()
    # and
    assert facts(wind_down(rich)) == {**facts(preview), "preview": False}


def test_debts_stay_and_are_told(api: Api) -> None:
    make_metric(api)
    give(api, 1000)
    api.patch("/v1/customer-by-external-id/user_1", {"overage_policy": "allow"})
    use(api, 3)
    answer = wind_down(api)
    assert (answer["balance"], answer["amount_owed"], answer["credits_voided"]) == (-2000, 2000, 0)
    assert balance(api)["balance"] == -2000


def test_a_retry_gets_the_same_answer_and_a_second_time_finds_nothing(rich: Api) -> None:
    first = wind_down(rich, {"reason": "x"})
    again = wind_down(rich, {"reason": "x"})
    assert again.bytes == first.bytes
    second = wind_down(rich, key="w2")
    assert (second.status, second["credits_voided"], second["reservations_released"]) == (200, 0, [])
    assert second["deleted_at"] == first["deleted_at"]


def test_what_is_refused_leaves_everything(rich: Api) -> None:
    assert rich.post(URL, {}).refusal() == (422, "idempotency-key-missing")
    assert wind_down(rich, {"preview": "yes"}).refusal() == (422, "validation-failed")
    unknown = rich.post("/v1/customers/nobody/wind-down", {}, idempotency_key="w")
    assert unknown.refusal() == (404, "customer-not-found")
    assert balance(rich)["balance"] == 10000


def test_by_id_too(rich: Api) -> None:
    customer_id = balance(rich)["customer_id"]
    answer = rich.post(f"/v1/customers/{customer_id}/wind-down", {}, idempotency_key="w")
    assert (answer.status, answer["credits_voided"]) == (200, 10000)


def test_a_live_subscription_is_canceled_without_its_fallback(api: Api, acme: Character) -> None:
    # given
    free = make_variant(acme.test, {"credits_mc": 300})
    deal = subscribe(
        api, acme.test, make_variant(acme.test, {"credits_mc": 5_000}, fallback_variant=free), begin=None
    )
    # when
    foreseen = api.post(URL, {"preview": True})
    answer = wind_down(api)
    # then
    assert [each["subscriptions_canceled"] for each in (foreseen, answer)] == [[deal.id], [deal.id]]
    assert (answer["credits_voided"], answer["balance"]) == (5_000, 0)
    assert deal.look()["status"] == "canceled"
    statuses = [row["status"] for row in api.get("/v1/subscriptions")["data"]]
    assert statuses == ["canceled"]
