"""Two pairs of eyes: what is above a person's limit waits for a second person, is done once, and never by its maker."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core import mail
from django.test import override_settings

from billing.models import CreditBlock, LedgerEntry
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Approval, ApprovalLimit, AuditRecord, Customer, IdempotencyRecord
from customers.services.approvals import approvals_expire
from tests.conftest import run_together
from tests.desk import Desk, somebody
from tests.making import balance, give, history, make_metric, use

LIST = "/admin/customers/approval/"
#: Above what support does alone, and within what an operator does.
GRANT = {"credits_mc": "2500", "source": "promotional", "priority": "5", "reason": "Outage of Tuesday"}


@pytest.fixture
def maker(acme):
    return Desk(somebody("support"), acme.test)


@pytest.fixture
def checker(acme):
    return Desk(somebody("operator"), acme.test)


@pytest.fixture
def dialog(api, acme):
    """The customer `user_1` with 100 credits; `dialog("grant")` is a dialog of theirs."""
    give(api, 100_000)
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id="user_1")
    return lambda slug: f"/admin/customers/customer/{customer.id}/actions/{slug}/"


class Inside:
    """What is stored in Acme's test environment."""

    def __init__(self, environment_id: UUID) -> None:
        self.id = environment_id

    def rows(self, model: Any, **filters: Any) -> list[Any]:
        with environment_scope(self.id):
            return list(model.objects.filter(**filters).order_by("id"))

    def one(self, model: Any, **filters: Any) -> Any:
        [found] = self.rows(model, **filters)
        return found

    def only(self) -> Approval:
        """The only request."""
        return self.one(Approval)

    @property
    def state(self) -> str:
        return self.only().state

    @property
    def actions(self) -> list[str]:
        return [record.action for record in self.rows(AuditRecord)]

    def limit(self, role: str, amount: int | None, deed: str = "credits.grant") -> None:
        with environment_scope(self.id):
            ApprovalLimit.objects.update_or_create(
                environment_id=self.id, role=role, deed=deed, defaults={"amount": amount}
            )


@pytest.fixture
def inside(acme):
    return Inside(acme.test.id)


def ask(desk: Desk, path: str, data: dict[str, Any], **more: Any) -> str:
    """Send a form that is above the limit, as one who has read so; the request's page."""
    answer = desk.send(path, {**data, "ask": "1"}, **more)
    assert answer.status_code == 302, answer.content.decode()
    assert answer["Location"].startswith(f"{LIST}apr_")
    return str(answer["Location"])


def decide(desk: Desk, page: str, deed: str, *, reason: str = "Looked at it", **more: Any) -> Any:
    return desk.send(page.replace("/change/", f"/{deed}/"), {"reason": reason}, **more)


# --- Asking


def test_within_the_limit_a_deed_is_done_at_once(maker, dialog, api, inside):
    answer = maker.send(dialog("grant"), {**GRANT, "credits_mc": "1000"})

    assert answer.status_code == 302
    assert balance(api)["balance"] == 1_100_000
    assert not inside.rows(Approval)


def test_above_the_limit_the_form_says_so_and_does_nothing(maker, dialog, api, inside):
    answer = maker.send(dialog("grant"), {**GRANT, "credits_mc": "1000.001"})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "above your limit of 1,000 credits" in page
    assert "Ask for approval" in page
    assert "break_glass" not in page
    assert balance(api)["balance"] == 100_000
    assert not inside.rows(Approval)
    assert not inside.rows(IdempotencyRecord, family="admin.grant")


def test_the_preview_says_so_too_and_still_shows_the_effect(maker, dialog):
    shown = maker.preview(dialog("grant"), GRANT)

    assert "above your limit of 1,000 credits" in shown
    assert 'name="ask"' in shown
    assert "2,500 credits become a new block" in shown


