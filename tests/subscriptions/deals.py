"""Plans, subscribers and their time, for stories about subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import OutboxEvent
from subscriptions.models import CreditGrantTemplate, Plan, PlanVariant
from subscriptions.services.due_work import subscription_catch_up
from tests.clock import clock_set
from tests.conftest import Answer, Api, World

BEGIN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
MONTHLY: dict[str, Any] = {"billing_cycle": "monthly", "billing_mode": "postpaid"}
PREPAID: dict[str, Any] = {"billing_cycle": "monthly", "billing_mode": "prepaid"}
#: 100 credits a cycle, gone with it.
BUDGET: dict[str, Any] = {"credits_mc": 100_000, "expires_at_interval_end": True}


def at(text: str) -> datetime:
    """An instant in UTC: `2026-02-28` or `2026-02-28T12:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def make_variant(
    world: World, *templates: dict[str, Any], plan: Plan | None = None, **terms: Any
) -> PlanVariant:
    """A variant of a plan of its own, with these templates."""
    with environment_scope(world.id):
        stamps = {"environment_id": world.id, "created_at": BEGIN, "updated_at": BEGIN}
        plan = plan or Plan.objects.create(name=f"Plan {uuid4().hex[:6]}", **stamps)
        variant = PlanVariant(plan=plan, name="Variant", **{**MONTHLY, **terms}, **stamps)
        variant.family = variant.id
        variant.save()
        for template in templates:
            shape = {"grant_type": "recurring", "grant_interval": "billing_cycle", "source": "plan_grant"}
            CreditGrantTemplate.objects.create(variant=variant, **{**shape, **template}, **stamps)
    return variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """One customer's subscription as its tenant's backend sees it."""

    api: Api
    world: World
    id: str
    who: str

    def look(self) -> dict[str, Any]:
        answer = self.api.get(f"/v1/subscriptions/{self.id}")
        assert answer.status == 200, answer
        return dict(answer.json)

    def act(self, action: str, body: dict[str, Any] | None = None, **options: Any) -> Answer:
        return self.api.post(f"/v1/subscriptions/{self.id}/{action}", body or {}, **options)

    def renew(self, **body: Any) -> Answer:
        return self.act("renew", body, idempotency_key=f"renew-{uuid4().hex}")

    def balance(self) -> int:
        answer = self.api.get(f"/v1/customer-by-external-id/{self.who}/credits")
        return int(answer["balance"])

    def time(self, text: str | datetime) -> None:
        """It is that instant now, and nobody has done anything yet."""
        clock_set(self.world, at(text) if isinstance(text, str) else text)

    def work(self, text: str | datetime) -> None:
        """It is that instant now, and the scheduler has run."""
        self.time(text)
        now = at(text) if isinstance(text, str) else text
        subscription_catch_up(
            environment_id=self.world.id, customer_id=UUID(self.look()["customer_id"]), now=now
        )

    def told(self, *names: str) -> list[tuple[str, str]]:
        """Its webhook events of `subscription.…`, oldest first, with the instants they are dated."""
        with environment_scope(self.world.id):
            rows = OutboxEvent.objects.filter(event__startswith="subscription.").order_by("id")
            shown = [
                (row.event.removeprefix("subscription."), row.payload)
                for row in rows
                if row.payload["subscription_id"] == self.id
            ]
        return [(name, payload["created_at"]) for name, payload in shown if not names or name in names]

    def payload(self, name: str, index: int = -1) -> dict[str, Any]:
        with environment_scope(self.world.id):
            rows = OutboxEvent.objects.filter(event=f"subscription.{name}").order_by("id")
            return [dict(row.payload) for row in rows if row.payload["subscription_id"] == self.id][index]


def subscribe(
    api: Api,
    world: World,
    variant: PlanVariant,
    *,
    who: str = "user_1",
    begin: datetime | None = BEGIN,
    **terms: Any,
) -> Deal:
    """A customer subscribed at `begin`, by which the environment's clock is set."""
    if begin is not None:
        clock_set(world, begin)
    known = api.get(f"/v1/customer-by-external-id/{who}")
    if known.status == 404:
        assert api.post("/v1/customers", {"external_id": who}).status == 201
    answer = api.post(
        "/v1/subscriptions",
        {"external_customer_id": who, "plan_variant_id": variant.public_id, **terms},
    )
    assert answer.status == 201, answer
    assert typeid_parse("sub", answer["id"])
    return Deal(api=api, world=world, id=answer["id"], who=who)
