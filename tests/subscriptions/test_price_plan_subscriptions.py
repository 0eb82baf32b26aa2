"""Subscriptions to price plans: several per customer, apart from credits, on terms that tile their time."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from subscriptions.models import PriceTerm, Subscription, SubscriptionPeriod
from tests.clock import clock_set
from tests.conftest import Api, Character, World
from tests.subscriptions.deals import BUDGET, Deal, at, make_variant, subscribe
from tests.subscriptions.pricing import fee, make_price_plan, subscribe_to


def terms(world: World, deal: Deal) -> list[tuple[str, int, str, str | None, bool]]:
    """Its terms: price plan, version, from, until, whether fees are shared."""
    with environment_scope(world.id):
        rows = PriceTerm.objects.select_related("version__price_plan").order_by("starts_at")
        return [
            (
                row.version.price_plan.key,
                row.version.version,
                f"{row.starts_at:%Y-%m-%dT%H:%M}",
                f"{row.ends_at:%Y-%m-%dT%H:%M}" if row.ends_at else None,
                row.prorates,
            )
            for row in rows
            if row.subscription.public_id == deal.id
        ]


def periods(deal: Deal) -> list[tuple[str, str]]:
    rows = deal.api.get(f"/v1/subscriptions/{deal.id}/periods")["data"]
    return [(row["start"][:10], row["end"][:10]) for row in reversed(rows)]


def test_it_begins_with_its_period_and_its_term_and_grants_nothing(api: Api, acme: Character) -> None:
    make_price_plan(api)

    deal = subscribe_to(api, acme.test, "plan_fee")

    looks = deal.look()
    assert (looks["status"], looks["plan_id"], looks["plan_version"], looks["plan_variant_id"]) == (
        "active",
        "plan_fee",
        1,
        None,
    )
    assert periods(deal) == [("2026-01-31", "2026-02-28")]
    assert terms(acme.test, deal) == [("plan_fee", 1, "2026-01-31T12:00", None, True)]
    assert deal.balance() == 0
    assert deal.payload("created")["plan_id"] == "plan_fee"
    assert deal.payload("created")["price_plan_version"] == 1


def test_a_start_in_the_past_makes_every_period_since(api: Api, acme: Character) -> None:
    make_price_plan(api)

    deal = subscribe_to(api, acme.test, "plan_fee", begin=at("2026-05-10"), start_date="2026-01-31T12:00:00Z")

    assert periods(deal) == [
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-04-30"),
        ("2026-04-30", "2026-05-31"),
    ]
    assert terms(acme.test, deal) == [("plan_fee", 1, "2026-01-31T12:00", None, True)]


def test_too_many_past_periods_are_refused_and_nothing_stays(api: Api, acme: Character) -> None:
    make_price_plan(api, billing_period="hourly")
    clock_set(acme.test, at("2026-05-10"))
    api.post("/v1/customers", {"external_id": "user_1"})

    answer = api.post(
        "/v1/subscriptions",
        {"external_customer_id": "user_1", "plan_id": "plan_fee", "start_date": "2024-01-01T00:00:00Z"},
    )

    assert answer.refusal() == (422, "start-date-refused")
    with environment_scope(acme.test.id):
        assert (Subscription.objects.count(), SubscriptionPeriod.objects.count()) == (0, 0)


def test_a_customer_has_several_beside_the_one_that_holds_credits(api: Api, acme: Character) -> None:
    # given
    make_price_plan(api)
    make_price_plan(api, "plan_daily", billing_period="daily")
    credit = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    # when
    monthly = subscribe_to(api, acme.test, "plan_fee")
    daily = subscribe_to(api, acme.test, "plan_daily")
    again = subscribe_to(api, acme.test, "plan_daily")
    # then
    assert len({credit.id, monthly.id, daily.id, again.id}) == 4
    assert credit.balance() == 100_000
    # and when time goes on, each does what is due on it
    credit.work("2026-03-05T12:00")
    assert credit.told("renewed") == [("renewed", "2026-02-28T12:00:00Z")]
    assert monthly.told("renewed") == [("renewed", "2026-02-28T12:00:00Z")]
    assert [told for _, told in daily.told("renewed")][:2] == ["2026-02-01T12:00:00Z", "2026-02-02T12:00:00Z"]
    assert len(daily.told("renewed")) == len(again.told("renewed")) == 33
    assert credit.balance() == 100_000
    assert monthly.payload("renewed")["usage_summary"] is None
    assert credit.payload("renewed")["usage_summary"]["net_balance_at_cycle_start"] == 100_000


def test_things_happen_in_the_order_of_their_instants_over_all_subscriptions(
    api: Api, acme: Character
) -> None:
    make_price_plan(api, "plan_daily", billing_period="daily")
    credit = subscribe(api, acme.test, make_variant(acme.test, BUDGET, billing_cycle="weekly"))
    daily = subscribe_to(api, acme.test, "plan_daily")

    credit.work("2026-02-09T12:00")

    feed = api.get("/v1/webhook-events?limit=100")["data"]
    renewed = [row for row in feed if row["event"] == "subscription.renewed"]
    dated = [row["created_at"] for row in sorted(renewed, key=lambda row: row["sequence"])]
    assert dated == sorted(dated)
    assert len(dated) == 9 + 1
    assert daily.look()["current_period_end"] == "2026-02-10T12:00:00Z"


def test_a_test_clock_lives_through_all_of_them(api: Api, acme: Character) -> None:
    # given
    make_price_plan(api)
    make_price_plan(api, "plan_week", billing_period="weekly")
    monthly = subscribe_to(api, acme.test, "plan_fee")
    weekly = subscribe_to(api, acme.test, "plan_week", contract_end="2026-03-08T00:00:00Z")
    # when
    advanced = api.post("/v1/test-clock/advance", {"to": "2026-06-01T00:00:00Z"})
    # then each did what was due on it, at its instant
    assert advanced.status == 200, advanced
    assert [at_ for _, at_ in monthly.told("renewed")] == [
        "2026-02-28T12:00:00Z",
        "2026-03-31T12:00:00Z",
        "2026-04-30T12:00:00Z",
        "2026-05-31T12:00:00Z",
    ]
    assert weekly.told("contract_ended") == [("contract_ended", "2026-03-08T00:00:00Z")]
    assert periods(weekly)[-1] == ("2026-03-07", "2026-03-08")
    assert terms(acme.test, weekly) == [("plan_week", 1, "2026-01-31T12:00", "2026-03-08T00:00", True)]


def test_a_paused_price_plan_suspends_no_usage_of_credits(api: Api, acme: Character) -> None:
    make_price_plan(api)
    subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    deal = subscribe_to(api, acme.test, "plan_fee")

    assert deal.act("pause").status == 200

    account = api.get("/v1/customer-by-external-id/user_1/credits")
    assert account["balance"] == 100_000
    assert api.post("/v1/metrics", {"key": "calls", "name": "Calls"}).status == 201
    answer = api.get("/v1/customer-by-external-id/user_1/entitlements/calls")
    assert answer["reason"] == "no_metering_rule"
    # and resuming shifts its period by the pause
    clock_set(acme.test, at("2026-02-02T12:00"))
    assert deal.act("resume")["current_period_end"] == "2026-03-02T12:00:00Z"


def test_a_parked_price_plan_holds_up_no_credits(
    api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee")
    credit = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("subscriptions.services.due_work.period_close", break_down)
        patched.setattr("subscriptions.services.due_work.Work.close", break_down)
        deal.time("2026-02-28T12:00")
        deal.look()
    with environment_scope(acme.test.id):
        parked = Subscription.objects.filter(failed_at__isnull=False)
        assert {each.public_id for each in parked} == {deal.id, credit.id}
    # and when the credit one is repaired, it goes on by itself
    assert credit.act("retry").status == 200
    credit.time("2026-03-31T12:00")
    assert credit.balance() == 100_000
    assert deal.look()["failed_at"] == "2026-02-28T12:00:00Z"


def test_canceled_at_once_its_term_and_period_end_there(api: Api, acme: Character) -> None:
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee")
    clock_set(acme.test, at("2026-02-10"))

    answer = deal.act("cancel", {"cancel_immediately": True})

    assert (answer.status, answer["status"]) == (200, "canceled")
    assert periods(deal) == [("2026-01-31", "2026-02-10")]
    assert terms(acme.test, deal) == [("plan_fee", 1, "2026-01-31T12:00", "2026-02-10T00:00", True)]


def test_a_contract_ends_its_term_and_an_extension_begins_another(api: Api, acme: Character) -> None:
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee", contract_end="2026-02-15T00:00:00Z")
    deal.work("2026-02-20T00:00")
    assert deal.look()["status"] == "contract_ended"

    assert deal.act("extend", {"contract_end": "2026-12-31T00:00:00Z"})["status"] == "active"

    assert terms(acme.test, deal) == [
        ("plan_fee", 1, "2026-01-31T12:00", "2026-02-15T00:00", True),
        ("plan_fee", 1, "2026-02-20T00:00", None, True),
    ]
    assert periods(deal) == [("2026-01-31", "2026-02-15"), ("2026-02-20", "2026-03-20")]


def test_a_change_at_once_splits_the_terms_at_the_instant(api: Api, acme: Character) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_pro", fee("99"))
    deal = subscribe_to(api, acme.test, "plan_fee")
    clock_set(acme.test, at("2026-02-10"))

    answer = deal.act("change", {"plan_id": "plan_pro", "prorate": False})

    assert (answer.status, answer["plan_id"], answer["plan_version"]) == (200, "plan_pro", 1)
    assert periods(deal) == [("2026-01-31", "2026-02-28")]
    assert terms(acme.test, deal) == [
        ("plan_fee", 1, "2026-01-31T12:00", "2026-02-10T00:00", True),
        ("plan_pro", 1, "2026-02-10T00:00", None, False),
    ]
    told = deal.payload("changed")
    assert (told["plan_id"], told["previous_price_plan_id"], told["previous_price_plan_version"]) == (
        "plan_pro",
        "plan_fee",
        1,
    )


def test_its_terms_are_listed(api: Api, acme: Character, rival: Character) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_pro", fee("99"))
    deal = subscribe_to(api, acme.test, "plan_fee")
    clock_set(acme.test, at("2026-02-10"))
    deal.act("change", {"plan_id": "plan_pro"})
    path = f"/v1/subscriptions/{deal.id}/price-terms"

    assert api.get(path)["data"] == [
        {
            "plan_id": "plan_pro",
            "plan_version": 1,
            "start": "2026-02-10T00:00:00Z",
            "end": None,
            "prorates": True,
        },
        {
            "plan_id": "plan_fee",
            "plan_version": 1,
            "start": "2026-01-31T12:00:00Z",
            "end": "2026-02-10T00:00:00Z",
            "prorates": True,
        },
    ]
    assert Api(rival.test.secret).get(path).refusal() == (404, "subscription-not-found")


def test_a_preview_of_a_change_leaves_nothing(api: Api, acme: Character) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_pro", fee("99"))
    deal = subscribe_to(api, acme.test, "plan_fee")
    before = terms(acme.test, deal)
    clock_set(acme.test, at("2026-02-10"))

    answer = deal.act("change", {"plan_id": "plan_pro", "preview": True})

    assert (answer["preview"], answer["plan_id"]) == (True, "plan_pro")
    assert (deal.look()["plan_id"], terms(acme.test, deal)) == ("plan_fee", before)


def test_a_planned_change_begins_with_the_next_period_also_of_another_length(
    api: Api, acme: Character
) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_year", fee("490"), billing_period="yearly")
    deal = subscribe_to(api, acme.test, "plan_fee")

    planned = deal.act("change", {"plan_id": "plan_year", "effective": "period_end"})
    assert (planned["plan_id"], planned["pending_price_plan_id"], planned["pending_price_plan_version"]) == (
        "plan_fee",
        "plan_year",
        1,
    )
    deal.work("2026-03-01T00:00")

    assert periods(deal) == [("2026-01-31", "2026-02-28"), ("2026-02-28", "2027-02-28")]
    assert terms(acme.test, deal) == [
        ("plan_fee", 1, "2026-01-31T12:00", "2026-02-28T12:00", True),
        ("plan_year", 1, "2026-02-28T12:00", None, True),
    ]


def test_it_stays_on_its_version_until_it_is_moved(api: Api, acme: Character) -> None:
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee")
    assert make_price_plan(api, "plan_fee", fee("59"))["version"] == 2
    assert deal.look()["plan_version"] == 1
    clock_set(acme.test, at("2026-02-10"))

    assert deal.act("change", {"plan_id": "plan_fee"})["plan_version"] == 2

    assert [term[1] for term in terms(acme.test, deal)] == [1, 2]
    assert deal.act("change", {"plan_id": "plan_fee"}).refusal() == (409, "same-plan-variant")


def test_two_changes_at_one_instant_leave_one_term(api: Api, acme: Character) -> None:
    for key in ("plan_a", "plan_b", "plan_c"):
        make_price_plan(api, key)
    deal = subscribe_to(api, acme.test, "plan_a")

    deal.act("change", {"plan_id": "plan_b", "prorate": False})
    deal.act("change", {"plan_id": "plan_c", "prorate": False})

    assert terms(acme.test, deal) == [("plan_c", 1, "2026-01-31T12:00", None, True)]


def test_changed_and_changed_back_at_one_instant_is_not_changed(api: Api, acme: Character) -> None:
    for key in ("plan_a", "plan_b"):
        make_price_plan(api, key)
    deal = subscribe_to(api, acme.test, "plan_a")
    clock_set(acme.test, at("2026-02-10"))

    deal.act("change", {"plan_id": "plan_b"})
    deal.act("change", {"plan_id": "plan_a"})

    assert terms(acme.test, deal) == [("plan_a", 1, "2026-01-31T12:00", None, True)]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"plan_id": "plan_none"}, (404, "price-plan-not-found")),
        ({"plan_id": "plan_fee", "plan_version": 7}, (404, "price-plan-not-found")),
        ({"plan_id": "plan_old"}, (409, "price-plan-deprecated")),
        ({"plan_id": "plan_gone"}, (409, "price-plan-archived")),
        ({"plan_id": "plan_fee", "plan_version": 0}, (422, "validation-failed")),
        ({"plan_id": "a/b"}, (422, "validation-failed")),
        ({}, (422, "validation-failed")),
        ({"plan_version": 1}, (422, "validation-failed")),
    ],
)
def test_what_is_not_sold_takes_nobody(
    api: Api, acme: Character, body: dict[str, Any], refusal: tuple[int, str]
) -> None:
    for key in ("plan_fee", "plan_old", "plan_gone"):
        make_price_plan(api, key)
    api.patch("/v1/price-plans/plan_old", {"status": "deprecated"})
    api.post("/v1/price-plans/plan_gone/archive")
    api.post("/v1/customers", {"external_id": "user_1"})

    assert api.post("/v1/subscriptions", {"external_customer_id": "user_1", **body}).refusal() == refusal

    with environment_scope(acme.test.id):
        assert Subscription.objects.count() == 0


def test_a_plan_variant_and_a_price_plan_are_not_named_together(api: Api, acme: Character) -> None:
    make_price_plan(api)
    variant = make_variant(acme.test, BUDGET)
    api.post("/v1/customers", {"external_id": "user_1"})

    both = {"external_customer_id": "user_1", "plan_id": "plan_fee", "plan_variant_id": variant.public_id}

    assert api.post("/v1/subscriptions", both).refusal() == (422, "validation-failed")


def test_a_subscription_does_not_change_its_kind(api: Api, acme: Character) -> None:
    make_price_plan(api)
    variant = make_variant(acme.test, BUDGET)
    credit = subscribe(api, acme.test, variant)
    money = subscribe_to(api, acme.test, "plan_fee")

    assert credit.act("change", {"plan_id": "plan_fee"}).refusal() == (409, "plan-kind-differs")
    refused = money.act("change", {"plan_variant_id": variant.public_id})
    assert refused.refusal() == (409, "plan-kind-differs")
    assert (credit.look()["plan_variant_id"], money.look()["plan_id"]) == (variant.public_id, "plan_fee")


def test_at_once_the_billing_period_stays(api: Api, acme: Character) -> None:
    make_price_plan(api)
    make_price_plan(api, "plan_year", billing_period="yearly")
    deal = subscribe_to(api, acme.test, "plan_fee")

    assert deal.act("change", {"plan_id": "plan_year"}).refusal() == (422, "billing-period-differs")

    assert terms(acme.test, deal) == [("plan_fee", 1, "2026-01-31T12:00", None, True)]


def test_only_what_costs_money_is_invoiced_automatically(api: Api, acme: Character) -> None:
    make_price_plan(api)
    variant = make_variant(acme.test, BUDGET)
    deal = subscribe_to(api, acme.test, "plan_fee", invoices_automatically=True)
    assert deal.look()["invoices_automatically"] is True

    body = {"external_customer_id": "user_1", "plan_variant_id": variant.public_id}
    refused = api.post("/v1/subscriptions", {**body, "invoices_automatically": True})

    assert refused.refusal() == (422, "validation-failed")


def test_lists_find_it_by_its_price_plan(api: Api, acme: Character) -> None:
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee")
    subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    found = api.get("/v1/subscriptions?plan_id=plan_fee")["data"]

    assert [row["id"] for row in found] == [deal.id]


def test_a_wind_down_ends_all_of_them(api: Api, acme: Character) -> None:
    make_price_plan(api)
    credit = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    one, two = subscribe_to(api, acme.test, "plan_fee"), subscribe_to(api, acme.test, "plan_fee")

    answer = api.post("/v1/customer-by-external-id/user_1/wind-down", {}, idempotency_key="end")

    assert sorted(answer["subscriptions_canceled"]) == sorted([credit.id, one.id, two.id])
    assert {deal.look()["status"] for deal in (credit, one, two)} == {"canceled"}


def test_rivals_subscribe_to_their_own_price_plans_only(api: Api, acme: Character, rival: Character) -> None:
    make_price_plan(api)
    stranger = Api(rival.test.secret)
    stranger.post("/v1/customers", {"external_id": "user_1"})

    answer = stranger.post("/v1/subscriptions", {"external_customer_id": "user_1", "plan_id": "plan_fee"})

    assert answer.refusal() == (404, "price-plan-not-found")