def test_asking_makes_a_request_with_everything_a_second_person_needs(maker, dialog, api, inside):
    token = maker.token(dialog("grant"))

    page = ask(maker, dialog("grant"), GRANT, token=token)

    approval = inside.only()
    assert page == f"{LIST}{approval.public_id}/change/"
    assert (approval.deed, approval.amount, approval.currency) == ("credits.grant", 2_500_000, "mc")
    assert (approval.state, approval.reason) == ("pending", "Outage of Tuesday")
    assert approval.requested_by == f"user:{maker.user.username}"
    assert approval.idempotency_key == f"admin-{token}"
    assert approval.expires_at - approval.requested_at == timedelta(hours=72)
    assert approval.payload["credits_mc"] == "2500"
    assert approval.preview["lines"][0] == ["Balance", "100.000", "2,600.000", "+2,500.000"]
    assert "2,500 credits become a new block." in approval.preview["notes"]
    assert balance(api)["balance"] == 100_000
    assert len(inside.rows(LedgerEntry)) == 1
    record = inside.one(AuditRecord, action="approval.requested")
    assert record.object_id == approval.public_id
    assert record.customer_id == approval.customer_id
    assert record.changes["amount"] == [None, "2,500 credits"]


def test_one_form_asks_once_however_often_it_is_sent(maker, dialog, inside):
    token = maker.token(dialog("grant"))

    answers = run_together(
        4, lambda _: maker.send(dialog("grant"), {**GRANT, "ask": "1"}, token=token).status_code
    )

    assert answers == [302] * 4
    assert len(inside.rows(Approval)) == 1


def test_what_cannot_be_done_is_not_asked_for(maker, dialog, inside):
    answer = maker.send(dialog("adjust"), {"delta_mc": "-5000", "reason": "x", "ask": "1"})

    assert answer.status_code == 422
    assert "100 can be taken" in answer.content.decode()
    assert not inside.rows(Approval)


def test_nothing_that_people_wrote_becomes_markup(maker, checker, dialog, inside):
    page = ask(maker, dialog("grant"), {**GRANT, "reason": "<script>alert(1)</script>"})

    shown = checker.open(page)

    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown


# --- Deciding


def test_approving_does_it_in_the_makers_name_with_the_makers_key(maker, checker, dialog, api, inside):
    token = maker.token(dialog("grant"))
    page = ask(maker, dialog("grant"), GRANT, token=token)

    answer = decide(checker, page, "approve")

    assert answer.status_code == 302
    assert balance(api)["balance"] == 2_600_000
    entry = history(api)[0]
    assert (entry["kind"], entry["amount"], entry["reason"]) == ("grant", 2_500_000, "Outage of Tuesday")
    assert entry["actor"] == f"user:{maker.user.username}"
    approval = inside.only()
    block = inside.one(CreditBlock, idempotency_key=f"admin-{token}")
    assert (block.source, block.priority) == ("promotional", 5)
    assert block.metadata == {
        "approval": approval.public_id,
        "approved_by": f"user:{checker.user.username}",
    }
    assert approval.state == "approved"
    assert approval.decided_by == f"user:{checker.user.username}"
    assert approval.decision_reason == "Looked at it"
    assert approval.result == {
        "message": "Granted 2,500 credits to user_1.",
        "effect_id": str(block.id),
    }


def test_the_record_of_a_decision_has_both_names(maker, checker, dialog, inside):
    page = ask(maker, dialog("grant"), GRANT)
    decide(checker, page, "approve")

    record = inside.one(AuditRecord, action="approval.approved")
    assert record.actor == f"user:{checker.user.username}"
    assert record.changes["requested_by"] == [None, f"user:{maker.user.username}"]
    assert record.changes["decided_by"] == [None, f"user:{checker.user.username}"]
    assert record.reason == "Looked at it"
    assert record.customer_id == inside.only().customer_id


def test_the_page_shows_then_and_now_beside_each_other(maker, checker, dialog, api):
    make_metric(api)
    page = ask(maker, dialog("grant"), GRANT)
    assert use(api, 30).status == 202

    shown = previewed(checker, page)

    assert "Outage of Tuesday" in checker.open(page)
    assert "2,600.000" in shown
    assert "2,570.000" in shown
    assert "The world has changed" not in shown


