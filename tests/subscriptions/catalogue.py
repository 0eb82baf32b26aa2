"""What the stories of the catalogue begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.services.customers import customer_create
from subscriptions.models import Subscription
from tests.conftest import Api, Character

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)

#: As source 002 prints it.
BUDGET: dict[str, Any] = {
    "credits": 100000000,
    "grant_interval": "billing_cycle",
    "grant_type": "recurring",
    "source": "plan_grant",
    "expires_after_seconds": 2592000,
    "rollover_percentage": 0,
    "accumulation_cap": None,
}


def make_grant(api: Api, plan: str, variant: str, **terms: Any) -> str:
    """A credit grant of the variant; its id."""
    answer = api.post(f"/v1/plans/{plan}/variants/{variant}/credit-grants", {**BUDGET, **terms})
    assert answer.status == 201, answer
    return str(answer["id"])


def put_somebody_on(character: Character, variant: str, **facts: Any) -> Subscription:
    """A customer who is on this version, as a row: what the catalogue asks is only whether there is one."""
    with environment_scope(character.test.id):
        customer = customer_create(caller=character.test.caller, external_id=uuid4().hex, now=NOW)
        subscription: dict[str, Any] = {
            "variant_id": typeid_parse("pvr", variant),
            "status": "active",
            "timezone": "UTC",
            "started_at": NOW,
            "anchor_at": NOW,
            "anchor_steps": 1,
            "current_period_start": NOW,
            "current_period_end": NOW + timedelta(days=30),
            "created_at": NOW,
            "updated_at": NOW,
        }
        return Subscription.objects.create(
            environment_id=character.test.id,
            customer_id=customer.id,
            **subscription | facts,
        )
