"""On what terms Northwind AI sells: a free allowance, a prepaid plan, and a postpaid one under contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from customers.kernel.caller import Caller
from subscriptions.models import Plan, PlanVariant
from subscriptions.services.credit_grants import credit_grant_create
from subscriptions.services.plan_variants import variant_create
from subscriptions.services.plans import plan_create

_MC: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoVariant:
    """`grants` are the credits it gives; `fallback` names another variant, made before it."""

    name: str
    terms: Mapping[str, Any]
    grants: tuple[Mapping[str, Any], ...] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    name: str
    description: str
    variants: tuple[DemoVariant, ...]
    features: Mapping[str, Any] = field(default_factory=dict)


FREE, GROWTH, PLATFORM = "Free", "Growth monthly", "Platform monthly"

PLANS: Final = (
    DemoPlan(
        name="Free",
        description="A little every week.",
        features={"seats": 1, "support": "community"},
        variants=(
            DemoVariant(
                name=FREE,
                terms={"billing_cycle": "monthly", "billing_mode": "postpaid"},
                grants=(
                    {
                        "name": "Weekly allowance",
                        "credits_mc": 20 * _MC,
                        "grant_interval": "weekly",
                        "expires_at_interval_end": True,
                    },
                ),
            ),
        ),
    ),
    DemoPlan(
        name="Growth",
        description="Paid in advance, by card.",
        features={"seats": 10, "support": "email", "sso": False},
        variants=(
            DemoVariant(
                name=GROWTH,
                terms={
                    "billing_cycle": "monthly",
                    "billing_mode": "prepaid",
                    "grace_period_days": 7,
                    "price_minor": 49_00,
                    "currency": "USD",
                },
                grants=(
                    {
                        "name": "Monthly budget",
                        "credits_mc": 400 * _MC,
                        "grant_interval": "billing_cycle",
                        "expires_at_interval_end": True,
                        "rollover_percentage": 25,
                        "accumulation_cap_mc": 450 * _MC,
                    },
                ),
                fallback=FREE,
            ),
            DemoVariant(
                name="Growth yearly",
                terms={
                    "billing_cycle": "yearly",
                    "billing_mode": "prepaid",
                    "renewal_due_days": 30,
                    "grace_period_days": 14,
                    "price_minor": 490_00,
                    "currency": "USD",
                },
                grants=(
                    {
                        "name": "Monthly budget",
                        "credits_mc": 400 * _MC,
                        "grant_interval": "monthly",
                        "expires_at_interval_end": True,
                    },
                ),
                fallback=FREE,
            ),
        ),
    ),
    DemoPlan(
        name="Platform",
        description="Billed for what was used, under a yearly contract.",
        features={"seats": 100, "support": "phone", "sso": True},
        variants=(
            DemoVariant(
                name=PLATFORM,
                terms={
                    "billing_cycle": "monthly",
                    "billing_mode": "postpaid",
                    "price_minor": 199_00,
                    "currency": "USD",
                },
                grants=(
                    {
                        "name": "Monthly budget",
                        "credits_mc": 1_500 * _MC,
                        "grant_interval": "billing_cycle",
                        "expires_at_interval_end": True,
                    },
                    {
                        "name": "Onboarding",
                        "credits_mc": 100 * _MC,
                        "grant_type": "one_time",
                        "grant_interval": "billing_cycle",
                        "priority": 0,
                    },
                ),
            ),
        ),
    ),
)


def plans_make(*, caller: Caller, now: datetime) -> dict[str, UUID]:
    """The plans, unless they are there; the variants' ids by name."""
    for plan in PLANS:
        if not Plan.objects.filter(name=plan.name).exists():
            _plan_make(caller, plan, now)
    return dict(PlanVariant.objects.filter(superseded_at=None).values_list("name", "id"))


def _plan_make(caller: Caller, plan: DemoPlan, now: datetime) -> None:
    terms = {"name": plan.name, "description": plan.description, "features": dict(plan.features)}
    made = plan_create(caller=caller, terms=terms, now=now)
    for variant in plan.variants:
        fallback = PlanVariant.objects.get(name=variant.fallback).id if variant.fallback else None
        sold = variant_create(
            caller=caller,
            plan_id=made.id,
            terms={"name": variant.name, "fallback_variant_id": fallback, **variant.terms},
            now=now,
        )
        for grant in variant.grants:
            credit_grant_create(
                caller=caller,
                plan_id=made.id,
                variant_id=sold.id,
                terms={"grant_type": "recurring", "source": "plan_grant", **grant},
                now=now,
            )
