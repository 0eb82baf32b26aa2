"""Many subscribers move to another variant, or another version of a price plan.

One after the other, each for itself, with a row of result for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from billing.services.accounts import account_balance
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.models import Environment, Job
from customers.services.environments import environment_now
from customers.services.jobs import Clock, JobWork, job_do, job_kind, job_start
from subscriptions.errors import PlanNotFound, PricePlanNotFound
from subscriptions.models import LIVE_STATES, Plan, PlanVariant, Subscription
from subscriptions.selectors.price_plans import price_plan_variant, price_plan_version_get
from subscriptions.services.changes import Effective, subscription_change
from subscriptions.services.sales import (
    Offer,
    PricePlanNamed,
    price_plan_for_sale,
    variant_for_sale,
)
from subscriptions.services.timeline import named

KIND: Final = "subscriptions.migrate"
#: Up to here a migration is done within the call.
AT_ONCE_MAX: Final = 50
_PAGE: Final = 20


def plan_migrate(
    *,
    caller: Caller,
    plan_id: UUID,
    to_variant_id: UUID,
    from_variant_ids: Sequence[UUID] = (),
    effective: Effective = "period_end",
    preview: bool = False,
    reason: str = "",
    clock: Clock,
) -> Job:
    """Move a plan's live subscribers (of `from_variant_ids`, or of all its variants) to a variant, of any plan.

    With `preview` each is moved and moved back, so the rows tell what would happen. `clock` is the wall clock.
    Raises PlanNotFound, PlanVariantNotFound, PlanVariantArchived.
    """
    plans = Plan.objects.filter(environment_id=caller.environment_id, price_plan=None)
    if not plans.filter(id=plan_id).exists():
        raise PlanNotFound
    variant = variant_for_sale(environment_id=caller.environment_id, variant_id=to_variant_id)
    parameters = {
        "plan": str(plan_id),
        "to": str(variant.id),
        "from": [str(variant_id) for variant_id in from_variant_ids],
        "effective": effective,
        "preview": preview,
        "reason": reason,
    }
    return _started(caller, parameters, clock)


def price_plan_migrate(
    *,
    caller: Caller,
    key: str,
    to: PricePlanNamed,
    from_versions: Sequence[int] = (),
    effective: Effective = "period_end",
    prorate: bool = True,
    preview: bool = False,
    reason: str = "",
    clock: Clock,
) -> Job:
    """Move those who subscribed to a price plan by itself (to `from_versions`, or to any) to a version, of any plan.

    Raises PricePlanNotFound, PricePlanArchived, PricePlanDeprecated; else as plan_migrate.
    """
    environment_id = caller.environment_id
    sold_as = price_plan_version_get(environment_id=environment_id, key=key).price_plan.plan_id
    version = price_plan_for_sale(environment_id=environment_id, named=to)
    moved_from = PlanVariant.objects.filter(plan_id=sold_as, version__in=from_versions)
    if moved_from.count() < len(set(from_versions)):
        raise PricePlanNotFound("It has not all of these versions.")
    parameters = {
        "plan": str(sold_as),
        "to": str(price_plan_variant(version).id),
        "from": [str(variant_id) for variant_id in moved_from.values_list("id", flat=True)],
        "price_plan": [version.price_plan.key, version.version],
        "effective": effective,
        "prorate": prorate,
        "preview": preview,
        "reason": reason,
    }
    return _started(caller, parameters, clock)


def _started(caller: Caller, parameters: dict[str, Any], clock: Clock) -> Job:
    if _subscribers(parameters).count() <= AT_ONCE_MAX:
        return job_do(caller=caller, kind=KIND, parameters=parameters, clock=clock)
    return job_start(caller=caller, kind=KIND, parameters=parameters, now=clock())


@job_kind(KIND, resource="subscriptions")
def migrate(work: JobWork) -> dict[str, Any]:
    """One page after the other; whoever takes over goes on behind the last page that was saved."""
    counts: dict[str, int] = (work.checkpoint or {}).get("counts", {})
    after = (work.checkpoint or {}).get("after")
    caller = _caller(work)
    total = _subscribers(work.parameters).count() if work.checkpoint is None else None
    while True:
        page = list(_page(work.parameters, after))
        if not page:
            return {"subscriptions": work.done, **counts}
        environment = Environment.objects.get(id=caller.environment_id)
        # Moves and their rows together: a worker whose job was taken away has moved nobody.
        with transaction.atomic():
            rows = [_move(caller, work.parameters, subscription, environment) for subscription in page]
            counts = _counted(counts, rows)
            after = str(page[-1].id)
            work.save(
                done=work.done + len(page),
                checkpoint={"after": after, "counts": counts},
                results=rows,
                total=total,
            )
        total = None


def _counted(counts: dict[str, int], rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(counts) + Counter(row["outcome"] for row in rows))


def _offer(parameters: dict[str, Any]) -> Offer:
    if "price_plan" not in parameters:
        return UUID(parameters["to"])
    key, version = parameters["price_plan"]
    return PricePlanNamed(key=key, version=version)


def _subscribers(parameters: dict[str, Any]) -> QuerySet[Subscription]:
    subscriptions = Subscription.objects.filter(
        variant__plan_id=parameters["plan"], status__in=LIVE_STATES
    ).exclude(variant_id=parameters["to"])
    if parameters["from"]:
        subscriptions = subscriptions.filter(variant_id__in=parameters["from"])
    return subscriptions


def _page(parameters: dict[str, Any], after: str | None) -> QuerySet[Subscription]:
    subscriptions = _subscribers(parameters).select_related(
        "customer", "variant__plan", "variant__price_plan_version__price_plan"
    )
    if after is not None:
        subscriptions = subscriptions.filter(id__gt=after)
    return subscriptions.order_by("id")[:_PAGE]


def _move(
    caller: Caller, parameters: dict[str, Any], subscription: Subscription, environment: Environment
) -> dict[str, Any]:
    """The row of one subscriber. Who is planned to move there already is left alone."""
    row = {
        "subscription_id": subscription.public_id,
        "customer_id": subscription.customer.public_id,
        "external_customer_id": subscription.customer.external_id,
        **named("from", subscription.variant),
    }
    if str(subscription.pending_variant_id) == parameters["to"] and parameters["effective"] == "period_end":
        return {**row, "outcome": "planned_before"}
    try:
        return {**row, **_moved(caller, parameters, subscription, environment)}
    except DomainError as refusal:
        return {**row, "outcome": "refused", "error": {"code": refusal.code, "detail": refusal.detail}}


def _moved(
    caller: Caller, parameters: dict[str, Any], subscription: Subscription, environment: Environment
) -> dict[str, Any]:
    with transaction.atomic():
        outcome = subscription_change(
            caller=caller,
            subscription_id=subscription.id,
            offer=_offer(parameters),
            effective=parameters["effective"],
            prorate=parameters.get("prorate", True),
            reason=parameters["reason"],
            now=environment_now(environment),
        )
        balance_mc = account_balance(customer_id=subscription.customer_id)
        if parameters["preview"]:
            transaction.set_rollback(True)
    return {
        "outcome": "previewed" if parameters["preview"] else "moved",
        "effective": parameters["effective"],
        "credits_granted": outcome.credits_granted_mc,
        "balance_after": balance_mc,
    }


def _caller(work: JobWork) -> Caller:
    job = Job.objects.only("actor", "request_id").get(id=work.job_id)
    return Caller(environment_id=work.environment_id, actor=job.actor, request_id=job.request_id)