def test_usage_alone_does_not_stand_in_the_way(maker, checker, dialog, api):
    make_metric(api)
    page = ask(maker, dialog("grant"), GRANT)
    assert use(api, 30).status == 202

    assert decide(checker, page, "approve").status_code == 302
    assert balance(api)["balance"] == 2_570_000


def other_grant(api, maker, dialog):
    give(api, 1_000)


def other_adjustment(api, maker, dialog):
    assert maker.send(dialog("adjust"), {"delta_mc": "-1", "reason": "x"}).status_code == 302


@pytest.mark.parametrize("meanwhile", [other_grant, other_adjustment])
def test_refused_when_somebody_else_has_given_or_corrected_meanwhile(
    maker, checker, dialog, api, inside, meanwhile
):
    page = ask(maker, dialog("grant"), GRANT)
    meanwhile(api, maker, dialog)
    entries, before, records = len(inside.rows(LedgerEntry)), balance(api)["balance"], len(inside.actions)

    shown = previewed(checker, page)
    answer = decide(checker, page, "approve")

    assert "The world has changed" in shown
    assert answer.status_code == 422
    assert "the world has changed meanwhile. Nothing was done." in answer.content.decode()
    assert inside.state == "pending"
    assert (len(inside.rows(LedgerEntry)), balance(api)["balance"]) == (entries, before)
    assert len(inside.actions) == records


def test_refused_when_an_adjustment_would_take_from_other_blocks(maker, checker, dialog, api, acme, inside):
    make_metric(api)
    give(api, 5_000_000)
    page = ask(maker, dialog("adjust"), {"delta_mc": "-1050", "reason": "Granted twice"})
    assert use(api, 100).status == 202  # the first block is spent

    answer = decide(checker, page, "approve")

    assert answer.status_code == 422
    assert "the world has changed" in answer.content.decode()
    assert inside.state == "pending"
    assert balance(api)["balance"] == 5_000_000


def test_what_cannot_be_done_any_more_ends_the_request(maker, checker, dialog, api, inside):
    make_metric(api)
    give(api, 1_400_000)
    page = ask(maker, dialog("adjust"), {"delta_mc": "-1200", "reason": "Granted twice"})
    assert use(api, 1_000).status == 202

    assert "It cannot be done now: Not enough credits: 500 can be taken" in previewed(checker, page)
    answer = decide(checker, page, "approve", follow=True)

    assert "It cannot be done any more" in answer.content.decode()
    approval = inside.only()
    assert (approval.state, approval.result["refusal"]) == ("failed", "insufficient-credits")
    assert balance(api)["balance"] == 500_000
    assert inside.actions[-1] == "approval.failed"


def test_rejecting_does_nothing_and_is_final(maker, checker, dialog, api, inside):
    page = ask(maker, dialog("grant"), GRANT)

    assert decide(checker, page, "reject", reason="Not without a ticket").status_code == 302
    again = decide(checker, page, "approve")

    assert again.status_code == 422
    assert f"rejected already by user:{checker.user.username}" in again.content.decode()
    assert (inside.state, inside.only().decision_reason) == ("rejected", "Not without a ticket")
    assert balance(api)["balance"] == 100_000


@pytest.mark.parametrize("deed", ["approve", "reject"])
def test_nobody_decides_their_own_request(acme, dialog, api, inside, deed):
    """Not even who may decide every other, has a raised limit by now, or a second session."""
    desk = Desk(somebody("operator"), acme.test)
    page = ask(desk, dialog("grant"), {**GRANT, "credits_mc": "100001"})
    inside.limit("operator", None)
    other_session = Desk(desk.user, acme.test)

    answer = decide(other_session, page, deed)

    assert answer.status_code == 422
    assert "needs somebody else" in answer.content.decode()
    assert inside.state == "pending"
    assert balance(api)["balance"] == 100_000
    assert f"/{deed}/" not in desk.open(page)


def test_a_new_name_does_not_make_a_second_person(acme, dialog, inside):
    desk = Desk(somebody("operator"), acme.test)
    page = ask(desk, dialog("grant"), {**GRANT, "credits_mc": "100001"})
    desk.user.username += "-renamed"
    desk.user.save()

    assert decide(desk, page, "approve").status_code == 422
    assert inside.state == "pending"


