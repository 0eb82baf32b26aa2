"""Drives the real kernel the way the application does: as `purser_app`, one function call per operation.

The methods are named and told what the model's are, so that a test can send the same life down both.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from customers.kernel.ids import uuid7
from tests.oracle.model import ANY

Connection = psycopg.Connection[Any]
#: Where lives begin; any instant would do.
START = datetime(2026, 1, 1, tzinfo=UTC)


def app_connection() -> Connection:
    """A connection of its own with the application's rights, for threads, processes and raw calls."""
    return psycopg.connect(
        os.environ["DATABASE_URL"],
        options="-c role=purser_app -c timezone=UTC",
        autocommit=True,
        row_factory=namedtuple_row,
    )


@contextmanager
def superuser_connection():
    """Who may do anything: makes tenants, tampers."""
    url = os.environ.get("TEST_SUPERUSER_URL") or os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True, row_factory=namedtuple_row) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def call(connection: Connection, function: str, **arguments: Any) -> Any:
    """One row of a kernel function, called by argument names without their `p_`."""
    names = ", ".join(f"p_{name} => %({name})s" for name in arguments)
    values = {name: _parameter(value) for name, value in arguments.items()}
    return connection.execute(f"SELECT * FROM {function}({names})", values, prepare=True).fetchone()


def _parameter(value: Any) -> Any:
    if type(value) is int:
        return Int8(value)
    return Jsonb(value) if isinstance(value, dict) else value


def environment_make(connection: Connection, *, kind: str = "live", tenant: UUID | None = None) -> UUID:
    """A tenant of its own with one environment: tests never clean up, they start afresh."""
    environment = uuid7()
    if tenant is None:
        tenant = uuid7()
        connection.execute(
            "INSERT INTO customers_tenant (id, name, created_at) VALUES (%s, %s, %s)",
            (tenant, f"tenant {tenant}", START),
        )
    connection.execute(
        "INSERT INTO customers_environment (id, tenant_id, kind, config_version, created_at)"
        " VALUES (%s, %s, %s, 1, %s)",
        (environment, tenant, kind, START),
    )
    return environment


def environment_see(connection: Connection, environment: UUID) -> None:
    connection.execute("SELECT set_config('purser.environment_id', %s, false)", (str(environment),))


def customer_make(connection: Connection, environment: UUID, *, policy: str = "block") -> UUID:
    """Needs a connection that sees the environment."""
    customer = uuid7()
    connection.execute(
        "INSERT INTO customers_customer (id, environment_id, public_id, overage_policy, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (customer, environment, str(customer), policy, START, START),
    )
    return customer


