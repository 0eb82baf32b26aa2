"""Why was this granted? The plan, the interval and what rolled over, on the page of an entry that a plan caused."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpRequest

from billing.admin.explain import describer_register, explainer_register
from billing.models import CreditBlock, LedgerEntry
from customers.admin.display import code, credits_shown, instant_shown, link, text_or_nothing
from customers.admin.records import Fact, Section, record_url
from customers.kernel.ids import typeid
from subscriptions.models import GrantRun, PlanVariant


def _explain_run(_request: HttpRequest, entry: LedgerEntry) -> list[Section]:
    runs = GrantRun.objects.select_related("subscription", "template__variant__plan")
    run = runs.filter(id=entry.source_id).first()
    if run is None:
        return []
    variant = run.template.variant
    named = f"{variant.plan.name}, {variant.name}"
    facts = [
        Fact("Plan", link(record_url(PlanVariant, variant.public_id), named)),
        Fact("Subscription", code(run.subscription.public_id)),
        Fact("Credit grant", text_or_nothing(run.template.name)),
        Fact("From", instant_shown(run.starts_at)),
        Fact("Until", instant_shown(run.ends_at)),
        Fact("Granted", credits_shown(run.credits_mc)),
        Fact("Rolled over", credits_shown(run.rolled_mc), "out of the block of the interval before"),
    ]
    if run.rolled_block_id:
        rolled = typeid("blk", run.rolled_block_id)
        facts.append(Fact("Rolled into", link(record_url(CreditBlock, rolled), code(rolled))))
    return [Section("Caused by a plan", facts)]


def _describe_runs(ids: Iterable[UUID]) -> dict[UUID, str]:
    runs = GrantRun.objects.select_related("template__variant__plan").filter(id__in=list(ids))
    return {run.id: f"{run.template.variant.plan.name}, {run.template.variant.name}" for run in runs}


explainer_register("grant_run", _explain_run)
describer_register("grant_run", _describe_runs)
