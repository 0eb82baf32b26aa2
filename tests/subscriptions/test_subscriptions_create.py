"""`POST /v1/subscriptions`: the present period begins and its credits are there."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from subscriptions.models import Subscription
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.making import balance, give, make_metric, use
from tests.subscriptions.deals import BEGIN, BUDGET, PREPAID, at, make_variant, subscribe


@pytest.fixture(autouse=True)
def _it_is_january(acme: Character) -> None:
    clock_set(acme.test, BEGIN)


def test_a_subscription_begins_with_its_period_and_its_grants(api: Api, acme: Character) -> None:
    # given
    variant = make_variant(acme.test, BUDGET, {"credits_mc": 7_000, "grant_type": "one_time", "priority": 0})
    # when
    deal = subscribe(api, acme.test, variant, external_subscription_id="ref_1", metadata={"a": "b"})
    # then
    looks = deal.look()
    assert (looks["status"], looks["current_period_start"], looks["current_period_end"]) == (
        "active",
        "2026-01-31T12:00:00Z",
        "2026-02-28T12:00:00Z",
    )
    assert (looks["external_subscription_id"], looks["metadata"]) == ("ref_1", {"a": "b"})
    blocks = balance(api, query="?include_blocks=true")
    assert blocks["balance"] == 107_000
    assert [
        (b["remaining_amount"], b["source"], b["priority"], b["expires_at"]) for b in blocks["blocks"]
    ] == [
        (100_000, "plan_grant", 10, "2026-02-28T12:00:00Z"),
        (7_000, "plan_grant", 0, None),
    ]
    assert deal.told() == [("created", "2026-01-31T12:00:00Z")]
    assert deal.payload("created")["credits_granted"] == 107_000


def test_a_start_in_the_past_is_counted_from_there_and_grants_the_present_intervals(
    api: Api, acme: Character
) -> None:
    daily = {"credits_mc": 5, "grant_interval": "daily", "expires_at_interval_end": True}
    variant = make_variant(acme.test, BUDGET, daily)

    deal = subscribe(api, acme.test, variant, begin=at("2026-04-10T09:00"), start_date="2026-01-31T12:00:00Z")

    looks = deal.look()
    assert (looks["current_period_start"], looks["current_period_end"]) == (
        "2026-03-31T12:00:00Z",
        "2026-04-30T12:00:00Z",
    )
    blocks = balance(api, query="?include_blocks=true")["blocks"]
    assert [(b["remaining_amount"], b["expires_at"]) for b in blocks] == [
        (5, "2026-04-10T12:00:00Z"),
        (100_000, "2026-04-30T12:00:00Z"),
    ]


def test_a_trial_is_told_to_end_and_ends(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET, trial_days=10, **PREPAID)
    deal = subscribe(api, acme.test, variant)
    assert deal.look()["status"] == "trialing"

    deal.work("2026-02-11T00:00")

    assert deal.look()["status"] == "active"
    assert deal.told("trial_ending", "changed") == [
        ("trial_ending", "2026-02-07T12:00:00Z"),
        ("changed", "2026-02-10T12:00:00Z"),
    ]


def test_a_second_live_subscription_is_refused(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET)
    deal = subscribe(api, acme.test, variant)

    answer = api.post(
        "/v1/subscriptions", {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}
    )

    assert answer.refusal() == (409, "subscription-exists")
    assert answer["subscription_id"] == deal.id
    assert deal.balance() == 100_000


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"start_date": "2026-02-01T00:00:00Z"}, (422, "start-date-refused")),
        ({"contract_end": "2026-01-31T12:00:00Z"}, (422, "contract-end-refused")),
        ({"plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t"}, (404, "plan-variant-not-found")),
        ({"plan_variant_id": "nonsense"}, (422, "validation-failed")),
        ({"customer_id": "x"}, (400, "ambiguous-customer")),
        ({"external_customer_id": "nobody"}, (404, "customer-not-found")),
        ({"surprise": 1}, (422, "validation-failed")),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    api: Api, acme: Character, more: dict[str, Any], refusal: tuple[int, str]
) -> None:
    variant = make_variant(acme.test, BUDGET)
    api.post("/v1/customers", {"external_id": "user_1"})
    clock_set(acme.test, BEGIN)

    answer = api.post(
        "/v1/subscriptions",
        {"external_customer_id": "user_1", "plan_variant_id": variant.public_id, **more},
    )

    assert answer.refusal() == refusal
    assert balance(api)["balance"] == 0
    with environment_scope(acme.test.id):
        assert Subscription.objects.count() == 0


def test_an_archived_variant_takes_nobody(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET, archived_at=BEGIN)
    api.post("/v1/customers", {"external_id": "user_1"})

    answer = api.post(
        "/v1/subscriptions", {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}
    )

    assert answer.refusal() == (409, "plan-variant-archived")


def test_the_same_key_makes_one_subscription(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET)
    api.post("/v1/customers", {"external_id": "user_1"})
    body = {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}

    first = api.post("/v1/subscriptions", body, idempotency_key="sub:1")
    again = api.post("/v1/subscriptions", body, idempotency_key="sub:1")

    assert (again.status, again["id"]) == (201, first["id"])
    assert balance(api)["balance"] == 100_000


def test_lists_are_filtered(api: Api, acme: Character) -> None:
    variant = make_variant(acme.test, BUDGET)
    other = make_variant(acme.test, BUDGET)
    one = subscribe(api, acme.test, variant)
    two = subscribe(api, acme.test, other, who="user_2")
    two.act("cancel", {"cancel_immediately": True})

    def ids(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"/v1/subscriptions?{query}")["data"]]

    assert ids("") == [two.id, one.id]
    assert ids("status=active") == [one.id]
    assert ids("external_customer_id=user_2") == [two.id]
    assert ids(f"plan_variant_id={variant.public_id}") == [one.id]
    assert ids(f"plan_id={other.plan.public_id}") == [two.id]
    assert ids("due_before=2027-01-01T00:00:00Z") == [one.id]
    assert ids("failed=true") == []
    assert [row["id"] for row in api.get("/v1/customer-by-external-id/user_2/subscriptions")["data"]] == [
        two.id
    ]


def test_another_tenant_finds_nothing(api: Api, acme: Character, rival: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    stranger = Api(rival.test.secret)

    assert stranger.get(f"/v1/subscriptions/{deal.id}").refusal() == (404, "subscription-not-found")
    assert stranger.post(f"/v1/subscriptions/{deal.id}/cancel", {}).refusal() == (
        404,
        "subscription-not-found",
    )
    assert stranger.get("/v1/subscriptions")["data"] == []


def test_labels_are_changed(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    answer = api.patch(f"/v1/subscriptions/{deal.id}", {"metadata": {"k": "v"}})

    assert (answer.status, answer["metadata"]) == (200, {"k": "v"})


def test_usage_counts_in_the_subscriptions_cycle_and_burns_the_budget_first(
    api: Api, acme: Character
) -> None:
    make_metric(api)
    subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    give(api, 50_000)

    use(api, 3)

    blocks = balance(api, query="?include_blocks=true")["blocks"]
    assert [b["remaining_amount"] for b in blocks] == [97_000, 50_000]