def test_support_decides_nothing(maker, acme, dialog, inside):
    page = ask(maker, dialog("grant"), GRANT)
    colleague = Desk(somebody("support"), acme.test)

    for deed in ("approve", "reject", "cancel"):
        path = page.replace("/change/", f"/{deed}/")
        assert colleague.client.post(path, {"reason": "x", "token": "t" * 32}).status_code == 403
    assert inside.state == "pending"


def test_whoever_decides_needs_a_limit_as_high(acme, dialog, api, inside):
    maker, checker = Desk(somebody("operator"), acme.test), Desk(somebody("finance"), acme.test)
    page = ask(maker, dialog("grant"), {**GRANT, "credits_mc": "100000.001"})

    assert "/approve/" not in checker.open(page)
    answer = decide(checker, page, "approve")

    assert answer.status_code == 422
    assert "above your own limit" in answer.content.decode()
    assert balance(api)["balance"] == 100_000
    owner = Desk(somebody("owner"), acme.test)
    assert decide(owner, page, "approve").status_code == 302
    assert inside.state == "approved"


def test_the_maker_takes_it_back(maker, checker, dialog, inside):
    page = ask(maker, dialog("grant"), GRANT)

    assert decide(maker, page, "cancel", reason="Wrong customer").status_code == 302

    assert inside.state == "canceled"
    assert decide(checker, page, "approve").status_code == 422
    assert inside.actions[-1] == "approval.canceled"


def test_a_decision_needs_a_reason(maker, checker, dialog, inside):
    page = ask(maker, dialog("grant"), GRANT)

    assert decide(checker, page, "approve", reason="").status_code == 422
    assert inside.state == "pending"


def test_the_preview_of_a_decision_shows_the_effect_and_has_none(maker, checker, dialog, api, inside):
    page = ask(maker, dialog("grant"), GRANT)

    shown = checker.preview(page.replace("/change/", "/approve/"), {"reason": "x"})

    assert "2,600" in shown
    assert inside.state == "pending"
    assert balance(api)["balance"] == 100_000


# --- At once


def test_two_checkers_at_once_are_one_effect(maker, acme, dialog, api, inside):
    page = ask(maker, dialog("grant"), GRANT)
    desks = [Desk(somebody("operator"), acme.test) for _ in range(4)]
    tokens = [desk.token(page.replace("/change/", "/approve/")) for desk in desks]

    answers = run_together(
        4, lambda index: decide(desks[index], page, "approve", token=tokens[index]).status_code
    )

    assert sorted(answers) == [302, 422, 422, 422]
    assert balance(api)["balance"] == 2_600_000
    assert inside.actions.count("approval.approved") == 1


def test_one_approves_while_another_rejects(maker, acme, dialog, api, inside):
    page = ask(maker, dialog("grant"), GRANT)
    desks = [Desk(somebody("operator"), acme.test) for _ in range(2)]
    deeds = ["approve", "reject"]
    tokens = [
        desk.token(page.replace("/change/", f"/{deed}/")) for desk, deed in zip(desks, deeds, strict=True)
    ]

    answers = run_together(
        2, lambda index: decide(desks[index], page, deeds[index], token=tokens[index]).status_code
    )

    assert sorted(answers) == [302, 422]
    done = {"approved": 2_600_000, "rejected": 100_000}
    assert balance(api)["balance"] == done[inside.state]


def test_a_double_click_is_one_effect(maker, checker, dialog, api):
    page = ask(maker, dialog("grant"), GRANT)
    token = checker.token(page.replace("/change/", "/approve/"))

    answers = run_together(3, lambda _: decide(checker, page, "approve", token=token).status_code)

    assert answers == [302] * 3
    assert balance(api)["balance"] == 2_600_000


def test_two_requests_for_the_same_are_not_both_approved(maker, checker, dialog, api, inside):
    """Two colleagues ask for the same goodwill; the second is looked at again."""
    pages = [ask(maker, dialog("grant"), GRANT) for _ in range(2)]
    tokens = [checker.token(page.replace("/change/", "/approve/")) for page in pages]

    answers = run_together(
        2, lambda index: decide(checker, pages[index], "approve", token=tokens[index]).status_code
    )

    assert sorted(answers) == [302, 422]
    assert balance(api)["balance"] == 2_600_000