class KernelAccount:
    """One customer of the real database."""

    def __init__(self, connection: Connection, environment: UUID, customer: UUID) -> None:
        self.connection = connection
        self.environment = environment
        self.customer = customer

    def call(self, function: str, **arguments: Any) -> Any:
        return call(
            self.connection, function, environment=self.environment, account=self.customer, **arguments
        )

    def _because(self, cause: UUID, source_type: str) -> dict[str, Any]:
        return {
            "source_type": source_type,
            "source_id": cause,
            "actor": "user:test",
            "reason": "",
            "key": None,
            "request": "",
        }

    # --- The model's operations

    def settle(self, now: datetime) -> None:
        self.call("billing_account_settle_v1", now=now)

    def configure(self, *, catch_up: datetime | None, now: datetime) -> str:
        self.call(
            "billing_account_configure_v1",
            catch_up_at=catch_up,
            cycle_started_at=None,
            cycle_ends_at=None,
            plan_variant=None,
            usage_suspended=None,
            now=now,
        )
        return "configured"

    def rollover(
        self,
        *,
        block: UUID,
        new_block: UUID,
        credits: int,
        priority: int,
        ends: datetime | None,
        now: datetime,
    ) -> str:
        return self.call(
            "billing_credits_rollover_v1",
            from_block=block,
            block=new_block,
            credits=credits,
            priority=priority,
            expires_at=ends,
            metadata={},
            **self._because(new_block, "renewal"),
            now=now,
        ).status

    def policy_set(self, policy: str, limit: int | None) -> None:
        self.connection.execute(
            "UPDATE customers_customer SET overage_policy = %s, overage_limit_mc = %s, updated_at = %s WHERE id = %s",
            (policy, limit, START + timedelta(seconds=1), self.customer),
        )

    def grant(
        self,
        *,
        block: UUID,
        kind: str = "grant",
        credits: int,
        priority: int = 0,
        starts: datetime | None = None,
        ends: datetime | None = None,
        metrics: frozenset[str] | None = None,
        price_paid: int | None = None,
        now: datetime,
        cause: UUID | None = None,
    ) -> str:
        return self.call(
            "billing_credits_grant_v1",
            block=block,
            kind=kind,
            credits=credits,
            priority=priority,
            effective_at=starts,
            expires_at=ends,
            metric_keys=sorted(metrics) if metrics else None,
            source="manual",
            price_paid=price_paid,
            currency=None,
            metadata={},
            **self._because(cause or block, "grant"),
            now=now,
        ).status

    def prolong(self, *, block: UUID, new_block: UUID, ends: datetime | None, now: datetime) -> str:
        """As billing/services/block_extensions.py: void and grant, of one cause."""
        (old,) = [row for row in self.rows("billing_credit_block") if row.id == block]
        because = self._because(new_block, "extension")
        with self.connection.transaction():
            voided = self.call("billing_block_void_v1", block=block, **because, metadata=None, now=now)
            if voided.status != "voided":
                return "all-held" if voided.status == "held" else voided.status
            return self.call(
                "billing_credits_grant_v1",
                block=new_block,
                kind="grant",
                credits=voided.taken,
                priority=old.priority,
                effective_at=None,
                expires_at=ends,
                metric_keys=old.metric_keys,
                source=old.source,
                price_paid=old.price_paid_minor,
                currency=old.currency,
                metadata={},
                **because,
                now=now,
            ).status

    def debit(
        self, *, cause: UUID, amount: int, metric: str | None, now: datetime, kind: str = "debit"
    ) -> str:
        return self.call(
            "billing_credits_debit_v1",
            kind=kind,
            amount=amount,
            metric=metric,
            **self._because(cause, "action"),
            metadata=None,
            now=now,
        ).status

    def adjust(self, *, cause: UUID, delta: int, now: datetime) -> str:
        return self.call(
            "billing_credits_adjust_v1",
            delta=delta,
            block=cause,
            **self._because(cause, "adjustment"),
            metadata=None,
            now=now,
        ).status

    def refund(
        self, *, entry: int, amount: int | None, cause: UUID, new_blocks: list[UUID], now: datetime
    ) -> str:
        return self.call(
            "billing_credits_refund_v1",
            entry=self.entry_id(entry),
            amount=amount,
            new_blocks=new_blocks,
            **self._because(cause, "refund"),
            metadata=None,
            now=now,
        ).status

    def convert(
        self,
        *,
        price: int,
        block: UUID,
        credits: int,
        priority: int,
        ends: datetime | None,
        metrics: frozenset[str] | None,
        now: datetime,
    ) -> str:
        return self.call(
            "billing_credits_convert_v1",
            price=price,
            block=block,
            credits=credits,
            priority=priority,
            expires_at=ends,
            metric_keys=sorted(metrics) if metrics else None,
            source="plan_grant",
            metadata={},
            **self._because(block, "conversion"),
            now=now,
        ).status

    def hold(self, *, hold: UUID, amount: int, metric: str | None, ends: datetime, now: datetime) -> str:
        return self.call(
            "billing_hold_create_v1",
            hold=hold,
            amount=amount,
            metric=metric,
            expires_at=ends,
            metadata={},
            actor="user:test",
            key=None,
            request="",
            now=now,
        ).status

    def commit(self, *, hold: UUID, amount: int, now: datetime) -> str:
        return self.call(
            "billing_hold_commit_v1",
            hold=hold,
            amount=amount,
            actor="user:test",
            key=None,
            request="",
            metadata=None,
            now=now,
        ).status

    def release(self, *, hold: UUID, now: datetime) -> str:
        return self.call("billing_hold_release_v1", hold=hold, now=now).status

    def extend(self, *, hold: UUID, ends: datetime, now: datetime) -> str:
        return self.call("billing_hold_extend_v1", hold=hold, expires_at=ends, now=now).status

    # --- What is there

    def read(self, at: datetime, include: str = "live", now: datetime | None = None) -> Any:
        return call(
            self.connection,
            "billing_credits_read_v1",
            environment=self.environment,
            by="id",
            reference=str(self.customer),
            include=include,
            at=at,
            now=now or at,
        )

    def entry_id(self, index: int) -> UUID:
        return self.one(
            "SELECT id FROM billing_ledger_entry WHERE account_id = %s AND sequence = %s", index + 1
        )

    def one(self, sql: str, *more: Any) -> Any:
        row = self.connection.execute(sql, (self.customer, *more)).fetchone()
        return row[0] if row else None

    def account(self) -> Any:
        return self.connection.execute(
            "SELECT * FROM billing_credit_account WHERE customer_id = %s", (self.customer,), prepare=True
        ).fetchone()

    def rows(self, table: str) -> list[Any]:
        return self.connection.execute(
            f"SELECT * FROM {table} WHERE account_id = %s ORDER BY id", (self.customer,), prepare=True
        ).fetchall()

    def fingerprint(self) -> str:
        """Every row of this customer, to the byte."""
        tables = ("billing_credit_block", "billing_ledger_entry", "billing_hold")
        parts = [
            f"(SELECT string_agg(t::text, '|' ORDER BY id) FROM {t} t WHERE account_id = %(c)s)"
            for t in tables
        ]
        parts += [
            "(SELECT t::text FROM billing_credit_account t WHERE customer_id = %(c)s)",
            "(SELECT t::text FROM customers_customer t WHERE id = %(c)s)",
            "(SELECT string_agg(t::text, '|' ORDER BY id) FROM customers_outbox_event t WHERE customer_id = %(c)s)",
        ]
        row = self.connection.execute(
            f"SELECT md5(concat_ws('#', {', '.join(parts)}))", {"c": self.customer}, prepare=True
        ).fetchone()
        assert row
        return row[0]


def kernel_account(connection: Connection, *, policy: str = "block") -> KernelAccount:
    """A customer of a tenant of its own."""
    with superuser_connection() as superuser:
        environment = environment_make(superuser)
    environment_see(connection, environment)
    return KernelAccount(connection, environment, customer_make(connection, environment, policy=policy))


__all__ = [
    "ANY",
    "START",
    "KernelAccount",
    "app_connection",
    "call",
    "customer_make",
    "environment_make",
    "kernel_account",
]
