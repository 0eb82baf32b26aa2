"""How often a renewal asks the database. It was 48 times once, and took twice as long; more must be meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from customers.kernel import database
from customers.kernel.database import environment_scope
from subscriptions.models import Subscription
from subscriptions.services.due_work import subscription_catch_up
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.subscriptions.deals import BEGIN, BUDGET, at, make_variant, subscribe


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that is sent, but for BEGIN and COMMIT, which are psycopg's."""
    sent: list[str] = []
    execute_once = database._execute_once

    def by_ourselves(sql: str, parameters: Sequence[Any], wrapper: Any) -> list[tuple[Any, ...]]:
        sent.append(sql)
        return execute_once(sql, parameters, wrapper)

    def by_django(execute: Any, sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    monkeypatch.setattr(database, "_execute_once", by_ourselves)
    with connection.execute_wrapper(by_django):
        yield sent


def test_a_renewal(api: Api, acme: Character, asked: list[str]) -> None:
    clock_set(acme.test, BEGIN)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    assert len(_renewal(deal.world.id, "2026-02-28T12:00", asked)) == 30


def test_further_templates_cost_their_grant_only(api: Api, acme: Character, asked: list[str]) -> None:
    # given four budgets, one of which rolls over
    rolling = {**BUDGET, "rollover_percentage": 50}
    clock_set(acme.test, BEGIN)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET, BUDGET, BUDGET, rolling))

    sent = _renewal(deal.world.id, "2026-02-28T12:00", asked)

    # then the templates are read once, and each grant is seven statements; rolling over is four
    assert sum('FROM "subscriptions_credit_grant"' in sql for sql in sent) == 1
    assert len(sent) == 30 + 3 * 7 + 4


def test_looking_when_nothing_is_due(api: Api, acme: Character, asked: list[str]) -> None:
    clock_set(acme.test, BEGIN)
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))

    assert len(_renewal(deal.world.id, "2026-02-28T11:59", asked)) == 4


def _renewal(environment_id: Any, text: str, asked: list[str]) -> list[str]:
    with environment_scope(environment_id):
        customer_id = Subscription.objects.get().customer_id
    asked.clear()
    now: datetime = at(text)
    subscription_catch_up(environment_id=environment_id, customer_id=customer_id, now=now)
    return list(asked)
