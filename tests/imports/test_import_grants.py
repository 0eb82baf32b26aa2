"""Importing opening balances and other grants, and taking back what is left of exactly their blocks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from billing.models import CreditBlock, LedgerEntry
from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from tests.conftest import Api, Character
from tests.imports.filing import csv_of, reverse, rows, send, start, upload
from tests.making import balance, give, history, make_metric, use

OPENING = {"reason": "Opening balance"}


@pytest.fixture
def people(api: Api) -> list[str]:
    names = ["ada", "bob", "eve"]
    for name in names:
        assert api.post("/v1/customers", {"external_id": name}).status == 201
    return names


def bring(api: Api, *lines: str, header: str = "customer,credits", **more: Any) -> dict[str, Any]:
    return start(api, upload(api, csv_of(header, *lines), kind="grants", constants=OPENING, **more))


def is_sound(acme: Character) -> bool:
    with environment_scope(acme.test.id):
        return not ledger_verify(environment_id=acme.test.id).findings


def test_a_dry_run_adds_up_and_grants_nothing(api: Api, people: list[str]) -> None:
    batch = upload(
        api,
        csv_of("customer,credits", "ada,12.5", "bob,0.001", "nobody,5", "eve,-3"),
        kind="grants",
        constants=OPENING,
    )
    assert batch["mapping"] == {"external_customer_id": "customer", "credits": "credits"}
    assert batch["expected"] == {"made": 2, "changed": 0, "unchanged": 0, "refused": 2, "amount": 12501}
    assert [row["errors"][0]["code"] for row in rows(api, batch, "&expected=refused")] == [
        "customer-not-found",
        "invalid",
    ]
    assert balance(api, of="ada")["balance"] == 0
    assert history(api, of="ada") == []


def test_blocks_have_the_terms_of_their_row(api: Api, acme: Character, people: list[str]) -> None:
    ends = (system_now() + timedelta(days=30)).replace(microsecond=0)
    batch = bring(
        api,
        f"ada,2000,promotional,7,{ends.isoformat()},api_call tokens,moved from the old system",
        "ada,500,,,,,",
        header="customer,credits_mc,source,priority,expires_at,metric_keys,reason",
    )
    assert batch["outcome"]["made"] == 2
    with environment_scope(acme.test.id):
        first, second = CreditBlock.objects.order_by("id")
        entry = LedgerEntry.objects.order_by("sequence")[0]
    assert (
        first.original_mc,
        first.source,
        first.priority,
        first.expires_at,
        first.metric_keys,
        first.reason,
    ) == (
        2000,
        "promotional",
        7,
        ends,
        ["api_call", "tokens"],
        "moved from the old system",
    )
    assert (second.original_mc, second.source, second.reason) == (500, "manual", "Opening balance")
    assert first.idempotency_key == f"{batch['id']}:1"
    assert (entry.amount_mc, entry.actor) == (2000, acme.test.caller.actor)
    assert [row["object_id"] for row in rows(api, batch)] == [first.public_id, second.public_id]


def test_an_opening_balance_needs_a_reason(api: Api, people: list[str]) -> None:
    without = send(api, csv_of("customer,credits", "ada,1"), kind="grants")
    assert without.refusal() == (422, "validation-failed")
    assert without["errors"] == [
        {"field": "mapping.reason", "code": "required", "message": "Map a column to reason."}
    ]
    assert api.get("/v1/imports")["data"] == []


def test_a_known_key_is_not_granted_again(api: Api, people: list[str]) -> None:
    lines = ("ada,5,opening-ada", "bob,5,opening-bob")
    header = "customer,credits,idempotency_key"
    bring(api, *lines, header=header)
    again = bring(api, *lines, "eve,5,opening-ada", header=header)
    assert again["outcome"] == {"made": 0, "changed": 0, "unchanged": 2, "refused": 1, "amount": 0}
    assert balance(api, of="ada")["balance"] == 5000
    assert balance(api, of="eve")["balance"] == 0
    assert reverse(api, again)["reversal"] == {"reversed": 0, "partly": 0, "kept": 0}
    assert balance(api, of="ada")["balance"] == 5000


def test_what_is_left_of_exactly_these_blocks_is_taken_back(
    api: Api, acme: Character, people: list[str]
) -> None:
    # given ada who spent nothing, bob who spent some, and eve who spent all; ada has other credits that burn first
    make_metric(api)
    batch = bring(api, "ada,10", "bob,10", "eve,10")
    other = give(api, 3_000, to="ada", priority=50)["block"]["id"]
    assert use(api, 4, by="bob").status == 202
    assert use(api, 10, by="eve").status == 202
    # when
    undone = reverse(api, batch)
    # then
    assert undone["reversal"] == {"reversed": 1, "partly": 1, "kept": 1}
    assert [(row["reversal"], row["reversal_note"]) for row in rows(api, batch)] == [
        ("reversed", ""),
        ("partly", "6 of 10 credits were left, and are taken back."),
        ("kept", "Nothing is left of the block"),
    ]
    assert [balance(api, of=who)["balance"] for who in people] == [3_000, 0, 0]
    entry = history(api, of="ada")[0]
    assert (entry["kind"], entry["amount"], entry["reason"]) == ("adjust", -10_000, "the wrong file")
    assert [part["block_id"] for part in entry["allocations"]] != [other]
    assert is_sound(acme)


def test_what_is_held_stays_until_it_is_free(api: Api, acme: Character, people: list[str]) -> None:
    make_metric(api)
    batch = bring(api, "ada,10", "bob,10")
    for who, units in (("ada", 10), ("bob", 4)):
        held = api.post(
            "/v1/reserve",
            {
                "external_customer_id": who,
                "billable_metric_key": "api_call",
                "estimated_units": units,
                "ttl_seconds": 600,
            },
            idempotency_key=f"hold-{who}",
        )
        assert held.status in {200, 201}, held
    undone = reverse(api, batch)
    assert undone["reversal"] == {"reversed": 0, "partly": 1, "kept": 1}
    assert rows(api, batch)[0]["reversal_note"] == "What is left of the block is held"
    assert [balance(api, of=who)["balance"] for who in ("ada", "bob")] == [10_000, 4_000]
    assert is_sound(acme)


def test_a_block_that_has_not_started_will_not(api: Api, acme: Character, people: list[str]) -> None:
    later = (system_now() + timedelta(days=2)).isoformat()
    batch = bring(api, f"ada,10,{later}", header="customer,credits,effective_at")
    assert reverse(api, batch)["reversal"]["reversed"] == 1
    with environment_scope(acme.test.id):
        assert CreditBlock.objects.get().state == "voided"
    assert history(api, of="ada") == []
    assert is_sound(acme)


def test_what_repaid_an_overdraft_stays(api: Api, acme: Character, people: list[str]) -> None:
    make_metric(api)
    assert api.patch("/v1/customer-by-external-id/ada", {"overage_policy": "allow"}).status == 200
    assert use(api, 4, by="ada").status == 202
    batch = bring(api, "ada,10")
    assert reverse(api, batch)["reversal"] == {"reversed": 0, "partly": 1, "kept": 0}
    assert balance(api, of="ada")["balance"] == 0
    assert is_sound(acme)


def test_a_key_moves_no_more_than_the_installation_lets_it(
    api: Api, people: list[str], settings: LazySettings
) -> None:
    settings.IMPORT_KEY_CREDITS_MAX = 100
    small, large = (
        upload(api, csv_of("customer,credits", f"ada,{credits}"), kind="grants", constants=OPENING)
        for credits in ("100", "100.001")
    )

    refused = api.post(f"/v1/imports/{large['id']}/start")

    assert refused.refusal() == (409, "import-above-limit")
    assert balance(api, of="ada")["balance"] == 0
    brought = start(api, small)
    assert balance(api, of="ada")["balance"] == 100_000
    # Customers are no credits.
    assert start(api, upload(api, csv_of("external_id", "zoe"), kind="customers"))["state"] == "imported"
    settings.IMPORT_KEY_CREDITS_MAX = 99
    assert api.post(f"/v1/imports/{brought['id']}/reverse", {"reason": "x"}).status == 409
    assert balance(api, of="ada")["balance"] == 100_000
