"""The account knows its customer's threshold, whoever sets it and whenever the account came into being."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from billing.models import CreditAccount
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from tests.conftest import Api, Character
from tests.making import give

PATH = "/v1/customer-by-external-id/user_1"


def known(acme: Character) -> int | None:
    """What the only account says; verification agrees with it."""
    with environment_scope(acme.test.id):
        assert ledger_verify(environment_id=acme.test.id).findings == []
        return CreditAccount.objects.get().low_balance_at_mc


@pytest.mark.parametrize("threshold", [700, 0, -50, None])
def test_an_account_that_comes_later_knows_it(api: Api, acme: Character, threshold: int | None) -> None:
    api.post("/v1/customers", {"external_id": "user_1", "low_balance_threshold": threshold})
    give(api, 1000)
    assert known(acme) == threshold


@pytest.mark.parametrize("threshold", [700, 0, -50, None])
def test_an_account_that_is_there_is_told(api: Api, acme: Character, threshold: int | None) -> None:
    give(api, 1000)
    assert known(acme) is None
    api.patch(PATH, {"low_balance_threshold": 5})
    assert known(acme) == 5
    api.patch(PATH, {"low_balance_threshold": threshold})
    assert known(acme) == threshold


def test_a_customer_without_one_gets_it_with_the_threshold(api: Api, acme: Character) -> None:
    api.post("/v1/customers", {"external_id": "user_1"})
    api.patch(PATH, {"display_name": "Ada"})
    with environment_scope(acme.test.id):
        assert not CreditAccount.objects.exists()
    api.patch(PATH, {"low_balance_threshold": 700})
    assert known(acme) == 700


def test_who_writes_around_the_application_tells_it_too(
    api: Api, acme: Character, superuser_sql: psycopg.Connection[Any]
) -> None:
    give(api, 1000)
    superuser_sql.execute(
        "UPDATE customers_customer SET low_balance_threshold_mc = 9 WHERE environment_id = %s",
        (acme.test.id,),
    )
    assert known(acme) == 9
