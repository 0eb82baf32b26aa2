"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from customers.kernel.ids import uuid7
from tests.oracle.kernel import START, app_connection, environment_see
from tests.oracle.lively import END, HOUR, Lively, lively_environment

TABLES = (
    "billing_credit_account",
    "billing_credit_block",
    "billing_hold",
    "billing_ledger_entry",
    "billing_ledger_seal",
    "billing_ledger_seal_part",
    "billing_sealed_account",
)
APPEND_ONLY = ("billing_ledger_entry", "billing_ledger_seal", "billing_ledger_seal_part")


@pytest.fixture
def lively() -> Iterator[Lively]:
    with app_connection() as connection:
        made = lively_environment(connection)
        made.seal()
        yield made


@pytest.fixture(params=["purser_owner", "purser_kernel", "postgres"])
def mighty(request: pytest.FixtureRequest, superuser_sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Whoever is above the application: the tables' owner, the kernel, a superuser."""
    if request.param != "postgres":
        superuser_sql.execute(f"SET ROLE {request.param}")
    return superuser_sql


# --- History is written once


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "UPDATE {} SET environment_id = environment_id", "TRUNCATE {} CASCADE"]
)
def test_nobody_changes_or_removes_entries_and_seals(
    lively: Lively, mighty: psycopg.Connection[Any], statement: str, table: str
) -> None:
    with pytest.raises((errors.RestrictViolation, errors.InsufficientPrivilege)):
        mighty.execute(statement.format(table))
    assert lively.spender.account().sequence == 9
    assert len(lively.spender.rows("billing_ledger_entry")) == 9


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "UPDATE {} SET environment_id = environment_id", "TRUNCATE {}"]
)
@pytest.mark.parametrize("table", TABLES)
def test_the_application_cannot_change_the_ledgers_tables(lively: Lively, table: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        lively.spender.connection.execute(statement.format(table))


@pytest.mark.parametrize("table", TABLES)
def test_the_application_cannot_write_around_the_kernel(lively: Lively, table: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        lively.spender.connection.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")


# --- The kernel's own functions are its own


def internal_functions(connection: psycopg.Connection[Any]) -> list[str]:
    sealing = ("billing_entry_digest", "billing_seal_hash", "billing_seal_part_digest")
    return [
        row[0]
        for row in connection.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND proname LIKE 'billing\\_%%' AND proname !~ '_v[0-9]+$' AND proname <> ALL (%s)",
            (list(sealing),),
        )
    ]


def test_internal_functions_cannot_be_called_from_outside(superuser_sql: psycopg.Connection[Any]) -> None:
    functions = internal_functions(superuser_sql)
    assert len(functions) > 15
    for function in functions:
        allowed = superuser_sql.execute(
            "SELECT has_function_privilege('purser_app', %s, 'EXECUTE'),"
            " has_function_privilege('public', %s, 'EXECUTE')",
            (function, function),
        ).fetchone()
        assert allowed == (False, False), function


def test_an_internal_function_called_by_name_is_refused(lively: Lively) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        lively.spender.connection.execute(
            "SELECT billing_account_at(%s, %s, %s)", (lively.environment, lively.spender.customer, START)
        )
    with pytest.raises(errors.InsufficientPrivilege):
        lively.spender.connection.execute("SELECT billing_blocks_take(%s, %s)", ([lively.block], [1]))


def test_public_functions_run_as_the_kernel_with_a_fixed_path(superuser_sql: psycopg.Connection[Any]) -> None:
    """Who could choose the search path could put his own tables under the kernel's rights."""
    loose = superuser_sql.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        " AND proname LIKE 'billing\\_%' AND (NOT coalesce(proconfig::text LIKE '%search_path=%', false)"
        "      OR pg_get_userbyid(proowner) <> 'purser_kernel')"
    ).fetchall()
    assert loose == []


def test_nobody_but_superusers_can_make_something_the_kernels_path_would_find(lively: Lively) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        lively.spender.connection.execute("CREATE TABLE public.billing_credit_blocks_of_mine (id uuid)")


# --- Policy


def test_no_raw_call_takes_a_blocked_customer_below_zero(lively: Lively) -> None:
    account = lively.spender
    effective = account.account().balance_mc - account.account().reserved_mc
    before = account.fingerprint()
    assert account.debit(cause=uuid7(), amount=effective + 1, metric=None, now=END) == "insufficient"
    assert account.adjust(cause=uuid7(), delta=-(effective + 1), now=END) == "insufficient"
    assert (
        account.hold(hold=uuid7(), amount=effective + 1, metric=None, ends=END + HOUR, now=END)
        == "insufficient"
    )
    assert account.commit(hold=lively.open_hold, amount=70 + effective + 1, now=END) == "insufficient"
    converted = account.convert(
        price=effective + 1, block=uuid7(), credits=10**6, priority=0, ends=None, metrics=None, now=END
    )
    assert converted == "insufficient"
    assert account.fingerprint() == before


def test_no_raw_call_passes_an_overage_limit(lively: Lively) -> None:
    lively.debtor.policy_set("allow", 120)
    before = lively.debtor.fingerprint()
    assert lively.debtor.debit(cause=uuid7(), amount=21, metric=None, now=END) == "insufficient"
    assert lively.debtor.fingerprint() == before
    assert lively.debtor.debit(cause=uuid7(), amount=20, metric=None, now=END) == "debited"
    assert lively.debtor.account().balance_mc == -120


# --- Impossible rows


