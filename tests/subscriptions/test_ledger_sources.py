"""What a plan granted, and what rolled over with it, is explained by the run that did it, and proven."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from billing.models import LedgerEntry
from billing.services.credits import Cause, credits_grant, credits_rollover
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, User
from subscriptions.models import CreditGrantTemplate, GrantRun, Plan, PlanVariant, Subscription
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk

JULY = datetime(2030, 7, 1, tzinfo=UTC)
AUGUST = datetime(2030, 8, 1, tzinfo=UTC)
STORED = {"created_at": JULY, "updated_at": JULY}


@pytest.fixture
def run(api: Api, acme: Character) -> Iterator[GrantRun]:
    """user_1 subscribes to Starter, which gave 900 in July, of which 100 rolled over into another block."""
    clock_set(acme.test, JULY)
    api.post("/v1/customers", {"external_id": "user_1"})
    with environment_scope(acme.test.id):
        of = {"environment_id": acme.test.id}
        customer = Customer.objects.get(**of, external_id="user_1")
        plan = Plan.objects.create(**of, **STORED, name="Starter")
        variant = PlanVariant.objects.create(
            **of,
            **STORED,
            plan=plan,
            family=uuid7(),
            name="Monthly",
            billing_cycle="monthly",
            billing_mode="postpaid",
        )
        template = CreditGrantTemplate.objects.create(
            **of,
            **STORED,
            variant=variant,
            credits_mc=900,
            grant_type="recurring",
            grant_interval="billing_cycle",
            source="plan_grant",
        )
        subscription = Subscription.objects.create(
            **of,
            **STORED,
            customer=customer,
            variant=variant,
            status="active",
            timezone="UTC",
            started_at=JULY,
            anchor_at=JULY,
            anchor_steps=1,
            current_period_start=JULY,
            current_period_end=AUGUST,
        )
        run_id = uuid7()
        cause = Cause(source_type="grant_run", source_id=run_id)
        granted = credits_grant(
            caller=acme.test.caller,
            customer=customer,
            credits_mc=900,
            source="plan_grant",
            cause=cause,
            now=JULY,
        )
        assert granted.block is not None
        rolled = credits_rollover(
            caller=acme.test.caller,
            customer=customer,
            from_block_id=granted.block.id,
            credits_mc=100,
            priority=5,
            expires_at=AUGUST,
            cause=cause,
            now=JULY + timedelta(seconds=1),
        )
        assert rolled.block is not None
        yield GrantRun.objects.create(
            **of,
            id=run_id,
            subscription=subscription,
            template=template,
            starts_at=JULY,
            ends_at=AUGUST,
            credits_mc=900,
            block_id=granted.block.id,
            rolled_mc=100,
            rolled_block_id=rolled.block.id,
            created_at=JULY,
        )


def test_both_entries_of_a_run_are_explained_by_it(api: Api, run: GrantRun) -> None:
    entries = api.get("/v1/customer-by-external-id/user_1/credits/history").json["data"]
    told = [
        api.get(f"/v1/customer-by-external-id/user_1/credits/explain/{entry['id']}").json for entry in entries
    ]
    assert [(each["entry"]["kind"], each["entry"]["amount"]) for each in told] == [
        ("rollover", 0),
        ("grant", 900),
    ]
    assert told[0]["grant_run"] == told[1]["grant_run"]
    assert told[0]["grant_run"] == {
        "id": str(run.id),
        "subscription_id": run.subscription.public_id,
        "plan_variant_id": run.template.variant.public_id,
        "credit_grant_id": run.template.public_id,
        "plan": "Starter",
        "starts_at": "2030-07-01T00:00:00Z",
        "ends_at": "2030-08-01T00:00:00Z",
        "credits": 900,
        "rolled_over": 100,
    }


def test_the_admin_says_which_plan_and_which_interval(acme: Character, run: GrantRun, operator: User) -> None:
    desk = Desk(operator, acme.test)
    with environment_scope(acme.test.id):
        entries = list(LedgerEntry.objects.filter(source_id=run.id))
    pages = [desk.open(f"/admin/billing/ledgerentry/{entry.public_id}/change/") for entry in entries]
    assert len(pages) == 2
    for page in pages:
        for word in ("Caused by a plan", "Starter, Monthly", run.subscription.public_id, "Rolled into"):
            assert word in page, word
    assert "Starter, Monthly" in desk.open("/admin/billing/ledgerentry/?q=user_1")


@pytest.mark.parametrize("change", ["credits_mc = 901", "rolled_mc = 99"])
def test_a_run_that_says_otherwise_is_found(
    acme: Character, run: GrantRun, superuser_sql: psycopg.Connection[object], change: str
) -> None:
    assert ledger_verify(environment_id=acme.test.id).findings == []
    superuser_sql.execute("SET session_replication_role = replica")
    superuser_sql.execute(f"UPDATE subscriptions_grant_run SET {change} WHERE id = %s", (run.id,))
    found = ledger_verify(environment_id=acme.test.id).findings
    assert [(finding["code"], str(finding["object"])[:4]) for finding in found] == [
        ("plan-grant-is-not-its-run", typeid("led", run.id)[:4])
    ]
