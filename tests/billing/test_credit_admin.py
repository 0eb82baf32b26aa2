"""Credits in the admin: granted and adjusted once, previewed truly, and never edited."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin

from billing.models import CreditAccount, CreditBlock, Hold, LedgerEntry
from customers.admin.records import RecordAdmin
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer, IdempotencyRecord, OutboxEvent
from metering.models import UsageEvent
from tests.conftest import run_together
from tests.desk import Desk, somebody
from tests.making import balance, give, history, make_metric, use

LIST = "/admin/customers/customer/"
GRANT = {"credits_mc": "250", "source": "promotional", "priority": "5", "reason": "Goodwill"}


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


@pytest.fixture
def path(api, acme):
    """The customer `user_1` with 100 credits; `path("grant")` is a dialog of theirs."""
    give(api, 100_000)
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id="user_1")
    return lambda slug: f"{LIST}{customer.id}/actions/{slug}/"


def test_a_grant_is_the_services_own(desk, api, path):
    answer = desk.send(path("grant"), GRANT)

    assert answer.status_code == 302
    assert balance(api)["balance"] == 350_000
    entry = history(api)[0]
    assert (entry["kind"], entry["amount"], entry["reason"]) == ("grant", 250_000, "Goodwill")
    assert entry["actor"] == f"user:{desk.user.username}"
    block = balance(api, query="?include_blocks=true")["blocks"][0]
    assert (block["source"], block["priority"]) == ("promotional", 5)


def test_one_form_is_one_effect_however_often_it_is_sent(desk, api, path):
    token = desk.token(path("grant"))

    answers = [desk.send(path("grant"), GRANT, token=token, follow=True) for _ in range(3)]

    assert balance(api)["balance"] == 350_000
    assert "Granted 250 credits" in answers[0].content.decode()
    assert "done once" in answers[1].content.decode()


def test_two_clicks_at_the_same_moment_are_one_effect(desk, api, path):
    token = desk.token(path("grant"))

    answers = run_together(4, lambda _: desk.send(path("grant"), GRANT, token=token).status_code)

    assert answers == [302] * 4
    assert balance(api)["balance"] == 350_000


def test_the_effect_keeps_the_forms_key_for_ever(desk, api, path, acme):
    token = desk.token(path("grant"))
    desk.send(path("grant"), GRANT, token=token)

    with environment_scope(acme.test.id):
        block = CreditBlock.objects.get(reason="Goodwill")
        record = IdempotencyRecord.objects.get(family="admin.grant")
    assert block.idempotency_key == record.key == f"admin-{token}"
    assert record.effect_id == block.id


def test_a_form_sent_again_with_other_values_is_refused(desk, api, path):
    token = desk.token(path("grant"))
    desk.send(path("grant"), GRANT, token=token)

    answer = desk.send(path("grant"), {**GRANT, "credits_mc": "999"}, token=token)

    assert answer.status_code == 409
    assert "with other values" in answer.content.decode()
    assert balance(api)["balance"] == 350_000


@pytest.mark.parametrize("token", ["", "short", "x" * 100, "with space" * 4])
def test_a_form_without_its_token_does_nothing(desk, api, path, token):
    assert desk.send(path("grant"), GRANT, token=token).status_code == 422
    assert balance(api)["balance"] == 100_000


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("credits_mc", "1,000", "without thousands separators"),
        ("credits_mc", "0", "more than zero"),
        ("credits_mc", "-5", "Must not be negative"),
        ("credits_mc", "0.0001", "At most three decimals"),
        ("credits_mc", "1e30", "At most"),
        ("credits_mc", "ten", "Write a number"),
        ("credits_mc", "", "required"),
        ("reason", "", "required"),
        ("reason", "x" * 1001, "at most 1000"),
        ("priority", "101", "less than or equal to 100"),
        ("expires_at", "2020-01-01T00:00", "expired already"),
        ("source", "rollover", "Select a valid choice"),
    ],
)
def test_a_bad_grant_is_refused_with_a_message(desk, api, path, field, value, message):
    answer = desk.send(path("grant"), {**GRANT, field: value})

    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert balance(api)["balance"] == 100_000


def test_a_refused_form_can_be_put_right_and_sent(desk, api, path):
    token = desk.token(path("grant"))
    assert (
        desk.send(path("grant"), {**GRANT, "expires_at": "2020-01-01T00:00"}, token=token).status_code == 422
    )

    assert desk.send(path("grant"), GRANT, token=token).status_code == 302
    assert balance(api)["balance"] == 350_000


def test_the_preview_says_what_then_happens_and_does_nothing(desk, api, path, acme):
    before = balance(api)

    shown = desk.preview(path("grant"), GRANT)

    assert "350" in shown
    assert "250 credits become a new block" in shown
    assert {**balance(api), "as_of": before["as_of"]} == before
    with environment_scope(acme.test.id):
        assert LedgerEntry.objects.count() == 1
        assert not IdempotencyRecord.objects.filter(family="admin.grant").exists()
        assert OutboxEvent.objects.filter(event="credit.granted").count() == 1


def test_an_adjustment_down_names_the_blocks_it_drains(desk, api, path):
    block = balance(api, query="?include_blocks=true")["blocks"][0]["id"]

    assert f"40 credits out of block {block}" in desk.preview(
        path("adjust"), {"delta_mc": "-40", "reason": "x"}
    )
    assert desk.send(path("adjust"), {"delta_mc": "\u221240", "reason": "Twice"}).status_code == 302

    assert balance(api)["balance"] == 60_000
    assert history(api)[0]["kind"] == "adjust"


def test_an_adjustment_beyond_the_balance_is_refused(desk, api, path):
    data = {"delta_mc": "-100.001", "reason": "Too much"}

    assert "100 can be taken" in desk.preview(path("adjust"), data)
    answer = desk.send(path("adjust"), data)

    assert answer.status_code == 422
    assert "100 can be taken" in answer.content.decode()
    assert balance(api)["balance"] == 100_000


def test_an_adjustment_of_nothing_is_refused(desk, path):
    assert desk.send(path("adjust"), {"delta_mc": "0", "reason": "x"}).status_code == 422


def test_overdraft_is_repaid_first_and_the_preview_says_so(desk, api, acme):
    make_metric(api)
    assert api.post("/v1/customers", {"external_id": "over", "overage_policy": "allow"}).status == 201
    assert use(api, 30, by="over").status == 202
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id="over")

    shown = desk.preview(f"{LIST}{customer.id}/actions/grant/", GRANT)

    assert "30 credits repay overdraft" in shown
    assert "220 credits become a new block" in shown


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", False),
        ("support", True),
        ("operator", True),
        ("finance", True),
        ("owner", True),
        (None, False),
    ],
)
def test_who_may_move_credits(api, path, acme, role, may):
    desk = Desk(somebody(role), acme.test)

    for slug, data in (("grant", GRANT), ("adjust", {"delta_mc": "1", "reason": "x"})):
        assert desk.client.get(path(slug)).status_code == (200 if may else 403)
        answer = desk.client.post(path(slug), {**data, "token": "t" * 32})
        assert answer.status_code == (302 if may else 403)
        assert desk.client.post(path(slug), {**data, "preview": "1"}).status_code == (200 if may else 403)
    assert balance(api)["balance"] == (351_000 if may else 100_000)


def test_a_dialog_of_another_environments_customer_is_not_there(desk, path, acme):
    desk.look_at(acme.live)

    desk.open(path("grant"), status=404)


def test_a_form_without_its_csrf_token_is_refused(desk, api, path):
    desk.client.handler.enforce_csrf_checks = True

    assert desk.send(path("grant"), GRANT).status_code == 403
    assert balance(api)["balance"] == 100_000


RECORDS: dict[str, Any] = {
    "billing/ledgerentry": LedgerEntry,
    "billing/creditblock": CreditBlock,
    "metering/usageevent": UsageEvent,
    "customers/auditrecord": AuditRecord,
    "customers/outboxevent": OutboxEvent,
}


@pytest.mark.parametrize("kind", RECORDS)
def test_nobody_adds_changes_or_deletes_a_record(desk, api, path, acme, kind):
    make_metric(api)
    assert use(api, 1).status == 202
    with environment_scope(acme.test.id):
        row = RECORDS[kind].objects.first()
        before = dict(RECORDS[kind].objects.filter(pk=row.pk).values().get())

    for address in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/", f"{row.pk}/history/"):
        answer = desk.client.post(
            f"/admin/{kind}/{address}", {"amount_mc": "1", "reason": "x", "post": "yes"}
        )
        assert answer.status_code in {403, 404}, address
    listed = desk.client.post(
        f"/admin/{kind}/", {"action": "delete_selected", "_selected_action": [str(row.pk)]}
    )
    assert listed.status_code in {200, 302, 403}
    with environment_scope(acme.test.id):
        assert dict(RECORDS[kind].objects.filter(pk=row.pk).values().get()) == before


def test_every_page_but_peoples_is_of_records():
    kinds: dict[str, Any] = {model._meta.label: one for model, one in admin.site._registry.items()}
    records: dict[str, Any] = {label: one for label, one in kinds.items() if isinstance(one, RecordAdmin)}

    assert set(kinds) - set(records) == {"customers.User", "auth.Group"}
    assert not admin.site.is_registered(CreditAccount)
    for one in records.values():
        assert not one.has_change_permission(None)
        assert not one.has_delete_permission(None)


def test_an_entry_explains_itself(desk, api, path, acme):
    make_metric(api, cost_type="per_unit", unit_cost="333.3")
    assert use(api, 3, idempotency_key="order-9").status == 202
    with environment_scope(acme.test.id):
        entry = LedgerEntry.objects.get(kind="debit")

    page = desk.open(f"/admin/billing/ledgerentry/{entry.public_id}/change/")

    for word in (
        "order-9",
        "version 1",
        "0.3333",
        "0.9999",
        "Rounding to a millicredit",
        "0.0001",
    ):
        assert word in page, word


def test_lists_find_by_customer_and_by_id(desk, api, path, acme):
    give(api, 5_000, to="other")
    with environment_scope(acme.test.id):
        entry = LedgerEntry.objects.get(account__customer__external_id="user_1")
        hold = Hold.objects.first()
    assert hold is None

    by_customer = desk.open("/admin/billing/ledgerentry/?q=user_1")
    by_id = desk.open(f"/admin/billing/ledgerentry/?q={entry.public_id}")
    by_nothing = desk.open("/admin/billing/ledgerentry/?q=nobody")

    assert entry.public_id in by_customer
    assert ">other<" not in by_customer
    assert entry.public_id in by_id
    assert entry.public_id not in by_nothing
