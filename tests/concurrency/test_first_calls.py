"""Two first calls for one new customer make one customer, with one account."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from customers.kernel.ids import uuid7
from tests.concurrency.clients import at_once, setting
from tests.oracle.kernel import (
    START,
    Connection,
    KernelAccount,
    app_connection,
    call,
    customer_make,
    environment_make,
    environment_see,
    superuser_connection,
)

ROUNDS = setting("PURSER_FIRST_CALL_ROUNDS", 100)


@pytest.fixture
def environment() -> UUID:
    with superuser_connection() as superuser:
        return environment_make(superuser)


@pytest.mark.parametrize("by", ["external", "id"])
def test_two_first_calls_make_one_customer(environment: UUID, by: str) -> None:
    references = [str(uuid7()) for _ in range(ROUNDS)]

    def ensure(reference: str, connection: Connection) -> Any:
        return call(
            connection,
            "customers_customer_ensure_v1",
            environment=environment,
            by=by,
            reference=reference,
            new_id=uuid7(),
            now=START,
        )

    def caller(_index: int, with_connection: Any) -> list[Any]:
        return with_connection(lambda connection: [ensure(reference, connection) for reference in references])

    answers = at_once(environment, 2, caller)
    for first, second in zip(*answers, strict=True):
        assert first.customer_id == second.customer_id
        assert Counter((first.created, second.created)) == {True: 1, False: 1}
    with app_connection() as connection:
        environment_see(connection, environment)
        for table in ("customers_customer", "customers_outbox_event"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (ROUNDS,)


def test_first_touches_at_once_make_one_account(environment: UUID) -> None:
    with app_connection() as connection:
        environment_see(connection, environment)
        customer = customer_make(connection, environment)
        account = KernelAccount(connection, environment, customer)

        def grant(connection: Connection) -> str:
            return KernelAccount(connection, environment, customer).grant(
                block=uuid7(), credits=10, now=START
            )

        told = at_once(environment, 20, lambda _index, with_connection: with_connection(grant))
        assert told == ["granted"] * 20
        assert (account.account().balance_mc, account.account().sequence) == (200, 20)