# --- Expiry


def expired(inside: Inside, superuser_sql: psycopg.Connection[Any]) -> None:
    """Three days pass for the only request."""
    superuser_sql.execute("SET session_replication_role = replica")
    superuser_sql.execute(
        "UPDATE customers_approval SET expires_at = now() - interval '1 second' WHERE id = %s",
        [inside.only().id],
    )
    superuser_sql.execute("SET session_replication_role = origin")


def test_an_expired_request_is_refused_before_any_sweep(maker, checker, dialog, api, inside, superuser_sql):
    page = ask(maker, dialog("grant"), GRANT)
    expired(inside, superuser_sql)

    answer = decide(checker, page, "approve")

    assert answer.status_code == 422
    assert "has expired" in answer.content.decode()
    assert balance(api)["balance"] == 100_000
    assert inside.state == "pending"
    assert "Expired" in checker.open(page)
    assert inside.only().public_id not in checker.open(LIST)
    assert inside.only().public_id in checker.open(f"{LIST}?queue=decided")


def test_the_sweep_says_so_once(maker, dialog, inside, superuser_sql):
    ask(maker, dialog("grant"), GRANT)
    expired(inside, superuser_sql)

    approvals_expire(wall_now=system_now())
    approvals_expire(wall_now=system_now())

    assert (inside.state, inside.only().decided_by) == ("expired", "system:approvals")
    assert inside.actions.count("approval.expired") == 1


def test_the_sweep_leaves_what_still_waits(maker, dialog, inside):
    ask(maker, dialog("grant"), GRANT)

    approvals_expire(wall_now=system_now())

    assert inside.state == "pending"


# --- Break-glass


ALONE = {**GRANT, "reason": "Nobody else is awake, and the launch is at six"}


@pytest.fixture
def limited_owner(acme, inside):
    """An owner whose environment gives owners a limit too."""
    inside.limit("owner", 500)
    return Desk(somebody("owner"), acme.test)


@override_settings(ADMINS=[("Ops", "ops@example.test")])
def test_an_owner_may_break_the_glass_and_it_is_loud(limited_owner, dialog, api, inside, caplog):
    desk = limited_owner
    assert "break_glass" in desk.preview(dialog("grant"), ALONE)

    with caplog.at_level(logging.ERROR, logger="purser.alerts"):
        answer = desk.send(dialog("grant"), {**ALONE, "ask": "1", "break_glass": "1"}, follow=True)

    name = f"user:{desk.user.username}"
    assert "Done alone." in answer.content.decode()
    assert balance(api)["balance"] == 2_600_000
    approval = inside.only()
    assert (approval.state, approval.is_break_glass) == ("approved", True)
    assert approval.requested_by == approval.decided_by == name
    record = inside.one(AuditRecord, action="credits.grant.break_glass")
    assert (record.actor, record.reason) == (name, ALONE["reason"])
    assert record.changes["amount"] == [None, "2,500 credits"]
    [message] = mail.outbox
    assert f"Break-glass: Grant credits by {name}" in message.subject
    assert ALONE["reason"] in message.body
    assert "Break-glass" in caplog.text
    home = desk.open("/admin/")
    assert "Break-glass" in home
    assert approval.public_id in home


def test_the_red_mark_goes_after_a_week(limited_owner, dialog, inside, superuser_sql):
    limited_owner.send(dialog("grant"), {**ALONE, "break_glass": "1"})
    assert "Break-glass" in limited_owner.open("/admin/")

    superuser_sql.execute("SET session_replication_role = replica")
    superuser_sql.execute(
        "UPDATE customers_approval SET decided_at = now() - interval '7 days' WHERE id = %s",
        [inside.only().id],
    )
    superuser_sql.execute("SET session_replication_role = origin")

    assert "Break-glass" not in limited_owner.open("/admin/")


