"""What time makes due: done once, in order, and dated when it was due, whoever comes first and however late."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import CreditAccount
from billing.services.accounts import account_configure
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from subscriptions.models import GrantRun, Subscription, SubscriptionPeriod
from subscriptions.services import due_work
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.making import balance, give, history, make_metric, use
from tests.subscriptions.deals import BEGIN, BUDGET, PREPAID, Deal, at, make_variant, subscribe


@pytest.fixture(autouse=True)
def _it_is_january(acme: Character) -> None:
    clock_set(acme.test, BEGIN)


@pytest.fixture(autouse=True)
def _ledger_stays_in_order(acme: Character) -> Any:
    yield
    done = ledger_verify(environment_id=acme.test.id)
    assert done.ok, done.findings


def periods(deal: Deal) -> list[tuple[str, str]]:
    answer = deal.api.get(f"/v1/subscriptions/{deal.id}/periods")
    return [(row["start"], row["end"]) for row in reversed(answer["data"])]


def test_postpaid_advances_by_itself_with_the_summary_of_what_was_used(api: Api, acme: Character) -> None:
    # given
    make_metric(api)
    make_metric(api, key="token", cost_type="per_unit", unit_cost="0.5")
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    deal.time("2026-02-10")
    use(api, 30)
    use(api, "1000.5", metric="token")
    # when
    deal.work("2026-02-28T12:00")
    # then
    assert deal.balance() == 100_000
    renewed = deal.payload("renewed")
    assert (
        renewed["created_at"],
        renewed["prior_period"],
        renewed["new_period"],
        renewed["credits_granted"],
    ) == (
        "2026-02-28T12:00:00Z",
        {"start": "2026-01-31T12:00:00Z", "end": "2026-02-28T12:00:00Z"},
        {"start": "2026-02-28T12:00:00Z", "end": "2026-03-31T12:00:00Z"},
        100_000,
    )
    assert renewed["usage_summary"] == {
        "total_credits_consumed": 30_500,
        "net_balance_at_cycle_start": 100_000,
        "net_balance_at_cycle_end": 69_500,
        "by_billable_metric": {
            "api_call": {"units": 30, "credits": 30_000},
            "token": {"units": "1000.5", "credits": 500},
        },
    }
    assert [(e["kind"], e["amount"], e["occurred_at"]) for e in history(api)[:2]] == [
        ("grant", 100_000, "2026-02-28T12:00:00Z"),
        ("expire", -69_500, "2026-02-28T12:00:00Z"),
    ]


def test_a_call_after_the_periods_end_finds_the_new_period_though_no_worker_ran(
    api: Api, acme: Character
) -> None:
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    use(api, 100)

    deal.time("2026-02-28T12:00:01")
    answer = use(api, 1)

    assert answer.status == 202
    assert deal.balance() == 99_000
    assert deal.payload("renewed")["usage_summary"]["by_billable_metric"]["api_call"]["units"] == 100


def test_a_read_after_the_periods_end_finds_the_new_budget(api: Api, acme: Character) -> None:
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    use(api, 60)

    deal.time("2026-02-28T12:00")

    assert balance(api)["balance"] == 100_000
    checked = api.get("/v1/customer-by-external-id/user_1/entitlements/api_call?units=100")
    assert (checked["allowed"], checked["balance"]) == (True, 100_000)


def test_an_entitlement_read_alone_catches_up(api: Api, acme: Character) -> None:
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    use(api, 60)

    deal.time("2026-02-28T12:00")
    checked = api.get("/v1/customer-by-external-id/user_1/entitlements/api_call?units=100")

    assert (checked["allowed"], checked["balance"]) == (True, 100_000)


def test_a_look_at_a_subscription_finds_it_as_it_stands_now(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    deal.time("2026-03-01")

    assert deal.look()["current_period_end"] == "2026-03-31T12:00:00Z"
    deal.time("2026-04-01")
    [listed] = api.get("/v1/subscriptions")["data"]
    assert listed["current_period_end"] == "2026-04-30T12:00:00Z"
    deal.time("2026-05-01")
    assert len(api.get(f"/v1/subscriptions/{deal.id}/periods")["data"]) == 4


def test_after_a_year_of_absence_everything_happened_once_and_in_time(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    deal.work("2027-02-15")
    deal.work("2027-02-15")

    ends = ["02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31"]
    assert deal.told("renewed") == [("renewed", f"2026-{end}T12:00:00Z") for end in ends] + [
        ("renewed", "2027-01-31T12:00:00Z")
    ]
    tiles = periods(deal)
    assert [start for start, _ in tiles][1:] == [end for _, end in tiles][:-1]
    assert deal.balance() == 100_000
    with environment_scope(acme.test.id):
        assert GrantRun.objects.count() == 13


def test_what_is_left_rolls_over_within_the_cap_and_burns_after_the_new_budget(
    api: Api, acme: Character
) -> None:
    # given
    make_metric(api)
    rolling = {**BUDGET, "rollover_percentage": 50, "accumulation_cap_mc": 120_000}
    deal = subscribe(api, acme.test, make_variant(acme.test, rolling))
    use(api, 30)
    # when
    deal.work("2026-02-28T12:00")
    # then
    blocks = balance(api, query="?include_blocks=true")
    assert blocks["balance"] == 120_000
    assert [
        (b["remaining_amount"], b["source"], b["priority"], b["expires_at"]) for b in blocks["blocks"]
    ] == [
        (100_000, "plan_grant", 10, "2026-03-31T12:00:00Z"),
        (20_000, "rollover", 5, "2026-03-31T12:00:00Z"),
    ]
    assert blocks["lifetime_earned"] == 200_000
    assert [(e["kind"], e["amount"]) for e in history(api)[:3]] == [
        ("grant", 100_000),
        ("expire", -50_000),
        ("rollover", 0),
    ]


def test_a_rolled_block_does_not_roll_again(api: Api, acme: Character) -> None:
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, {**BUDGET, "rollover_percentage": 100}))

    deal.work("2026-02-28T12:00")
    assert deal.balance() == 200_000
    use(api, 100)
    deal.work("2026-03-31T12:00")

    # the new budget was used up; the rolled block is gone
    assert deal.balance() == 100_000


def test_interval_grants_fire_once_for_each_interval(api: Api, acme: Character) -> None:
    daily = {"credits_mc": 10, "grant_interval": "daily", "expires_at_interval_end": True}
    deal = subscribe(api, acme.test, make_variant(acme.test, daily))

    deal.work("2026-02-03T11:00")

    assert deal.balance() == 10
    with environment_scope(acme.test.id):
        assert [f"{run.starts_at:%m-%d %H}" for run in GrantRun.objects.order_by("starts_at")] == [
            "01-31 12",
            "02-01 12",
            "02-02 12",
        ]


# --- prepaid


@pytest.fixture
def prepaid(api: Api, acme: Character) -> Deal:
    make_metric(api)
    return subscribe(api, acme.test, make_variant(acme.test, BUDGET, **PREPAID))


def test_prepaid_asks_to_be_renewed_and_is(prepaid: Deal) -> None:
    assert prepaid.renew().refusal() == (409, "renewal-not-due")
    prepaid.work("2026-02-26")
    assert prepaid.told("renewal_due") == [("renewal_due", "2026-02-25T12:00:00Z")]

    answer = prepaid.renew(external_payment_id="pi_1")

    # then nothing is granted before the period starts
    assert (answer.status, answer["is_renewed"], answer["credits_granted"], answer["balance"]) == (
        200,
        True,
        0,
        100_000,
    )
    assert prepaid.renew().refusal() == (409, "already-renewed")
    prepaid.work("2026-02-28T13:00")
    assert prepaid.told("renewed", "overdue") == [("renewed", "2026-02-28T12:00:00Z")]
    assert prepaid.look()["current_period_end"] == "2026-03-31T12:00:00Z"
    assert prepaid.balance() == 100_000


def test_a_renewal_is_made_once_whatever_is_retried(prepaid: Deal, acme: Character) -> None:
    prepaid.work("2026-02-26")
    first = prepaid.act("renew", {"external_payment_id": "pi_1"}, idempotency_key="r1")
    again = prepaid.act("renew", {"external_payment_id": "pi_1"}, idempotency_key="r1")

    assert (first.status, again.status, again.json) == (200, 200, first.json)
    assert prepaid.act("renew", {}).refusal() == (422, "idempotency-key-missing")
    with environment_scope(acme.test.id):
        assert SubscriptionPeriod.objects.count() == 2


def test_nobody_renews_then_it_is_overdue_and_expires(prepaid: Deal, api: Api) -> None:
    prepaid.work("2026-02-28T12:00")
    assert prepaid.look()["status"] == "overdue"
    give(api, 5_000)
    assert use(api, 1).status == 202

    prepaid.work("2026-03-10")

    assert prepaid.look()["status"] == "expired"
    assert prepaid.told("overdue", "expired") == [
        ("overdue", "2026-02-28T12:00:00Z"),
        ("expired", "2026-03-03T12:00:00Z"),
    ]
    assert prepaid.renew().refusal() == (409, "subscription-state-conflict")


def test_a_late_renewal_starts_where_the_last_period_ended(prepaid: Deal) -> None:
    prepaid.work("2026-03-02T08:00")
    assert prepaid.balance() == 0

    answer = prepaid.renew()

    assert (answer["status"], answer["current_period_start"], answer["current_period_end"]) == (
        "active",
        "2026-02-28T12:00:00Z",
        "2026-03-31T12:00:00Z",
    )
    assert (answer["credits_granted"], answer["balance"]) == (100_000, 100_000)
    assert prepaid.told("renewed") == [("renewed", "2026-03-02T08:00:00Z")]


def test_usage_of_an_overdue_customer_is_refused_if_the_variant_says_so(api: Api, acme: Character) -> None:
    make_metric(api)
    strict = make_variant(acme.test, BUDGET, allow_usage_while_overdue=False, **PREPAID)
    deal = subscribe(api, acme.test, strict)
    give(api, 5_000)

    deal.work("2026-02-28T12:00")

    assert use(api, 1).refusal() == (403, "usage-suspended")
    checked = api.get("/v1/customer-by-external-id/user_1/entitlements/api_call")
    assert (checked["allowed"], checked["reason"]) == (False, "subscription_overdue")
    deal.renew()
    assert use(api, 1).status == 202


def test_expiry_falls_back_to_the_variant_that_is_named(api: Api, acme: Character) -> None:
    free = make_variant(acme.test, {"credits_mc": 1_000})
    paid = make_variant(acme.test, BUDGET, fallback_variant=free, **PREPAID)
    deal = subscribe(api, acme.test, paid)

    deal.work("2026-03-10")

    [after, before] = api.get("/v1/customer-by-external-id/user_1/subscriptions")["data"]
    assert (before["status"], after["status"], after["follows_subscription_id"]) == (
        "expired",
        "active",
        deal.id,
    )
    assert (after["started_at"], deal.balance()) == ("2026-03-03T12:00:00Z", 1_000)


# --- contracts


def test_a_contract_is_told_to_end_and_ends(api: Api, acme: Character) -> None:
    make_metric(api)
    variant = make_variant(acme.test, BUDGET)
    deal = subscribe(
        api, acme.test, variant, contract_end="2026-04-15T12:00:00Z", contract_ending_soon_days=30
    )

    deal.work("2026-04-01")
    assert deal.look()["current_period_end"] == "2026-04-15T12:00:00Z"
    use(api, 10)
    deal.work("2026-05-01")

    assert deal.told("contract_ending_soon", "contract_ended", "renewed") == [
        ("renewed", "2026-02-28T12:00:00Z"),
        ("contract_ending_soon", "2026-03-16T12:00:00Z"),
        ("renewed", "2026-03-31T12:00:00Z"),
        ("contract_ended", "2026-04-15T12:00:00Z"),
    ]
    assert deal.payload("contract_ending_soon")["days_remaining"] == 30
    assert deal.payload("contract_ended")["usage_summary"]["total_credits_consumed"] == 10_000
    assert (deal.look()["status"], deal.balance()) == ("contract_ended", 0)


# --- nothing to do


def test_when_nothing_is_due_nothing_is_written(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    with environment_scope(acme.test.id):
        before = (Subscription.objects.get().updated_at, CreditAccount.objects.get().version)

    deal.work("2026-02-28T11:59:59")

    with environment_scope(acme.test.id):
        assert (Subscription.objects.get().updated_at, CreditAccount.objects.get().version) == before


def test_an_account_that_waits_for_nothing_is_freed(api: Api, acme: Character) -> None:
    # given an account that says, wrongly, that work is due on it
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    with environment_scope(acme.test.id):
        customer_id = Subscription.objects.get().customer_id
        account_configure(
            environment_id=acme.test.id,
            customer_id=customer_id,
            catch_up_at=at("2026-02-01"),
            cycle_started_at=None,
            cycle_ends_at=None,
            plan_variant_id=None,
            usage_suspended=None,
            now=BEGIN,
        )
    # when a call comes after that instant
    deal.time("2026-02-02")
    answer = use(api, 1)
    # then it goes through, and the account says again what the subscription says
    assert answer.status == 202
    with environment_scope(acme.test.id):
        account = CreditAccount.objects.get()
    assert (account.catch_up_at, account.cycle_started_at) == (at("2026-02-28T12:00"), BEGIN)


# --- failures


def test_work_that_fails_is_parked_and_holds_up_nobody(
    api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    make_metric(api)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    give(api, 5_000)

    def broken(work: Any) -> None:
        raise ValueError("a broken rule")

    with monkeypatch.context() as patch:
        patch.setitem(due_work._DEEDS, "advance", broken)
        # when a call finds the work and it fails
        deal.time("2026-02-28T12:00:01")
        answer = use(api, 1)
    # then
    assert answer.status == 202
    looks = deal.look()
    assert (looks["failure"], looks["failed_at"]) == ("ValueError: a broken rule", "2026-02-28T12:00:01Z")
    assert [row["id"] for row in api.get("/v1/subscriptions?failed=true")["data"]] == [deal.id]
    # and when it is tried again
    again = deal.act("retry")
    assert (again.status, again["failed_at"], again["current_period_end"]) == (
        200,
        None,
        "2026-03-31T12:00:00Z",
    )
    with environment_scope(acme.test.id):
        assert Subscription.objects.get().failure == ""