@pytest.mark.parametrize(
    ("table", "change", "constraint"),
    [
        ("billing_credit_block", "remaining_mc = -1", "block_held_is_between_zero_and_remaining"),
        (
            "billing_credit_block",
            "remaining_mc = original_mc + 1",
            "block_remaining_is_between_zero_and_original",
        ),
        ("billing_credit_block", "held_mc = -1", "block_held_is_between_zero_and_remaining"),
        ("billing_credit_block", "held_mc = remaining_mc + 1", "block_held_is_between_zero_and_remaining"),
        ("billing_credit_block", "state = 'spent'", "block_is_live_while_something_remains"),
        ("billing_credit_block", "priority = 101", "block_priority_is_between_0_and_100"),
        ("billing_credit_block", "expires_at = effective_at", "block_expires_after_it_starts"),
        ("billing_credit_account", "overdraft_mc = -1", "overdraft_is_not_negative"),
        ("billing_credit_account", "reserved_mc = -1", "reserved_is_not_negative"),
        ("billing_credit_account", "balance_mc = 9000000000000001", "balance_is_exact_in_javascript"),
        ("billing_hold", "amount_mc = -1", "held_amount_is_not_negative"),
        ("billing_hold", "state = 'lost', ended_at = created_at", "hold_state_is_known"),
        ("billing_hold", "state = 'released'", "a_hold_that_ended_says_when"),
    ],
)
def test_an_impossible_row_cannot_be_stored_even_by_a_superuser(
    lively: Lively, superuser_sql: psycopg.Connection[Any], table: str, change: str, constraint: str
) -> None:
    row: dict[str, tuple[str, UUID]] = {
        "billing_credit_block": ("id", lively.block),
        "billing_credit_account": ("customer_id", lively.spender.customer),
        "billing_hold": ("id", lively.open_hold),
    }
    column, value = row[table]
    with pytest.raises(errors.CheckViolation) as refusal:
        superuser_sql.execute(f"UPDATE {table} SET {change} WHERE {column} = %s", (value,))
    assert refusal.value.diag.constraint_name == constraint


def test_one_cause_cannot_make_two_entries_of_a_kind(lively: Lively) -> None:
    cause = uuid7()
    lively.spender.debit(cause=cause, amount=1, metric=None, now=END)
    before = lively.spender.fingerprint()
    with pytest.raises(errors.UniqueViolation) as refusal:
        lively.spender.debit(cause=cause, amount=1, metric=None, now=END)
    assert refusal.value.diag.constraint_name == "one_cause_makes_one_entry_of_a_kind"
    assert lively.spender.fingerprint() == before


# --- Other environments


@pytest.fixture
def rivals(lively: Lively) -> Iterator[Lively]:
    with app_connection() as connection:
        yield lively_environment(connection)


@pytest.mark.parametrize("table", [*TABLES, "customers_customer", "billing_verification_run"])
def test_a_connection_sees_one_environment_only(lively: Lively, rivals: Lively, table: str) -> None:
    connection = lively.spender.connection
    environments = {
        row.environment_id for row in connection.execute(f"SELECT DISTINCT environment_id FROM {table}")
    }
    assert environments <= {lively.environment}
    assert connection.execute(
        f"SELECT count(*) FROM {table} WHERE environment_id = %s", (rivals.environment,)
    ).fetchone() == (0,)


def test_a_connection_told_of_no_environment_sees_nothing(lively: Lively) -> None:
    with app_connection() as connection:
        for table in (*TABLES, "customers_customer"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_another_environments_customer_cannot_be_changed_by_raw_sql(lively: Lively, rivals: Lively) -> None:
    before = rivals.debtor.fingerprint()
    changed = lively.spender.connection.execute(
        "UPDATE customers_customer SET overage_policy = 'allow' WHERE id = %s", (rivals.spender.customer,)
    )
    assert changed.rowcount == 0
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        lively.spender.connection.execute(
            "INSERT INTO customers_customer (id, environment_id, public_id, created_at, updated_at)"
            " VALUES (%s, %s, 'x', %s, %s)",
            (uuid7(), rivals.environment, START, START),
        )
    assert rivals.debtor.fingerprint() == before


def test_the_kernel_refuses_an_account_of_another_environment(lively: Lively, rivals: Lively) -> None:
    """Kernel functions see all rows: they are told the environment and compare it themselves."""
    mixed = type(lively.spender)(lively.spender.connection, lively.environment, rivals.spender.customer)
    before = rivals.spender.fingerprint()
    for deed in (
        lambda: mixed.grant(block=uuid7(), credits=5, now=END),
        lambda: mixed.debit(cause=uuid7(), amount=5, metric=None, now=END),
        lambda: mixed.hold(hold=uuid7(), amount=5, metric=None, ends=END + HOUR, now=END),
        lambda: mixed.commit(hold=rivals.open_hold, amount=5, now=END),
        lambda: mixed.release(hold=rivals.open_hold, now=END),
        lambda: mixed.extend(hold=rivals.open_hold, ends=END + 9 * HOUR, now=END),
        lambda: mixed.settle(END),
    ):
        with pytest.raises(psycopg.Error) as refusal:
            deed()
        assert refusal.value.sqlstate == "PU404"
    assert mixed.read(END).balance is None
    assert rivals.spender.fingerprint() == before


def test_a_strangers_hold_and_debit_are_not_found(lively: Lively, rivals: Lively) -> None:
    assert lively.spender.commit(hold=rivals.open_hold, amount=5, now=END) == "not-found"
    refunded = lively.spender.call(
        "billing_credits_refund_v1",
        entry=rivals.spender.entry_id(3),
        amount=None,
        new_blocks=[uuid7()],
        **lively.spender._because(uuid7(), "refund"),
        metadata=None,
        now=END,
    )
    assert refunded.status == "not-a-debit"


def test_the_application_is_really_the_application() -> None:
    """A superuser proves nothing."""
    with app_connection() as connection:
        role = connection.execute(
            "SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert role == ("purser_app", False)
        environment_see(connection, uuid7())