def test_a_short_reason_breaks_no_glass(limited_owner, dialog, api, inside):
    answer = limited_owner.send(
        dialog("grant"), {**ALONE, "reason": "Because I say so. ", "break_glass": "1"}
    )

    assert answer.status_code == 422
    assert "at least 20 characters" in answer.content.decode()
    assert balance(api)["balance"] == 100_000
    assert not inside.rows(Approval)
    assert not mail.outbox


def test_a_preview_breaks_no_glass(limited_owner, dialog, api, inside):
    shown = limited_owner.preview(dialog("grant"), {**ALONE, "ask": "1", "break_glass": "1"})

    assert "Break the glass" in shown
    assert balance(api)["balance"] == 100_000
    assert not inside.rows(Approval)
    assert not mail.outbox


def test_nobody_but_owners_breaks_the_glass(acme, maker, dialog, api, inside):
    for desk in (maker, Desk(somebody("operator"), acme.test), Desk(somebody("finance"), acme.test)):
        data = {**ALONE, "credits_mc": "100001", "break_glass": "1"}
        assert desk.send(dialog("grant"), data).status_code == 403
    assert balance(api)["balance"] == 100_000
    assert not inside.rows(Approval)


def test_superusers_have_the_owners_limit_and_may_break_the_glass(limited_owner, acme, operator, dialog, api):
    desk = Desk(operator, acme.test)

    assert "above your limit of 500 credits" in desk.preview(dialog("grant"), ALONE)
    assert desk.send(dialog("grant"), {**ALONE, "break_glass": "1"}).status_code == 302
    assert balance(api)["balance"] == 2_600_000


def test_two_limited_owners_make_four_eyes(limited_owner, acme, dialog, api):
    page = ask(limited_owner, dialog("grant"), GRANT)
    other = Desk(somebody("owner"), acme.test)

    assert decide(other, page, "approve").status_code == 302
    assert balance(api)["balance"] == 2_600_000


# --- Other deeds


def test_adjustments_count_by_their_size(maker, checker, dialog, api, inside):
    give(api, 2_000_000)
    answer = maker.send(dialog("adjust"), {"delta_mc": "-1000.5", "reason": "Granted twice"})
    assert answer.status_code == 422

    page = ask(maker, dialog("adjust"), {"delta_mc": "-1000.5", "reason": "Granted twice"})

    assert (inside.only().deed, inside.only().amount) == ("credits.adjust", 1_000_500)
    assert decide(checker, page, "approve").status_code == 302
    assert balance(api)["balance"] == 1_099_500


def test_a_refund_is_a_dialog_of_the_debit(maker, dialog, api, inside):
    make_metric(api)
    assert use(api, 40).status == 202
    entry = inside.one(LedgerEntry, kind="debit")
    path = f"/admin/billing/ledgerentry/{entry.public_id}/refund/"

    assert path in maker.open(f"/admin/billing/ledgerentry/{entry.public_id}/change/")
    assert "40 credits into block" in maker.preview(path, {"amount_mc": "", "reason": "Bad answer"})
    assert maker.send(path, {"amount_mc": "15", "reason": "Bad answer"}).status_code == 302
    assert balance(api)["balance"] == 75_000
    assert maker.send(path, {"amount_mc": "", "reason": "All of it"}).status_code == 302
    assert balance(api)["balance"] == 100_000
    refused = maker.send(path, {"amount_mc": "1", "reason": "More"})
    assert refused.status_code == 422
    assert [one["kind"] for one in history(api)[:2]] == ["refund", "refund"]


def test_a_large_refund_waits_and_is_refused_when_part_of_it_was_refunded_meanwhile(
    maker, checker, dialog, api, inside
):
    make_metric(api)
    give(api, 5_000_000)
    assert use(api, 2_000).status == 202
    entry = inside.one(LedgerEntry, kind="debit")
    path = f"/admin/billing/ledgerentry/{entry.public_id}/refund/"
    assert maker.send(path, {"amount_mc": "", "reason": "x"}).status_code == 422
    page = ask(maker, path, {"amount_mc": "", "reason": "All of it"})
    second = ask(maker, path, {"amount_mc": "1500", "reason": "Most of it"})
    assert "2,000 credits" in checker.open(page)

    assert decide(checker, page, "approve").status_code == 302
    assert decide(checker, second, "approve", follow=True).status_code == 200

    assert balance(api)["balance"] == 5_100_000
    assert [one.state for one in inside.rows(Approval)] == ["approved", "failed"]


