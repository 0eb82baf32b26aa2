"""The demo tenant, and that it leaves room for the quickstart."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from billing.models import CreditAccount, Invoice, LedgerEntry
from billing.services.verification import ledger_verify
from config.demo.build import TENANT
from config.demo.crowd import Crowd, crowd_gather
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Customer, Environment, Tenant
from metering.models import UsageEvent
from metering.services.metrics import metric_create
from metering.services.rules import rule_create
from subscriptions.models import Subscription, SubscriptionPeriod
from tests.conftest import Api, Character


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Made once: other tests have their own tenants, so the instance is never empty and --if-empty is not given."""
    kept = tmp_path_factory.mktemp("demo") / "demo.json"
    out = StringIO()
    call_command("demo", "--credentials", str(kept), stdout=out, stderr=StringIO())
    return json.loads(out.getvalue()), kept


def test_it_says_its_keys_and_keeps_them_privately(demo):
    made, kept = demo

    assert made["tenant"] == TENANT
    assert made["test_key"].startswith("sk_test_")
    assert made["live_key"].startswith("sk_live_")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text()) == made


def test_a_later_start_makes_nothing_and_says_the_same(demo):
    made, kept = demo
    before, out = Tenant.objects.count(), StringIO()

    call_command("demo", "--if-empty", "--credentials", str(kept), stdout=out)

    assert json.loads(out.getvalue()) == made
    assert Tenant.objects.count() == before


def test_its_customers_are_worth_a_look(demo):
    environment = Environment.objects.get(tenant__name=TENANT, kind="test")

    with environment_scope(environment.id):
        assert Customer.objects.filter(deleted_at__isnull=True).count() >= 29
        assert Customer.objects.filter(deleted_at__isnull=False).count() == 1
        assert CreditAccount.objects.filter(overdraft_mc__gt=0).exists()
        assert LedgerEntry.objects.filter(kind="expire").exists()
        assert LedgerEntry.objects.filter(kind="adjust").exists()
        assert LedgerEntry.objects.filter(kind="debit").count() > 1_000


def test_it_sells_plans_and_some_are_on_them(demo):
    environment = Environment.objects.get(tenant__name=TENANT, kind="test")

    with environment_scope(environment.id):
        states = Counter(Subscription.objects.values_list("variant__plan__name", "status"))
        assert states["Free", "active"] >= 5
        assert states["Growth", "active"] >= 5
        assert states["Growth", "overdue"] >= 1
        assert states["Platform", "active"] >= 3
        assert not Subscription.objects.filter(failed_at__isnull=False).exists()
        assert SubscriptionPeriod.objects.filter(renewed_at__isnull=False).exists()
        assert LedgerEntry.objects.filter(kind="rollover").exists()


def test_some_are_billed_in_money_and_paid_in_part(demo):
    environment = Environment.objects.get(tenant__name=TENANT, kind="test")
    now = system_now()

    with environment_scope(environment.id):
        invoices = list(Invoice.objects.order_by("number_sequence").select_related("customer"))
        assert [(invoice.customer.label, invoice.status) for invoice in invoices] == [
            ("Wren Robotics", "paid"),
            ("Sable Freight", "paid"),
            ("Pelican Post", "paid"),
            ("Wren Robotics", "paid"),
            ("Sable Freight", "issued"),
            ("Pelican Post", "issued"),
        ]
        overdue = [
            invoice.customer.label
            for invoice in invoices
            if invoice.due_at and invoice.due_at < now and not invoice.paid_at
        ]
        assert overdue == ["Sable Freight"]
        assert all(invoice.issued_at == invoice.period_end for invoice in invoices)
        assert all(
            sorted(line.kind for line in invoice.lines.all()) == ["fee", "usage"] for invoice in invoices
        )
        assert invoices[1].tax_minor > 0
        assert not SubscriptionPeriod.objects.exclude(invoice_failure="").exists()
        assert not SubscriptionPeriod.objects.filter(invoice_due_at__lte=now).exists()


def test_the_quickstart_still_works_as_printed(demo):
    api = Api(demo[0]["test_key"])
    by_external_id = "/v1/customer-by-external-id/user_quickstart"

    made = [
        api.post(
            "/v1/customers",
            {"external_id": "user_quickstart", "display_name": "Quickstart User"},
            idempotency_key="quickstart-customer-1",
        ),
        api.post(
            "/v1/billable-metrics",
            {"key": "api_call", "name": "API Call", "description": "One API request."},
            idempotency_key="quickstart-metric-1",
        ),
        api.post(
            "/v1/metering-rules",
            {"billable_metric_key": "api_call", "cost_type": "per_unit", "unit_cost": 1000},
            idempotency_key="quickstart-rule-1",
        ),
        api.post(
            f"{by_external_id}/credits/grant",
            {"credits": 100000, "source": "promotional", "reason": "Quickstart welcome credits"},
            idempotency_key="quickstart-grant-1",
        ),
    ]

    assert [answer.status for answer in made] == [201] * 4
    assert api.get(f"{by_external_id}/entitlements/api_call")["allowed"] is True


def test_a_crowd_is_gathered_once_with_a_ledger_that_adds_up(acme: Character) -> None:
    # given
    caller, now = acme.test.caller, system_now()
    crowd = Crowd(customers=20, events=1500)
    with environment_scope(acme.test.id):
        metric_create(caller=caller, key="chat_message", name="Chat", description="", now=now)
        definition = {"cost_type": "per_unit", "unit_cost": 500}
        rule_create(
            caller=caller, metric_key="chat_message", definition=definition, now=now - timedelta(days=40)
        )
    # when
    with environment_scope(acme.test.id):
        made = [
            crowd_gather(caller=caller, crowd=crowd, ends_at=now, progress=lambda _: None) for _ in range(2)
        ]
    # then
    with environment_scope(acme.test.id):
        assert made == [1500, 0]
        assert UsageEvent.objects.count() == 1500
        assert LedgerEntry.objects.filter(kind="debit").count() == 500
        busy = LedgerEntry.objects.filter(kind="debit", account__customer__external_id="crowd-busy")
        assert busy.count() >= 50
    assert ledger_verify(environment_id=acme.test.id).findings == []
