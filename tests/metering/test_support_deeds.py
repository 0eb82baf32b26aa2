"""What support does to a block and to a hold: a later expiry, and an end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.models import CreditBlock, Hold, HoldState, LedgerEntry
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.models import Approval, AuditRecord
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import balance, give, history, make_metric, use

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SOON, LATER = NOW + timedelta(days=1), NOW + timedelta(days=30)
WHY = {"reason": "They were on holiday"}
AS_TYPED = LATER.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
def desk(acme: Character) -> Desk:
    clock_set(acme.test, NOW)
    return Desk(somebody("support"), acme.test)


def expiring(api: Api, credits_mc: int = 100_000, **terms: Any) -> str:
    """A block that dies tomorrow; its id."""
    given = give(api, credits_mc, expires_at=SOON.isoformat().replace("+00:00", "Z"), **terms)
    return str(given["block"]["id"])


def extend(block: str) -> str:
    return f"/admin/billing/creditblock/{block}/extend/"


def blocks(api: Api) -> list[dict[str, Any]]:
    return list(balance(api, query="?include_blocks=true")["blocks"])


def reserve(api: Api, units: int, key: str = "job-1") -> str:
    wish = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": units}
    made = api.post("/v1/reserve", {**wish, "ttl_seconds": 3600}, idempotency_key=key)
    assert made.status == 201, made
    return str(made["reservation_id"])


def test_what_is_left_lives_on_in_a_new_block_on_the_same_terms(desk, api, acme):
    make_metric(api)
    terms: dict[str, Any] = {"source": "promotional", "priority": 7, "metric_keys": ["api_call"]}
    old = expiring(api, metadata={"campaign": "spring"}, **terms)
    assert use(api, 30).status == 202

    answer = desk.send(extend(old), {**WHY, "expires_at": AS_TYPED})

    assert answer.status_code == 302
    [new] = blocks(api)
    assert answer["Location"] == f"/admin/billing/creditblock/{new['id']}/change/"
    assert (new["remaining_amount"], new["expires_at"]) == (70_000, "2026-05-31T00:00:00Z")
    assert {name: new[name] for name in terms} == terms
    assert new["metadata"] == {"campaign": "spring", "extends": old}
    assert balance(api)["balance"] == 70_000
    kinds = [(entry["kind"], entry["amount"], entry["reason"]) for entry in history(api)[:2]]
    assert kinds == [("grant", 70_000, WHY["reason"]), ("adjust", -70_000, WHY["reason"])]
    with environment_scope(acme.test.id):
        gone = CreditBlock.objects.get(remaining_mc=0)
    assert gone.public_id == old


def test_credits_that_were_given_once_are_earned_once_however_often_they_are_prolonged(desk, api, acme):
    make_metric(api)
    old = expiring(api)
    assert use(api, 30).status == 202
    an_hour_on = NOW + timedelta(hours=1)
    clock_set(acme.test, an_hour_on)

    assert desk.send(extend(old), {**WHY, "expires_at": AS_TYPED}).status_code == 302
    [new] = blocks(api)
    assert desk.send(extend(new["id"]), {**WHY, "expires_at": ""}).status_code == 302

    [newest] = blocks(api)
    assert (balance(api)["balance"], balance(api)["lifetime_earned"]) == (70_000, 100_000)
    clock_set(acme.test, an_hour_on + timedelta(hours=1))
    then = balance(api, query=f"?as_of={an_hour_on:%Y-%m-%dT%H:%M:%SZ}")
    assert (then["balance"], then["lifetime_earned"]) == (70_000, 100_000)
    moves = [(entry["kind"], entry["source"]) for entry in history(api)[:4]]
    first, second = ({"type": "extension", "id": block["id"]} for block in (new, newest))
    assert moves == [("grant", second), ("adjust", second), ("grant", first), ("adjust", first)]
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_never_is_later_than_any_time(desk, api):
    old = expiring(api)

    assert desk.send(extend(old), {**WHY, "expires_at": ""}).status_code == 302

    assert [block["expires_at"] for block in blocks(api)] == [None]


def test_the_preview_says_so_and_does_nothing(desk, api, acme):
    old = expiring(api)

    shown = desk.preview(extend(old), {**WHY, "expires_at": AS_TYPED})

    assert "2026-05-31 00:00:00" in shown
    assert "100 credits become a new block." in shown
    assert [block["id"] for block in blocks(api)] == [old]
    with environment_scope(acme.test.id):
        assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize("expires", ["2026-05-02T00:00:00", "2026-04-30T00:00:00"])
def test_it_is_extended_and_never_shortened(desk, api, expires):
    old = expiring(api)

    answer = desk.send(extend(old), {**WHY, "expires_at": expires})

    assert answer.status_code == 422
    assert "Must be later than the block&#x27;s own" in answer.content.decode()
    assert [block["id"] for block in blocks(api)] == [old]


def test_a_block_without_end_or_without_anything_left_is_not_extended(desk, api):
    make_metric(api)
    endless = give(api, 1_000)["block"]["id"]
    spent = expiring(api, 5_000, priority=9)
    assert use(api, 5).status == 202

    for block, why in ((endless, "never expires"), (spent, "Nothing is left of the block")):
        assert "Extend expiry" not in desk.open(f"/admin/billing/creditblock/{block}/change/")
        answer = desk.send(extend(block), {**WHY, "expires_at": AS_TYPED})
        assert answer.status_code == 422
        assert why in answer.content.decode()
    assert balance(api)["balance"] == 1_000


def test_what_is_held_stays_for_its_hold(desk, api):
    make_metric(api)
    old = expiring(api)
    reserve(api, 40)

    shown = desk.preview(extend(old), {**WHY, "expires_at": AS_TYPED})
    assert desk.send(extend(old), {**WHY, "expires_at": AS_TYPED}).status_code == 302

    assert "40 credits stay in the old block, for the holds on them." in shown
    assert {block["id"] == old: block["remaining_amount"] for block in blocks(api)} == {
        True: 40_000,
        False: 60_000,
    }
    assert balance(api)["reserved_balance"] == 40_000


def test_one_that_starts_later_still_starts_then(desk, api, acme):
    starts = (NOW + timedelta(hours=5)).isoformat().replace("+00:00", "Z")
    old = expiring(api, effective_at=starts)

    assert desk.send(extend(old), {**WHY, "expires_at": AS_TYPED}).status_code == 302

    assert balance(api)["balance"] == 0
    every = balance(api, query="?include_blocks=true&include=all")["blocks"]
    [new] = [block for block in every if block["id"] != old]
    assert (new["effective_at"], new["expires_at"]) == ("2026-05-01T05:00:00Z", "2026-05-31T00:00:00Z")
    # it is earned when it starts, and so once
    assert balance(api)["lifetime_earned"] == 0
    clock_set(acme.test, NOW + timedelta(hours=6))
    assert (balance(api)["balance"], balance(api)["lifetime_earned"]) == (100_000, 100_000)
    assert ledger_verify(environment_id=acme.test.id).findings == []
    # and what was voided before it started has a page
    assert "Voided" in desk.open(f"/admin/billing/creditblock/{old}/change/")
    assert old in desk.open("/admin/billing/creditblock/")


def test_a_form_sent_twice_extends_once(desk, api):
    old = expiring(api)
    token = desk.token(extend(old))

    for _ in range(2):
        assert desk.send(extend(old), {**WHY, "expires_at": AS_TYPED}, token=token).status_code == 302

    assert len(blocks(api)) == 1
    assert len(history(api)) == 3


def test_above_the_limit_two_people_extend_it(desk, api, acme):
    make_metric(api)
    old = expiring(api, 2_000_000)
    data = {**WHY, "expires_at": AS_TYPED}

    refused = desk.send(extend(old), data)
    assert refused.status_code == 422
    assert "above your limit of 1,000 credits" in refused.content.decode()
    assert desk.send(extend(old), {**data, "ask": "1"}).status_code == 302
    # what is used meanwhile is no other deed
    assert use(api, 500).status == 202
    with environment_scope(acme.test.id):
        approval = Approval.objects.get()
    assert (approval.deed, approval.amount) == ("credits.extend", 2_000_000)
    checker = Desk(somebody("operator"), acme.test)
    path = f"/admin/customers/approval/{approval.public_id}/approve/"
    assert checker.send(path, {"reason": "Fine"}).status_code == 302

    [new] = blocks(api)
    assert (new["remaining_amount"], new["expires_at"]) == (1_500_000, "2026-05-31T00:00:00Z")
    assert new["metadata"]["approved_by"] == f"user:{checker.user.username}"
    assert history(api)[0]["actor"] == f"user:{desk.user.username}"


def test_a_hold_is_released_with_a_reason(desk, api, acme):
    make_metric(api)
    give(api, 100_000)
    hold = reserve(api, 40)
    page = f"/admin/billing/hold/{hold}/"
    assert "Release" in desk.open(f"{page}change/")

    shown = desk.preview(f"{page}release/", {"reason": "Their worker died"})
    figures = re.sub(r"<[^>]+>", "", shown)
    assert "40" in figures
    assert balance(api)["reserved_balance"] == 40_000
    assert desk.send(f"{page}release/", {"reason": "Their worker died"}).status_code == 302

    assert (balance(api)["reserved_balance"], balance(api)["effective_balance"]) == (0, 100_000)
    with environment_scope(acme.test.id):
        assert Hold.objects.get().state == HoldState.RELEASED
        record = AuditRecord.objects.get(object_type="reservation")
    assert (record.action, record.object_id, record.reason, record.actor) == (
        "reservation.released",
        hold,
        "Their worker died",
        f"user:{desk.user.username}",
    )
    assert "Release" not in re.findall(r'<a class="p-button[^>]*>.*?</a>', desk.open(f"{page}change/"))


def test_one_that_is_over_is_not_released_again(desk, api, acme):
    make_metric(api)
    give(api, 100_000)
    hold = reserve(api, 40)
    assert api.post(f"/v1/reserve/{hold}/commit", {}, idempotency_key="end").status == 200

    answer = desk.send(f"/admin/billing/hold/{hold}/release/", {"reason": "Again"})

    assert answer.status_code == 422
    assert balance(api)["balance"] == 60_000
    with environment_scope(acme.test.id):
        assert not AuditRecord.objects.filter(object_type="reservation").exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("finance", 403), ("operator", 200)])
def test_who_releases(desk, api, acme, role, status):
    make_metric(api)
    give(api, 100_000)
    hold = reserve(api, 40)

    Desk(somebody(role), acme.test).open(f"/admin/billing/hold/{hold}/release/", status=status)