def test_an_entry_that_is_no_debit_cannot_be_refunded(maker, dialog, inside):
    entry = inside.one(LedgerEntry)

    maker.open(f"/admin/billing/ledgerentry/{entry.public_id}/refund/", status=404)


# --- Queue, pages, home


def test_the_queue_shows_what_waits_and_filters(maker, checker, dialog, inside):
    first = ask(maker, dialog("grant"), GRANT)
    decide(checker, first, "reject")
    second = ask(maker, dialog("grant"), {**GRANT, "reason": "Again"})
    names = [re.findall(r"apr_\w+", page)[0] for page in (first, second)]

    def shown(desk: Desk, query: str = "") -> list[bool]:
        page = desk.open(f"{LIST}{query}")
        return [f"{name}/change/" in page for name in names]

    assert shown(checker) == [False, True]
    assert shown(checker, "?queue=decided") == [True, False]
    assert shown(checker, "?queue=all") == [True, True]
    assert shown(maker, "?queue=mine") == [True, True]
    assert shown(checker, "?queue=mine") == [False, False]
    assert shown(checker, f"?queue=all&q={names[0]}") == [True, False]


def test_home_counts_what_waits(maker, checker, dialog):
    assert "Waiting for approval" not in checker.open("/admin/")

    page = ask(maker, dialog("grant"), GRANT)
    assert "Waiting for approval" in checker.open("/admin/")

    decide(checker, page, "reject")
    assert "Waiting for approval" not in checker.open("/admin/")


def test_another_environment_sees_none_of_it(maker, acme, dialog):
    page = ask(maker, dialog("grant"), GRANT)
    owner = Desk(somebody("owner"), acme.live)

    owner.open(page, status=404)
    assert decide_raw(owner, page) == 404


def previewed(desk: Desk, page: str) -> str:
    """Then and now, which the page asks for once it stands."""
    return desk.open(page.replace("/change/", "/preview/"))


def decide_raw(desk: Desk, page: str) -> int:
    path = page.replace("/change/", "/approve/")
    return desk.client.post(path, {"reason": "x", "token": "t" * 32}).status_code


def test_pages_stay_within_fifteen_queries(maker, acme, dialog):
    page = ask(maker, dialog("grant"), GRANT)
    for number in range(8):
        ask(maker, dialog("grant"), {**GRANT, "reason": f"Number {number}"})

    for desk in (Desk(somebody("owner"), acme.test), Desk(somebody("operator"), acme.test)):
        for path in (LIST, "/admin/", f"{LIST}limits/", f"{LIST}limits/set/"):
            if desk.client.get(path).status_code == 200:
                assert desk.queries(path) <= 15, path
        assert desk.queries(page) <= 15
        assert desk.queries(page.replace("/change/", "/approve/")) <= 15


# --- Limits


def test_an_owner_sets_limits_and_that_is_on_record(maker, acme, dialog, api, inside):
    owner = Desk(somebody("owner"), acme.test)
    change = {"role": "support", "deed": "credits.grant", "rule": "amount", "amount": "3000"}

    assert "3,000" in owner.preview(f"{LIST}limits/set/", {**change, "reason": "More trust"})
    assert not inside.rows(ApprovalLimit)
    assert owner.send(f"{LIST}limits/set/", {**change, "reason": "More trust"}).status_code == 302

    record = inside.one(AuditRecord, action="approval_limit.set")
    assert (record.object_id, record.reason) == ("support credits.grant", "More trust")
    assert record.changes == {"amount": ["1000", "3000"]}
    assert "3,000" in owner.open(f"{LIST}limits/")
    assert maker.send(dialog("grant"), GRANT).status_code == 302
    assert balance(api)["balance"] == 2_600_000
    # Other deeds keep their limit.
    assert maker.send(dialog("adjust"), {"delta_mc": "1001", "reason": "x"}).status_code == 422

    back = {**change, "rule": "default", "amount": "", "reason": "Less trust"}
    assert owner.send(f"{LIST}limits/set/", back).status_code == 302
    assert not inside.rows(ApprovalLimit)
    assert inside.actions.count("approval_limit.set") == 2


