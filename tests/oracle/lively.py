"""An environment in which everything has happened once, for those who then tamper with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from customers.kernel.ids import uuid7
from tests.oracle.kernel import (
    START,
    Connection,
    KernelAccount,
    call,
    customer_make,
    environment_make,
    environment_see,
    superuser_connection,
)

HOUR = timedelta(hours=1)
#: By when it has all happened.
END = START + 10 * HOUR


@dataclass(kw_only=True)
class Lively:
    """`spender` has blocks, a debit partly refunded, holds of every state; `debtor` is overdrawn."""

    environment: UUID
    elsewhere: UUID
    spender: KernelAccount
    debtor: KernelAccount
    block: UUID
    dead_block: UUID
    open_hold: UUID
    committed_hold: UUID

    def entry(self, account: KernelAccount, number: int) -> UUID:
        return account.entry_id(number - 1)

    def seal(self) -> int:
        return call(
            self.spender.connection,
            "billing_ledger_seal_v1",
            environment=self.environment,
            most=50_000,
            now=END,
        ).billing_ledger_seal_v1


def lively_environment(connection: Connection) -> Lively:
    """Needs a connection as the application. The other environment is the same tenant's test environment."""
    with superuser_connection() as superuser:
        environment = environment_make(superuser)
        tenant = superuser.execute(
            "SELECT tenant_id FROM customers_environment WHERE id = %s", (environment,)
        ).fetchone()[0]
        elsewhere = environment_make(superuser, kind="test", tenant=tenant)
    environment_see(connection, environment)
    spender = KernelAccount(connection, environment, customer_make(connection, environment))
    debtor = KernelAccount(connection, environment, customer_make(connection, environment, policy="allow"))
    block, dead_block, open_hold, committed_hold, released = (uuid7() for _ in range(5))
    # 1: 1,000 for ever. 2: 200 that die after three hours, of which 4 takes 150 and 6 buries 50.
    spender.grant(block=block, credits=1000, now=START)
    spender.grant(block=dead_block, credits=200, priority=10, ends=START + 3 * HOUR, now=START)
    spender.grant(block=uuid7(), credits=30, metrics=frozenset({"images"}), now=START + HOUR)
    spender.debit(cause=uuid7(), amount=150, metric="tokens", now=START + 2 * HOUR)
    spender.refund(entry=3, amount=20, cause=uuid7(), new_blocks=[uuid7()], now=START + 2 * HOUR)
    spender.hold(
        hold=committed_hold, amount=100, metric="tokens", ends=START + 5 * HOUR, now=START + 4 * HOUR
    )
    spender.commit(hold=committed_hold, amount=80, now=START + 4.5 * HOUR)
    spender.hold(hold=released, amount=10, metric="tokens", ends=START + 8 * HOUR, now=START + 6 * HOUR)
    spender.release(hold=released, now=START + 7 * HOUR)
    spender.convert(
        price=40, block=uuid7(), credits=60, priority=5, ends=END + HOUR, metrics=None, now=START + 8 * HOUR
    )
    spender.hold(hold=open_hold, amount=70, metric="tokens", ends=END + HOUR, now=START + 9 * HOUR)
    spender.adjust(cause=uuid7(), delta=-5, now=END)
    debtor.grant(block=uuid7(), credits=100, now=START)
    debtor.debit(cause=uuid7(), amount=250, metric="tokens", now=START + HOUR)
    debtor.grant(block=uuid7(), credits=50, now=START + 2 * HOUR)
    return Lively(
        environment=environment,
        elsewhere=elsewhere,
        spender=spender,
        debtor=debtor,
        block=block,
        dead_block=dead_block,
        open_hold=open_hold,
        committed_hold=committed_hold,
    )
