"""`POST /v1/plans/{id}/migrate`: many subscribers move, each for itself, and every one has a row."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
from django.db import connection

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Job
from customers.services.jobs import job_run
from subscriptions.models import PlanVariant, Subscription
from subscriptions.services import plan_migrations
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.subscriptions.deals import BEGIN, BUDGET, Deal, make_variant, subscribe


@pytest.fixture
def old(acme: Character) -> PlanVariant:
    clock_set(acme.test, BEGIN)
    return make_variant(acme.test, BUDGET)


@pytest.fixture
def new(acme: Character, old: PlanVariant) -> PlanVariant:
    return make_variant(acme.test, {**BUDGET, "credits_mc": 300_000}, plan=old.plan)


@pytest.fixture
def deals(api: Api, acme: Character, old: PlanVariant) -> list[Deal]:
    """Three subscribers, one of whom is paused, and cannot be changed."""
    made = [subscribe(api, acme.test, old, who=f"user_{n}") for n in range(3)]
    made[1].act("pause")
    return made


def migrate(api: Api, old: PlanVariant, new: PlanVariant, **more: Any) -> Any:
    body = {"to_plan_variant_id": new.public_id, **more}
    answer = api.post(f"/v1/plans/{old.plan.public_id}/migrate", body)
    assert answer.status == 202, answer
    return answer


def rows(api: Api, job: Any) -> list[dict[str, Any]]:
    return list(reversed(api.get(f"/v1/jobs/{job['id']}/results")["data"]))


def test_each_subscriber_moves_for_itself(
    api: Api, deals: list[Deal], old: PlanVariant, new: PlanVariant
) -> None:
    job = migrate(api, old, new, effective="immediate", reason="price change")

    assert (job["state"], job["result"]) == ("done", {"subscriptions": 3, "moved": 2, "refused": 1})
    assert [(row["external_customer_id"], row["outcome"]) for row in rows(api, job)] == [
        ("user_0", "moved"),
        ("user_1", "refused"),
        ("user_2", "moved"),
    ]
    assert rows(api, job)[1]["error"]["code"] == "subscription-state-conflict"
    assert [deal.look()["plan_variant_id"] for deal in deals] == [new.public_id, old.public_id, new.public_id]
    assert [deal.balance() for deal in deals] == [300_000, 100_000, 300_000]


def test_a_preview_has_the_rows_of_the_deed_and_changes_nothing(
    api: Api, deals: list[Deal], old: PlanVariant, new: PlanVariant
) -> None:
    foreseen = migrate(api, old, new, effective="immediate", preview=True)

    assert foreseen["result"] == {"subscriptions": 3, "previewed": 2, "refused": 1}
    assert {deal.look()["plan_variant_id"] for deal in deals} == {old.public_id}
    assert {deal.balance() for deal in deals} == {100_000}
    done = migrate(api, old, new, effective="immediate")
    told = [{**row, "outcome": row["outcome"].replace("previewed", "moved")} for row in rows(api, foreseen)]
    assert told == rows(api, done)


def test_by_default_they_move_with_their_next_period(
    api: Api, deals: list[Deal], old: PlanVariant, new: PlanVariant
) -> None:
    migrate(api, old, new)
    again = migrate(api, old, new)

    assert deals[0].look()["pending_plan_variant_id"] == new.public_id
    assert again["result"] == {"subscriptions": 3, "planned_before": 2, "refused": 1}
    deals[0].work("2026-03-01")
    assert deals[0].balance() == 300_000


def test_only_those_of_the_variants_that_are_named(
    api: Api, acme: Character, deals: list[Deal], old: PlanVariant, new: PlanVariant
) -> None:
    other = make_variant(acme.test, BUDGET, plan=old.plan)
    subscribe(api, acme.test, other, who="user_9")

    job = migrate(api, old, new, from_plan_variant_ids=[other.public_id], effective="immediate")

    assert [row["external_customer_id"] for row in rows(api, job)] == ["user_9"]


def test_a_migration_is_paused_and_resumed(
    api: Api,
    acme: Character,
    deals: list[Deal],
    old: PlanVariant,
    new: PlanVariant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given one that is too large to be done at once
    monkeypatch.setattr(plan_migrations, "AT_ONCE_MAX", 0)
    monkeypatch.setattr(plan_migrations, "_PAGE", 1)
    job = migrate(api, old, new, effective="immediate")
    assert job["state"] == "queued"
    paused = api.post(f"/v1/jobs/{job['id']}/pause")
    assert paused["state"] == "paused"
    # when a worker hears of it nevertheless
    with environment_scope(acme.test.id):
        job_id = Job.objects.get().id
        job_run(environment_id=acme.test.id, job_id=job_id, clock=system_now)
        assert not Subscription.objects.filter(variant=new).exists()
    # then it waits, until it is resumed
    assert api.post(f"/v1/jobs/{job['id']}/resume")["state"] == "queued"
    job_run(environment_id=acme.test.id, job_id=job_id, clock=system_now)
    done = api.get(f"/v1/jobs/{job['id']}")
    assert (done["state"], done["progress"]) == ("done", {"done": 3, "total": 3})
    assert api.post(f"/v1/jobs/{job['id']}/pause").refusal() == (409, "job-finished")


def test_a_worker_that_is_paused_under_way_goes_on_where_it_was(
    api: Api,
    acme: Character,
    deals: list[Deal],
    old: PlanVariant,
    new: PlanVariant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given
    monkeypatch.setattr(plan_migrations, "AT_ONCE_MAX", 0)
    monkeypatch.setattr(plan_migrations, "_PAGE", 1)
    job = migrate(api, old, new, effective="immediate")
    move = plan_migrations._move

    def pause() -> None:
        try:
            api.post(f"/v1/jobs/{job['id']}/pause")
        finally:
            connection.close()

    def move_and_be_paused(*arguments: Any) -> dict[str, Any]:
        row = move(*arguments)
        pausing = Thread(target=pause)
        pausing.start()
        pausing.join()
        return row

    with environment_scope(acme.test.id):
        job_id = Job.objects.get().id
    with monkeypatch.context() as patch:
        patch.setattr(plan_migrations, "_move", move_and_be_paused)
        job_run(environment_id=acme.test.id, job_id=job_id, clock=system_now)
    assert (rows(api, job), [deal.balance() for deal in deals]) == ([], [100_000] * 3)
    # when
    api.post(f"/v1/jobs/{job['id']}/resume")
    job_run(environment_id=acme.test.id, job_id=job_id, clock=system_now)
    # then
    assert [deal.balance() for deal in deals] == [300_000, 100_000, 300_000]
    assert [row["external_customer_id"] for row in rows(api, job)] == ["user_0", "user_1", "user_2"]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"to_plan_variant_id": "pvr_01k7x3s9c5ef6v8b2n4m6q8r0t"}, (404, "plan-variant-not-found")),
        ({}, (422, "validation-failed")),
    ],
)
def test_what_cannot_be_is_refused(
    api: Api, old: PlanVariant, body: dict[str, Any], refusal: tuple[int, str]
) -> None:
    assert api.post(f"/v1/plans/{old.plan.public_id}/migrate", body).refusal() == refusal
    assert api.get("/v1/jobs")["data"] == []