def test_a_limit_of_zero_always_asks_and_any_never(maker, acme, dialog, api, inside):
    inside.limit("support", 0)
    answer = maker.send(dialog("grant"), {**GRANT, "credits_mc": "0.001"})
    assert answer.status_code == 422
    assert "You may ask for this, and not do it alone." in answer.content.decode()

    inside.limit("support", None)
    assert maker.send(dialog("grant"), {**GRANT, "credits_mc": "9000000"}).status_code == 302
    assert balance(api)["balance"] == 9_000_100_000


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", ""), ("amount", "-1"), ("amount", "1e30"), ("amount", "ten"), ("role", "x"), ("deed", "x")],
)
def test_a_bad_limit_is_refused(acme, inside, field, value):
    owner = Desk(somebody("owner"), acme.test)
    change = {"role": "support", "deed": "credits.grant", "rule": "amount", "amount": "5", "reason": "x"}

    assert owner.send(f"{LIST}limits/set/", {**change, field: value}).status_code == 422
    assert not inside.rows(ApprovalLimit)


@pytest.mark.parametrize("role", ["viewer", "support", "operator", "finance"])
def test_only_owners_set_limits(acme, inside, role):
    desk = Desk(somebody(role), acme.test)

    assert desk.client.get(f"{LIST}limits/").status_code == 200
    assert desk.client.get(f"{LIST}limits/set/").status_code == 403
    sent = {"role": role, "deed": "credits.grant", "rule": "any", "reason": "x", "token": "t" * 32}
    assert desk.client.post(f"{LIST}limits/set/", sent).status_code == 403
    assert not inside.rows(ApprovalLimit)


def test_limits_of_one_environment_are_not_anothers(acme, maker, dialog, inside):
    Inside(acme.live.id).limit("support", None)

    assert maker.send(dialog("grant"), GRANT).status_code == 422


def test_without_a_role_one_may_only_ask(acme, dialog):
    from django.contrib.auth.models import Permission  # noqa: PLC0415

    somebody("support")
    user = somebody()
    for name in ("grant_credits", "view_approval"):
        user.user_permissions.add(Permission.objects.get(codename=name))

    answer = Desk(user, acme.test).send(dialog("grant"), {**GRANT, "credits_mc": "1"})

    assert answer.status_code == 422
    assert "You may ask for this" in answer.content.decode()


# --- The database


@pytest.mark.parametrize(
    "change",
    [
        "amount = 1",
        "reason = 'other'",
        "payload = '{}'",
        "requester_id = requester_id + 1",
        "expires_at = expires_at + interval '1 day'",
        "fingerprint = 'x'",
    ],
)
def test_the_database_keeps_what_was_asked_for(maker, dialog, inside, superuser_sql, change):
    ask(maker, dialog("grant"), GRANT)

    with pytest.raises(psycopg.errors.RestrictViolation):
        superuser_sql.execute(f"UPDATE customers_approval SET {change} WHERE id = %s", [inside.only().id])


def test_the_database_keeps_a_decision(maker, checker, dialog, inside, superuser_sql):
    page = ask(maker, dialog("grant"), GRANT)
    decide(checker, page, "reject")

    for sql in (
        "UPDATE customers_approval SET state = 'pending', decided_at = NULL WHERE id = %s",
        "DELETE FROM customers_approval WHERE id = %s",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            superuser_sql.execute(sql, [inside.only().id])


def test_the_database_refuses_one_person_for_two(maker, dialog, inside, superuser_sql):
    ask(maker, dialog("grant"), GRANT)

    with pytest.raises(psycopg.errors.CheckViolation):
        superuser_sql.execute(
            "UPDATE customers_approval SET state = 'approved', decided_at = now(), decider_id = requester_id "
            "WHERE id = %s",
            [inside.only().id],
        )
