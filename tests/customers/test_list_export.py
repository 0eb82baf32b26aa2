"""Every list of the admin as CSV: what is filtered, exactly, however much it is, and nothing that is secret."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from customers.admin.records import RecordAdmin
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import uuid7
from customers.models import AuditRecord, Customer
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import give, make_metric, use

CUSTOMERS = "/admin/customers/customer/export/"
ENTRIES = "/admin/billing/ledgerentry/export/"


@pytest.fixture
def desk(acme: Character, operator: Any) -> Desk:
    return Desk(operator, acme.test)


def rows_of(desk: Desk, path: str) -> list[dict[str, str]]:
    answer = desk.client.get(path)
    assert answer.status_code == 200, answer
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.getvalue().decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_a_list_is_exported_as_it_is_filtered(desk: Desk, api: Api, rival: Character) -> None:
    # given
    for name in ("ada", "bob"):
        assert api.post("/v1/customers", {"external_id": name, "email": f"{name}@example.com"}).status == 201
    assert Api(rival.test.secret).post("/v1/customers", {"external_id": "ada"}).status == 201
    # when
    found = rows_of(desk, f"{CUSTOMERS}?q=ada")
    # then
    assert [(row["external_id"], row["email"], row["overage_policy"]) for row in found] == [
        ("ada", "ada@example.com", "block")
    ]
    assert [row["external_id"] for row in rows_of(desk, CUSTOMERS)] == ["bob", "ada"]


def test_amounts_instants_and_ids_are_exact(desk: Desk, api: Api) -> None:
    # given
    make_metric(api)
    give(api, 10_000)
    used = use(api, 3, timestamp="2026-04-01T09:10:00.000001Z")
    # when
    entries = rows_of(desk, ENTRIES)
    (event,) = rows_of(desk, "/admin/metering/usageevent/export/")
    # then
    assert [(row["kind"], row["amount_mc"], row["external_customer_id"]) for row in entries] == [
        ("debit", "-3000", "user_1"),
        ("grant", "10000", "user_1"),
    ]
    assert all(row["id"].startswith("led_") for row in entries)
    assert (event["id"], event["units"], event["occurred_at"]) == (
        used["event_id"],
        "3",
        "2026-04-01T09:10:00.000001Z",
    )
    assert event["metric_id"].startswith("met_")
    assert "fingerprint" not in event


def test_a_text_that_a_spreadsheet_would_run_is_defused(desk: Desk, api: Api) -> None:
    assert api.post("/v1/customers", {"external_id": "x", "display_name": "=1+1"}).status == 201

    assert [row["display_name"] for row in rows_of(desk, CUSTOMERS)] == ["'=1+1"]


def test_many_pages_come_whole_and_once(desk: Desk, acme: Character) -> None:
    # given
    now = system_now()
    with environment_scope(acme.test.id):
        Customer.objects.bulk_create(
            Customer(
                environment_id=acme.test.id, id=uuid7(), public_id=f"c{n}", created_at=now, updated_at=now
            )
            for n in range(2000)
        )
    # when
    found = [row["public_id"] for row in rows_of(desk, CUSTOMERS)]
    # then
    assert found == [f"c{n}" for n in reversed(range(2000))]


def test_who_took_a_list_along_is_on_record(desk: Desk, acme: Character) -> None:
    rows_of(desk, f"{CUSTOMERS}?q=ada")

    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="customer.exported")
        assert (record.actor, record.object_id) == (f"user:{desk.user.username}", "q=ada")


def test_an_api_keys_secret_is_not_exported(desk: Desk) -> None:
    rows = rows_of(desk, "/admin/customers/apikey/export/")

    assert rows
    assert not {"secret_sha256", "environment_id"} & rows[0].keys()


def test_who_may_not_see_a_list_cannot_export_it(acme: Character) -> None:
    nobody = Desk(somebody(), acme.test)

    assert nobody.client.get(CUSTOMERS).status_code == 403
    with environment_scope(acme.test.id):
        assert not AuditRecord.objects.filter(action="customer.exported").exists()


@pytest.mark.parametrize(
    "model", [m for m, one in admin.site._registry.items() if isinstance(one, RecordAdmin)]
)
def test_every_list_has_its_export(desk: Desk, model: Any) -> None:
    name = f"{model._meta.app_label}_{model._meta.model_name}"

    rows_of(desk, reverse(f"admin:{name}_export"))
    page = desk.open(reverse(f"admin:{name}_changelist"))

    assert page
