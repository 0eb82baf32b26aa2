"""Entries of a span of time are found by their numbers: instants never go back as numbers grow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from customers.kernel.ids import uuid7
from customers.kernel.instants import instant_text
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.making import give
from tests.oracle.kernel import START, KernelAccount, app_connection, kernel_account

CREDITS = "/v1/customer-by-external-id/user_1/credits"
TICK = timedelta(microseconds=1)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def account() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def last_before(account: KernelAccount, at: datetime) -> int:
    found = account.connection.execute("SELECT billing_last_before_v1(%s, %s)", (account.customer, at))
    return int(next(found)[0])


@pytest.mark.parametrize(
    "seconds", [[], [0], [0, 0], [0, 1], [0, 0, 0, 3, 3, 5, 8, 8, 8, 8], list(range(33)), [7] * 40]
)
def test_the_last_entry_before_any_instant(account: KernelAccount, seconds: list[int]) -> None:
    # given
    instants = [START + timedelta(seconds=each) for each in seconds]
    for instant in instants:
        account.grant(block=uuid7(), credits=1, now=instant)

    # then
    around = {each + tick for each in (START, *instants) for tick in (-TICK, timedelta(), TICK)}
    for at in sorted(around):
        assert last_before(account, at) == sum(instant < at for instant in instants)


def test_an_account_that_never_moved_has_none(account: KernelAccount) -> None:
    assert last_before(account, START) == 0


def test_history_of_a_span_has_its_first_instant_and_not_its_last(api: Api, acme: Character) -> None:
    # given two grants each minute, and an adjustment in the middle
    for minute in range(4):
        clock_set(acme.test, NOON + timedelta(minutes=minute))
        give(api, 100 + minute)
        give(api, 200 + minute)
        if minute == 1:
            api.post(f"{CREDITS}/adjust", {"delta": -7}, idempotency_key="typo")

    def amounts(query: str = "") -> list[int]:
        return [each["amount"] for each in api.get(f"{CREDITS}/history?limit=50{query}")["data"]]

    # then
    first, last = (instant_text(NOON + timedelta(minutes=minute)) for minute in (1, 3))
    assert amounts(f"&from={first}&to={last}") == [202, 102, -7, 201, 101]
    assert amounts(f"&from={first}&to={last}&kind=grant") == [202, 102, 201, 101]
    assert amounts(f"&from={last}") == [203, 103]
    assert amounts(f"&to={first}") == [200, 100]
    assert amounts(f"&from={last}&to={first}") == []
    assert amounts("&kind=adjust") == [-7]
