"""What may be asked of a subscription: pause, resume, cancel, change, extend; and that a preview tells the truth."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, OutboxEvent
from subscriptions.models import SubscriptionChange
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.making import balance, make_metric, use
from tests.subscriptions.deals import BEGIN, BUDGET, PREPAID, Deal, make_variant, subscribe


@pytest.fixture(autouse=True)
def _it_is_january(acme: Character) -> None:
    clock_set(acme.test, BEGIN)


@pytest.fixture
def deal(api: Api, acme: Character) -> Deal:
    """Monthly, postpaid, 100,000 mc a cycle, one api_call used."""
    make_metric(api)
    made = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    use(api, 1)
    return made


# --- pausing


def test_a_pause_stops_usage_and_grants_and_shifts_the_period(deal: Deal, api: Api) -> None:
    # given
    deal.work("2026-02-10T12:00")
    assert deal.act("pause", {"reason": "holidays"})["status"] == "paused"
    # when
    deal.work("2026-03-05T12:00")
    refused = use(api, 1)
    checked = api.get("/v1/customer-by-external-id/user_1/entitlements/api_call")
    answer = deal.act("resume")
    # then
    assert refused.refusal() == (403, "usage-suspended")
    assert (checked["allowed"], checked["reason"]) == (False, "subscription_paused")
    assert (answer["status"], answer["paused_at"], answer["current_period_end"]) == (
        "active",
        None,
        "2026-03-23T12:00:00Z",
    )
    deal.work("2026-04-24")
    assert deal.told("paused", "resumed", "renewed") == [
        ("paused", "2026-02-10T12:00:00Z"),
        ("resumed", "2026-03-05T12:00:00Z"),
        ("renewed", "2026-03-23T12:00:00Z"),
        ("renewed", "2026-04-23T12:00:00Z"),
    ]
    assert deal.payload("resumed")["paused_for_seconds"] == 23 * 86_400


def test_a_pause_ends_by_itself(deal: Deal) -> None:
    deal.act("pause", {"resumes_at": "2026-02-05T12:00:00Z"})

    deal.work("2026-02-20")

    assert deal.told("resumed") == [("resumed", "2026-02-05T12:00:00Z")]
    assert deal.look()["current_period_end"] == "2026-03-05T12:00:00Z"


def test_a_renewed_period_begins_after_the_pause(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET, **PREPAID))
    deal.work("2026-02-26T12:00")
    deal.renew()
    deal.act("pause")
    deal.work("2026-03-01T12:00")
    deal.act("resume")

    deal.work("2026-03-03T12:00")

    assert deal.told("renewed", "overdue") == [("renewed", "2026-03-03T12:00:00Z")]
    assert deal.look()["current_period_end"] == "2026-04-03T12:00:00Z"


def test_intervals_wait_for_the_end_of_a_pause(api: Api, acme: Character) -> None:
    daily = {"credits_mc": 10, "grant_interval": "daily"}
    deal = subscribe(api, acme.test, make_variant(acme.test, daily))
    deal.work("2026-02-01T00:00")
    deal.act("pause")
    deal.work("2026-02-11T00:00")
    deal.act("resume")

    deal.work("2026-02-11T11:59")
    assert deal.balance() == 10
    deal.work("2026-02-11T12:00")
    assert deal.balance() == 20


# --- cancellation


def test_a_planned_cancellation_ends_it_with_the_period_and_leaves_the_credits(
    api: Api, acme: Character
) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, {"credits_mc": 500}))

    assert deal.act("cancel")["cancel_at_period_end"] is True
    deal.work("2026-03-15")

    looks = deal.look()
    assert (looks["status"], looks["ended_at"], looks["next_due_at"]) == (
        "canceled",
        "2026-02-28T12:00:00Z",
        None,
    )
    assert deal.told("changed", "canceled", "renewed") == [
        ("changed", "2026-01-31T12:00:00Z"),
        ("canceled", "2026-02-28T12:00:00Z"),
    ]
    assert deal.balance() == 500


def test_a_planned_cancellation_can_be_taken_back(deal: Deal) -> None:
    assert deal.act("uncancel").refusal() == (409, "subscription-state-conflict")
    deal.act("cancel")

    assert deal.act("uncancel")["cancel_at_period_end"] is False

    deal.work("2026-03-01")
    assert deal.look()["status"] == "active"


def test_canceled_at_once_it_tells_what_was_used(deal: Deal, api: Api, acme: Character) -> None:
    deal.work("2026-02-10")

    answer = deal.act("cancel", {"cancel_immediately": True, "reason": "wrong plan"})

    assert (answer["status"], answer["ended_at"], answer["balance"]) == (
        "canceled",
        "2026-02-10T00:00:00Z",
        99_000,
    )
    assert deal.payload("canceled")["usage_summary"]["total_credits_consumed"] == 1_000
    assert deal.act("cancel").refusal() == (409, "subscription-state-conflict")
    assert deal.act("cancel")["allowed"] == []
    # and another can begin
    subscribe(api, acme.test, make_variant(acme.test, BUDGET), begin=None)


# --- change


def test_an_immediate_change_grants_the_difference_for_the_rest_of_the_period(
    deal: Deal, api: Api, acme: Character
) -> None:
    bigger = make_variant(acme.test, {**BUDGET, "credits_mc": 380_000})
    deal.work("2026-02-14T12:00")

    answer = deal.act("change", {"plan_variant_id": bigger.public_id})

    assert (answer["plan_variant_id"], answer["credits_granted"], answer["balance"]) == (
        bigger.public_id,
        140_000,
        239_000,
    )
    assert answer["current_period_end"] == "2026-02-28T12:00:00Z"
    [granted] = [
        b for b in balance(api, query="?include_blocks=true")["blocks"] if b["remaining_amount"] == 140_000
    ]
    assert (granted["source"], granted["expires_at"]) == ("plan_grant", "2026-02-28T12:00:00Z")
    deal.work("2026-02-28T12:00")
    assert deal.balance() == 380_000


def test_a_change_to_less_takes_nothing_back(deal: Deal, acme: Character) -> None:
    smaller = make_variant(acme.test, {**BUDGET, "credits_mc": 10_000})

    answer = deal.act("change", {"plan_variant_id": smaller.public_id})

    assert (answer["credits_granted"], answer["balance"]) == (0, 99_000)
    deal.work("2026-03-01")
    assert deal.balance() == 10_000


def test_a_change_to_another_cycle_keeps_the_periods_end_and_counts_from_there(
    deal: Deal, acme: Character
) -> None:
    yearly = make_variant(acme.test, {**BUDGET, "credits_mc": 1_200_000}, billing_cycle="yearly")
    deal.work("2026-02-14T12:00")

    answer = deal.act("change", {"plan_variant_id": yearly.public_id})

    # a year's 1,200,000 over 14 of 365 days is less than a month's 100,000 over 14 of 28
    assert (answer["credits_granted"], answer["current_period_end"]) == (0, "2026-02-28T12:00:00Z")
    deal.work("2026-03-15")
    assert (deal.look()["current_period_end"], deal.balance()) == ("2027-02-28T12:00:00Z", 1_200_000)


def test_a_change_with_the_next_period_waits_for_it(deal: Deal, acme: Character) -> None:
    other = make_variant(acme.test, {**BUDGET, "credits_mc": 5_000})

    answer = deal.act("change", {"plan_variant_id": other.public_id, "effective": "period_end"})

    assert (answer["pending_plan_variant_id"], answer["credits_granted"]) == (other.public_id, 0)
    deal.work("2026-03-01")
    looks = deal.look()
    assert (looks["plan_variant_id"], looks["pending_plan_variant_id"], deal.balance()) == (
        other.public_id,
        None,
        5_000,
    )


def test_a_change_to_the_same_variant_is_refused(deal: Deal) -> None:
    same = {"plan_variant_id": deal.look()["plan_variant_id"]}

    assert deal.act("change", same).refusal() == (409, "same-plan-variant")
    assert deal.act("change", {**same, "effective": "period_end"}).refusal() == (409, "same-plan-variant")
    assert deal.balance() == 99_000


def test_an_interval_grant_goes_on_in_its_rhythm_after_a_change(api: Api, acme: Character) -> None:
    daily = {"grant_interval": "daily", "expires_at_interval_end": True}
    one = make_variant(acme.test, {**daily, "credits_mc": 10})
    two = make_variant(acme.test, {**daily, "credits_mc": 25})
    deal = subscribe(api, acme.test, one)
    deal.work("2026-02-01T00:00")

    deal.act("change", {"plan_variant_id": two.public_id})

    assert deal.balance() == 10
    deal.work("2026-02-01T12:00")
    assert deal.balance() == 25


# --- contracts


def test_an_extended_contract_goes_on(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET), contract_end="2026-03-15T12:00:00Z")
    deal.work("2026-03-01")
    assert deal.look()["current_period_end"] == "2026-03-15T12:00:00Z"

    answer = deal.act(
        "extend", {"contract_end": "2027-03-15T12:00:00Z", "reason": "signed", "metadata": {"a": 1}}
    )

    assert (answer["contract_end"], answer["current_period_end"]) == (
        "2027-03-15T12:00:00Z",
        "2026-03-31T12:00:00Z",
    )
    assert deal.payload("extended")["previous_contract_end"] == "2026-03-15T12:00:00Z"
    deal.work("2026-04-01")
    assert deal.look()["status"] == "active"


def test_a_contract_that_ended_comes_back_to_life(api: Api, acme: Character) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET), contract_end="2026-02-15T12:00:00Z")
    deal.work("2026-06-01T09:30")
    assert (deal.look()["status"], deal.balance()) == ("contract_ended", 0)

    answer = deal.act("extend", {"contract_end": "2027-02-15T12:00:00Z"})

    assert (answer["status"], answer["current_period_start"], answer["current_period_end"]) == (
        "active",
        "2026-06-01T09:30:00Z",
        "2026-07-01T09:30:00Z",
    )
    assert (answer["credits_granted"], answer["balance"], answer["ended_at"]) == (100_000, 100_000, None)


@pytest.mark.parametrize("end", ["2026-01-31T12:00:00Z", "2026-03-15T12:00:00Z", "2026-03-01T00:00:00Z"])
def test_an_extension_must_reach_further(api: Api, acme: Character, end: str) -> None:
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET), contract_end="2026-03-15T12:00:00Z")

    assert deal.act("extend", {"contract_end": end}).refusal() == (422, "contract-end-refused")
    assert deal.look()["contract_end"] == "2026-03-15T12:00:00Z"


# --- previews


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("pause", {"resumes_at": "2026-02-05T12:00:00Z"}),
        ("cancel", {}),
        ("cancel", {"cancel_immediately": True}),
        ("extend", {"contract_end": "2028-01-01T00:00:00Z"}),
        ("change", {"effective": "immediate"}),
        ("change", {"effective": "period_end"}),
    ],
)
def test_a_preview_answers_what_the_deed_answers_and_leaves_nothing(
    deal: Deal, acme: Character, action: str, body: dict[str, Any]
) -> None:
    # given
    if action == "change":
        body = {
            **body,
            "plan_variant_id": make_variant(acme.test, {**BUDGET, "credits_mc": 900_000}).public_id,
        }
    before = deal.look()
    with environment_scope(acme.test.id):
        counts = [model.objects.count() for model in (OutboxEvent, AuditRecord, SubscriptionChange)]
    # when
    foreseen = deal.act(action, {**body, "preview": True})
    # then
    assert deal.look() == before
    with environment_scope(acme.test.id):
        assert [model.objects.count() for model in (OutboxEvent, AuditRecord, SubscriptionChange)] == counts
    done = deal.act(action, body)
    assert {**foreseen.json, "preview": False} == done.json


def test_whoever_did_it_and_why_is_on_the_timeline(deal: Deal, acme: Character) -> None:
    deal.act("pause", {"reason": "asked by phone"})

    [row, *_] = deal.api.get(f"/v1/subscriptions/{deal.id}/changes")["data"]

    assert (row["what"], row["status_before"], row["status_after"], row["reason"], row["actor"]) == (
        "paused",
        "active",
        "paused",
        "asked by phone",
        acme.test.caller.actor,
    )
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.filter(action="subscription.paused").get()
    assert (record.reason, record.object_id) == ("asked by phone", deal.id)


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("pause", {"resumes_at": "2026-01-31T11:00:00Z"}, "resumes_at"),
        ("extend", {}, "contract_end"),
        ("change", {}, "plan_variant_id"),
        ("change", {"plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t", "effective": "soon"}, "effective"),
        ("cancel", {"cancel_immediately": "yes"}, "cancel_immediately"),
        ("resume", {"unknown": 1}, "unknown"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    deal: Deal, action: str, body: dict[str, Any], field: str
) -> None:
    before = deal.look()

    answer = deal.act(action, body)

    assert answer.status == 422, answer
    assert [error["field"] for error in answer["errors"]] == [field]
    assert deal.look() == before
