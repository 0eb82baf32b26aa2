"""Whatever a superuser does to the ledger, `verify_ledger` finds it and names what was done it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command

from billing.services.verification import ledger_verify, verification_run
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, uuid7
from tests.oracle.kernel import app_connection, environment_see
from tests.oracle.lively import END, HOUR, Lively, lively_environment

Tamper = Callable[..., Any]


@pytest.fixture
def lively() -> Iterator[Lively]:
    with app_connection() as connection:
        yield lively_environment(connection)


@pytest.fixture
def tamper(superuser_sql: psycopg.Connection[Any]) -> Tamper:
    """As a superuser whom no trigger stops."""
    superuser_sql.execute("SET session_replication_role = replica")

    def run(sql: str, *parameters: Any) -> None:
        assert superuser_sql.execute(sql, parameters).rowcount > 0, "nothing was tampered with"

    return run


def faults(environment: UUID) -> dict[str, str]:
    """What is wrong: codes and their first sentences."""
    found = ledger_verify(environment_id=environment)
    return {str(finding["code"]): str(finding["message"]) for finding in reversed(found.findings)}


def test_a_lively_environment_is_in_order(lively: Lively) -> None:
    assert faults(lively.environment) == {}
    lively.seal()
    assert faults(lively.environment) == {}


# --- Entries

ENTRY = "UPDATE billing_ledger_entry SET {} WHERE id = %s"


@pytest.mark.parametrize(
    ("change", "number", "code"),
    [
        ("amount_mc = amount_mc - 1", 4, "entry-amount-is-not-its-parts"),
        ("block_amounts = '{-151}'", 4, "entry-amount-is-not-its-parts"),
        ("block_amounts = '{-151}', amount_mc = -151", 4, "entry-balance-broken"),
        ("balance_after_mc = balance_after_mc + 1", 4, "entry-balance-broken"),
        ("effective_after_mc = effective_after_mc + 1", 4, "effective-balance-implausible"),
        ("occurred_at = occurred_at - interval '90 minutes'", 4, "entry-goes-back-in-time"),
        ("occurred_at = occurred_at - interval '1 minute'", 6, "dead-credits-spent"),
        ("kind = 'grant'", 4, "entry-sign-wrong"),
        ("amount_mc = 151, block_amounts = '{151}'", 5, "refunds-exceed-debit"),
        ("reverses_id = gen_random_uuid()", 5, "refund-of-no-debit"),
        ("block_ids = ARRAY[gen_random_uuid()]", 4, "entry-of-a-strange-block"),
        ("source_id = gen_random_uuid()", 7, "debit-of-no-hold"),
    ],
)
def test_a_changed_entry_is_named(
    lively: Lively, tamper: Tamper, change: str, number: int, code: str
) -> None:
    entry = lively.entry(lively.spender, number)
    tamper(ENTRY.format(change), entry)
    found = faults(lively.environment)
    assert code in found
    named = lively.entry(lively.spender, 4) if code == "refunds-exceed-debit" else entry
    assert typeid("led", named) in found[code]


@pytest.mark.parametrize("half", [-2, -1])
def test_half_an_extension_is_named(lively: Lively, tamper: Tamper, half: int) -> None:
    """What is given by one half counts as nothing earned, so the other must have taken it."""
    assert lively.spender.prolong(block=lively.block, new_block=uuid7(), ends=None, now=END) == "granted"
    assert faults(lively.environment) == {}
    entries = sorted(lively.spender.rows("billing_ledger_entry"), key=lambda row: row.sequence)

    tamper(ENTRY.format("source_type = 'adjustment'"), entries[half].id)

    assert str(typeid("led", entries[-3 - half].id)) in faults(lively.environment)["extension-is-no-move"]


def test_a_removed_entry_is_named_by_its_number(lively: Lively, tamper: Tamper) -> None:
    tamper("DELETE FROM billing_ledger_entry WHERE id = %s", lively.entry(lively.spender, 4))
    message = faults(lively.environment)["entries-missing"]
    assert f"Entries 4 to 4 of account {lively.spender.customer} are missing" in message


def test_a_last_entry_that_was_removed_is_missed(lively: Lively, tamper: Tamper) -> None:
    tamper("DELETE FROM billing_ledger_entry WHERE id = %s", lively.entry(lively.debtor, 3))
    message = faults(lively.environment)["last-entries-missing"]
    assert message == f"Account {lively.debtor.customer} counts 3 entries, but its last one is number 2."


def test_an_entry_put_in_at_the_end_is_found(lively: Lively, tamper: Tamper) -> None:
    tamper(
        "INSERT INTO billing_ledger_entry SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'id', gen_random_uuid(), 'source_id', gen_random_uuid(), 'sequence', 4))).* "
        "FROM billing_ledger_entry e WHERE id = %s",
        lively.entry(lively.debtor, 3),
    )
    found = faults(lively.environment)
    assert str(lively.debtor.customer) in found["last-entries-missing"]
    assert str(lively.debtor.customer) in found["balance-is-not-its-entries"]


def test_an_entry_moved_to_another_environment_is_found_in_both(lively: Lively, tamper: Tamper) -> None:
    entry = lively.entry(lively.spender, 4)
    tamper("UPDATE billing_ledger_entry SET environment_id = %s WHERE id = %s", lively.elsewhere, entry)
    assert "Entries 4 to 4" in faults(lively.environment)["entries-missing"]
    assert typeid("led", entry) in faults(lively.elsewhere)["entry-in-another-environment"]


def test_somebody_elses_block_cannot_pay(lively: Lively, tamper: Tamper) -> None:
    entry = lively.entry(lively.debtor, 2)
    tamper("UPDATE billing_ledger_entry SET block_ids[1] = %s WHERE id = %s", lively.block, entry)
    message = faults(lively.environment)["entry-of-a-strange-block"]
    assert typeid("led", entry) in message
    assert typeid("blk", lively.block) in message


def test_overdraft_repaid_that_nobody_owed_is_found(lively: Lively, tamper: Tamper) -> None:
    entry = lively.entry(lively.debtor, 1)
    tamper("UPDATE billing_ledger_entry SET block_ids = '{NULL}' WHERE id = %s", entry)
    assert typeid("led", entry) in faults(lively.environment)["overdraft-repaid-that-was-not-there"]


# --- Blocks

BLOCK = "UPDATE billing_credit_block SET {} WHERE id = %s"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("remaining_mc = remaining_mc - 1", "block-is-not-its-entries"),
        ("original_mc = original_mc + 1", "block-original-changed"),
        ("original_mc = remaining_mc", "block-never-held-that"),
        ("held_mc = held_mc + 1", "block-held-is-not-its-holds"),
        ("effective_at = effective_at + interval '1 day'", "dead-credits-spent"),
        ("account_id = gen_random_uuid()", "block-in-another-environment"),
    ],
)
def test_a_changed_block_is_named(lively: Lively, tamper: Tamper, change: str, code: str) -> None:
    tamper(BLOCK.format(change), lively.block)
    assert typeid("blk", lively.block) in faults(lively.environment)[code]


def test_a_removed_block_is_missed_by_its_entries(lively: Lively, tamper: Tamper) -> None:
    tamper("DELETE FROM billing_credit_block WHERE id = %s", lively.block)
    assert typeid("blk", lively.block) in faults(lively.environment)["entry-of-a-strange-block"]


def test_a_block_put_in_by_hand_is_named(lively: Lively, tamper: Tamper) -> None:
    block = uuid7()
    tamper(
        "INSERT INTO billing_credit_block SELECT (jsonb_populate_record(b, jsonb_build_object("
        "'id', %s::uuid, 'cause_id', gen_random_uuid()))).* FROM billing_credit_block b WHERE id = %s",
        block,
        lively.block,
    )
    assert typeid("blk", block) in faults(lively.environment)["block-is-not-its-entries"]


def test_a_block_brought_back_to_life_is_named(lively: Lively, tamper: Tamper) -> None:
    tamper(BLOCK.format("remaining_mc = 50, state = 'live'"), lively.dead_block)
    assert typeid("blk", lively.dead_block) in faults(lively.environment)["block-is-not-its-entries"]


# --- Holds

HOLD = "UPDATE billing_hold SET {} WHERE id = %s"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("amount_mc = 71", "hold-is-not-its-parts"),
        ("block_ids = ARRAY[gen_random_uuid()]", "hold-is-not-its-parts"),
        ("state = 'committed', ended_at = created_at", "hold-end-contradicts-itself"),
        (
            "state = 'committed', ended_at = created_at, committed_mc = 70",
            "hold-commit-is-not-its-debit",
        ),
    ],
)
def test_a_changed_open_hold_is_named(lively: Lively, tamper: Tamper, change: str, code: str) -> None:
    tamper(HOLD.format(change), lively.open_hold)
    assert typeid("res", lively.open_hold) in faults(lively.environment)[code]


@pytest.mark.parametrize(
    "change",
    ["committed_mc = 79", "state = 'active', ended_at = NULL, committed_mc = NULL", "state = 'released'"],
)
def test_a_changed_committed_hold_is_named(lively: Lively, tamper: Tamper, change: str) -> None:
    tamper(HOLD.format(change), lively.committed_hold)
    found = faults(lively.environment)
    assert typeid("res", lively.committed_hold) in " ".join(found.values())


def test_a_removed_hold_is_missed(lively: Lively, tamper: Tamper) -> None:
    tamper("DELETE FROM billing_hold WHERE id = %s", lively.open_hold)
    found = faults(lively.environment)
    assert str(lively.spender.customer) in found["reserved-is-not-its-holds"]
    assert "block-held-is-not-its-holds" in found


# --- Accounts


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("balance_mc = balance_mc + 1", "balance-is-not-its-entries"),
        ("balance_mc = balance_mc + 100, overdraft_mc = overdraft_mc - 100", "overdraft-is-not-its-entries"),
        ("reserved_mc = reserved_mc + 1", "reserved-is-not-its-holds"),
        ("lifetime_earned_mc = lifetime_earned_mc + 1", "lifetime-earned-wrong"),
        ("last_entry_at = last_entry_at + interval '1 minute'", "last-entry-dated-otherwise"),
        ("sequence = sequence + 1", "last-entries-missing"),
    ],
)
def test_a_changed_account_is_named(lively: Lively, tamper: Tamper, change: str, code: str) -> None:
    tamper(f"UPDATE billing_credit_account SET {change} WHERE customer_id = %s", lively.debtor.customer)
    assert str(lively.debtor.customer) in faults(lively.environment)[code]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("next_change_at = NULL", "due-work-would-be-overlooked"),
        ("next_change_at = next_change_at + interval '1 day'", "due-work-would-be-overlooked"),
        ("has_scoped_blocks = false", "scoped-blocks-would-be-overlooked"),
        ("low_balance_at_mc = 5", "low-balance-would-be-overlooked"),
    ],
)
def test_an_account_that_would_overlook_something_is_named(
    lively: Lively, tamper: Tamper, change: str, code: str
) -> None:
    tamper(f"UPDATE billing_credit_account SET {change} WHERE customer_id = %s", lively.spender.customer)
    assert str(lively.spender.customer) in faults(lively.environment)[code]


def test_an_account_moved_to_another_environment_is_found(lively: Lively, tamper: Tamper) -> None:
    tamper(
        "UPDATE billing_credit_account SET environment_id = %s WHERE customer_id = %s",
        lively.elsewhere,
        lively.debtor.customer,
    )
    assert str(lively.debtor.customer) in faults(lively.environment)["entry-in-another-environment"]
    assert str(lively.debtor.customer) in faults(lively.elsewhere)["account-of-no-customer"]


def test_a_debit_below_a_policy_that_never_changed_is_named(lively: Lively, tamper: Tamper) -> None:
    tamper("UPDATE customers_customer SET overage_policy = 'block' WHERE id = %s", lively.debtor.customer)
    assert typeid("led", lively.entry(lively.debtor, 2)) in faults(lively.environment)["policy-violated"]


# --- Sealed entries


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'another'",
        "actor = 'user:nobody'",
        "metadata = '{}'",
        "idempotency_key = 'another'",
        "created_at = created_at + interval '1 microsecond'",
        "id = gen_random_uuid()",
    ],
)
def test_a_sealed_entry_that_was_changed_where_nothing_adds_up_is_named(
    lively: Lively, tamper: Tamper, change: str
) -> None:
    lively.seal()
    entry = lively.entry(lively.spender, 3)
    tamper(ENTRY.format(change), entry)
    found = faults(lively.environment)
    assert list(found) == ["sealed-entry-changed"]
    now_there = lively.entry(lively.spender, 3)
    assert found["sealed-entry-changed"].startswith(
        f"Account {lively.spender.customer}, entry 3 ({typeid('led', now_there)}) is not what seal 1 sealed"
    )


def test_a_perfect_forgery_is_found_by_its_seal(lively: Lively, tamper: Tamper) -> None:
    """The last debit taken back everywhere: everything adds up, but it was sealed."""
    lively.seal()
    entry, account = lively.entry(lively.spender, 9), lively.spender.customer
    tamper(
        "UPDATE billing_ledger_entry SET amount_mc = -1, block_amounts = '{-1}',"
        " balance_after_mc = balance_after_mc + 4, effective_after_mc = effective_after_mc + 4 WHERE id = %s",
        entry,
    )
    tamper(
        "UPDATE billing_credit_block SET remaining_mc = remaining_mc + 4 WHERE id ="
        " (SELECT block_ids[1] FROM billing_ledger_entry WHERE id = %s)",
        entry,
    )
    tamper("UPDATE billing_credit_account SET balance_mc = balance_mc + 4 WHERE customer_id = %s", account)
    found = faults(lively.environment)
    assert list(found) == ["sealed-entry-changed"]
    assert typeid("led", entry) in found["sealed-entry-changed"]


def test_a_sealed_entry_that_was_removed_is_named(lively: Lively, tamper: Tamper) -> None:
    lively.seal()
    tamper("DELETE FROM billing_ledger_entry WHERE id = %s", lively.entry(lively.spender, 4))
    assert faults(lively.environment)["sealed-entry-changed"] == (
        f"Account {lively.spender.customer}, entry 4 (None) is not what seal 1 sealed: it was removed."
    )


def sealed_twice(lively: Lively) -> None:
    lively.seal()
    lively.spender.debit(cause=uuid7(), amount=1, metric="tokens", now=END)
    lively.seal()
    assert faults(lively.environment) == {}


@pytest.mark.parametrize(
    ("sql", "code", "named"),
    [
        (
            "DELETE FROM billing_ledger_seal WHERE environment_id = %s AND number = 1",
            "seal-missing",
            "Seals 1 to 1",
        ),
        (
            "DELETE FROM billing_ledger_seal WHERE environment_id = %s AND number = 2",
            "seal-part-of-no-seal",
            "seal 2",
        ),
        (
            "UPDATE billing_ledger_seal SET previous_hash = sha256('') WHERE environment_id = %s AND number = 2",
            "seal-chain-broken",
            "Seal 2 does not continue seal 1",
        ),
        (
            "UPDATE billing_ledger_seal SET sealed_at = sealed_at + interval '1 day'"
            " WHERE environment_id = %s AND number = 1",
            "seal-changed",
            "Seal 1",
        ),
        (
            "UPDATE billing_ledger_seal SET hash = sha256('') WHERE environment_id = %s AND number = 1",
            "seal-chain-broken",
            "Seal 2 does not continue seal 1",
        ),
        (
            "UPDATE billing_ledger_seal_part SET hash = sha256('') WHERE environment_id = %s AND seal_number = 2",
            "seal-changed",
            "Seal 2",
        ),
        (
            "UPDATE billing_ledger_seal_part SET digests = '' WHERE environment_id = %s AND seal_number = 2",
            "sealed-entry-changed",
            "the seal itself was changed",
        ),
        (
            "DELETE FROM billing_ledger_seal_part WHERE environment_id = %s AND seal_number = 1",
            "seal-parts-not-contiguous",
            "Seal 2 covers account",
        ),
        (
            "DELETE FROM billing_ledger_seal_part WHERE environment_id = %s AND seal_number = 2",
            "seal-taken-off-the-end",
            "was sealed up to entry 10; the seals that are there reach 9",
        ),
        (
            "UPDATE billing_sealed_account SET sequence = 5 WHERE environment_id = %s",
            "seal-taken-off-the-end",
            "was sealed up to entry 5",
        ),
    ],
)
def test_whoever_touches_a_seal_is_found(
    lively: Lively, tamper: Tamper, sql: str, code: str, named: str
) -> None:
    sealed_twice(lively)
    tamper(sql, lively.environment)
    assert named in faults(lively.environment)[code]


# --- The command


def verify_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_ledger", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_so_in_its_exit_code_and_in_sentences(lively: Lively, tamper: Tamper) -> None:
    environment = f"--environment={lively.environment}"
    assert verify_command(environment)[0] == 0
    tamper(BLOCK.format("remaining_mc = remaining_mc - 1"), lively.block)
    code, text = verify_command(environment)
    assert code == 1
    assert f"FAULT Block {typeid('blk', lively.block)} has " in text
    code, text = verify_command(environment, "--json")
    assert code == 1
    answer = json.loads(text)
    assert answer["ok"] is False
    finding = next(f for f in answer["findings"] if f["code"] == "block-is-not-its-entries")
    assert finding["object"] == typeid("blk", lively.block)
    assert finding["customer_id"] == str(lively.spender.customer)


def test_the_command_can_look_at_one_customer(lively: Lively, tamper: Tamper) -> None:
    tamper(BLOCK.format("remaining_mc = remaining_mc - 1"), lively.block)
    environment = f"--environment={lively.environment}"
    assert verify_command(environment, f"--customer={lively.debtor.customer}")[0] == 0
    assert verify_command(environment, f"--customer={lively.spender.customer}")[0] == 1


def test_each_run_is_kept_for_the_admin(lively: Lively, tamper: Tamper) -> None:
    tamper(BLOCK.format("held_mc = held_mc + 1"), lively.block)
    run = verification_run(environment_id=lively.environment, actor="user:ada", now=system_now())
    with environment_scope(lively.environment):
        run.refresh_from_db()
    assert (run.ok, run.faults, run.accounts, run.entries, run.actor) == (False, 1, 2, 12, "user:ada")
    assert run.findings[0]["object"] == typeid("blk", lively.block)
    assert run.finished_at > run.started_at


# --- Sealing


def test_sealing_again_without_news_seals_nothing(lively: Lively) -> None:
    assert lively.seal() == 12
    assert lively.seal() == 0


def test_an_entry_that_commits_late_is_sealed_the_next_time(lively: Lively) -> None:
    """Its id is older than what was sealed meanwhile; a watermark by id would pass over it."""
    with app_connection() as slow:
        environment_see(slow, lively.environment)
        slow.autocommit = False
        late = type(lively.debtor)(slow, lively.environment, lively.debtor.customer)
        late.debit(cause=uuid7(), amount=1, metric="tokens", now=END)
        lively.spender.debit(cause=uuid7(), amount=1, metric="tokens", now=END + HOUR)
        assert lively.seal() == 13
        slow.commit()
    assert lively.seal() == 1
    assert faults(lively.environment) == {}
    assert ledger_verify(environment_id=lively.environment).sealed_entries == 14
