"""Importing usage events of any age, once each, and voiding them with refund."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from metering.models import EventVoid, UsageEvent
from tests.conftest import Api, Character
from tests.imports.filing import csv_of, reverse, rows, start, upload
from tests.making import balance, give, make_metric, use

HEADER = "customer,metric,quantity,time,key,properties"


@pytest.fixture
def ada(api: Api) -> str:
    make_metric(api)
    assert api.post("/v1/billable-metrics", {"key": "tokens", "name": "Tokens"}).status == 201
    give(api, 10_000, to="ada")
    return "ada"


def bring(api: Api, *lines: str, header: str = HEADER) -> dict[str, Any]:
    return start(api, upload(api, csv_of(header, *lines), kind="events"))


def test_events_are_recorded_and_debited_as_if_they_were_sent(api: Api, acme: Character, ada: str) -> None:
    # when
    batch = bring(
        api,
        'ada,api_call,3,2026-01-05T10:00:00Z,old-1,"{""region"": ""eu""}"',
        "ada,tokens,12345.0000000001,2026-01-06,old-2,",
        "ada,unknown,1,,old-3,",
        "nobody,api_call,1,,old-4,",
        "ada,api_call,100,,old-5,",
    )
    # then
    assert batch["outcome"] == {"made": 2, "changed": 0, "unchanged": 0, "refused": 3, "amount": 3000}
    assert [row["errors"][0]["code"] for row in rows(api, batch, "&outcome=refused")] == [
        "metric-not-found",
        "customer-not-found",
        "insufficient-credits",
    ]
    assert balance(api, of="ada")["balance"] == 7_000
    with environment_scope(acme.test.id):
        first, second = UsageEvent.objects.order_by("id")
    assert (first.idempotency_key, first.cost_mc, first.properties) == ("old-1", 3000, {"region": "eu"})
    assert (second.units, second.occurred_at.isoformat()) == (
        Decimal("12345.0000000001"),
        "2026-01-06T00:00:00+00:00",
    )


def test_a_dry_run_records_nothing(api: Api, acme: Character, ada: str) -> None:
    batch = upload(api, csv_of(HEADER, "ada,api_call,3,,,"), kind="events")
    assert batch["expected"] == {"made": 1, "changed": 0, "unchanged": 0, "refused": 0, "amount": 3000}
    assert balance(api, of="ada")["balance"] == 10_000
    with environment_scope(acme.test.id):
        assert UsageEvent.objects.count() == 0


def test_an_event_that_is_known_is_not_recorded_again(api: Api, acme: Character, ada: str) -> None:
    assert use(api, 3, by="ada", idempotency_key="old-1").status == 202
    lines = ("ada,api_call,3,,old-1,", "ada,api_call,4,,old-2,", "ada,api_call,5,,old-2,")
    batch = bring(api, *lines)
    assert batch["outcome"] == {"made": 1, "changed": 0, "unchanged": 1, "refused": 1, "amount": 4000}
    assert bring(api, *lines)["outcome"]["unchanged"] == 2
    assert balance(api, of="ada")["balance"] == 3_000
    with environment_scope(acme.test.id):
        assert UsageEvent.objects.count() == 2


def test_each_event_is_voided_and_its_cost_comes_back(api: Api, acme: Character, ada: str) -> None:
    # given
    batch = bring(api, "ada,api_call,3,,one,", "ada,api_call,2,,two,", "ada,tokens,9,,three,")
    two = rows(api, batch)[1]["object_id"]
    voided = api.post(f"/v1/events/{two}/void", {"reason": "by hand"}, idempotency_key="void-two")
    assert voided.status == 200, voided
    # when
    undone = reverse(api, batch)
    # then
    assert undone["reversal"] == {"reversed": 2, "partly": 0, "kept": 1}
    assert rows(api, batch, "&reversal=kept")[0]["object_id"] == two
    assert balance(api, of="ada")["balance"] == 10_000
    with environment_scope(acme.test.id):
        assert EventVoid.objects.count() == 3
        assert EventVoid.objects.filter(reason="the wrong file").count() == 2
        assert not ledger_verify(environment_id=acme.test.id).findings
