"""Many subscribers move to another variant: one after the other, each for itself, with a row of result for each."""

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
from subscriptions.errors import PlanNotFound
from subscriptions.models import LIVE_STATES, Plan, Subscription
from subscriptions.services.changes import Effective, subscription_change
from subscriptions.services.subscriptions import variant_for_sale

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
    if not Plan.objects.filter(environment_id=caller.environment_id, id=plan_id).exists():
        raise PlanNotFound
    variant_for_sale(environment_id=caller.environment_id, variant_id=to_variant_id)
    parameters = {
        "plan": str(plan_id),
        "to": str(to_variant_id),
        "from": [str(variant_id) for variant_id in from_variant_ids],
        "effective": effective,
        "preview": preview,
        "reason": reason,
    }
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


def _subscribers(parameters: dict[str, Any]) -> QuerySet[Subscription]:
    subscriptions = Subscription.objects.filter(
        variant__plan_id=parameters["plan"], status__in=LIVE_STATES
    ).exclude(variant_id=parameters["to"])
    if parameters["from"]:
        subscriptions = subscriptions.filter(variant_id__in=parameters["from"])
    return subscriptions


def _page(parameters: dict[str, Any], after: str | None) -> QuerySet[Subscription]:
    subscriptions = _subscribers(parameters).select_related("customer", "variant")
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
        "from_plan_variant_id": subscription.variant.public_id,
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
            variant_id=UUID(parameters["to"]),
            effective=parameters["effective"],
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
