"""Setting what a metric costs in credits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Q

from customers.errors import FieldError
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from customers.models import Environment
from customers.services.audit import audit_record
from customers.services.environments import config_bump
from metering.engine.pricing import Pricing, definition_parse
from metering.errors import EffectiveFromPast, InvalidMeteringRule
from metering.models import BillableMetric, MeteringRule
from metering.models.rule import EVERYONE
from metering.selectors.metrics import metric_named
from metering.selectors.rules import SUPERSEDED, rules_list
from metering.services.variant_registry import variant_check

#: An instant so little in the past means now: the caller's clock differs, or the request took a while.
PAST_TOLERATED: Final = timedelta(minutes=5)
#: How far the clocks of our own processes may be apart.
_CLOCK_SKEW: Final = timedelta(minutes=1)


@transaction.atomic
def rule_create(
    *,
    caller: Caller,
    metric_key: str,
    definition: Mapping[str, Any],
    customer_id: UUID | None = None,
    plan_variant_id: UUID | None = None,
    effective_from: datetime | None = None,
    now: datetime,
) -> MeteringRule:
    """The next version of the rule for this metric and scope; it takes over at `effective_from` (now).

    `definition` is the prices as sent (metering/engine/definitions.py). Without customer and variant it is
    for everyone.
    """
    pricing = definition_parse(definition)
    _check_scope(caller.environment_id, customer_id, plan_variant_id)
    metric = metric_named(key=metric_key)
    # Before anything is read that depends on it: it locks the environment's row, so versions come one by one.
    config_bump(environment_id=caller.environment_id)
    rule = _next_version(
        metric=metric,
        pricing=pricing,
        scope={"customer_id": customer_id, "plan_variant_id": plan_variant_id},
        effective_from=effective_from,
        now=now,
    )
    rule.save(force_insert=True)
    _audit(caller, metric, rule, now)
    return rule


@transaction.atomic
def rules_copy(*, caller: Caller, from_variant_id: UUID, to_variant_id: UUID, now: datetime) -> None:
    """Give a plan variant the rules that another one has, those in effect and those that are still to come."""
    for rule in rules_list(now=now).filter(plan_variant_id=from_variant_id).order_by("metric_id", "version"):
        facts: Any = rule
        if facts.status == SUPERSEDED:
            continue
        rule_create(
            caller=caller,
            metric_key=rule.metric.key,
            definition=rule.definition,
            plan_variant_id=to_variant_id,
            effective_from=rule.effective_from if rule.effective_from > now else None,
            now=now,
        )


def _check_scope(environment_id: UUID, customer_id: UUID | None, plan_variant_id: UUID | None) -> None:
    if customer_id is not None and plan_variant_id is not None:
        message = "A rule is for a customer or for a plan variant, not for both."
        raise InvalidMeteringRule(
            message, errors=(FieldError("plan_variant_id", "ambiguous-scope", message),)
        )
    if plan_variant_id is not None:
        variant_check(environment_id=environment_id, plan_variant_id=plan_variant_id)


def _next_version(
    *,
    metric: BillableMetric,
    pricing: Pricing,
    scope: Mapping[str, UUID | None],
    effective_from: datetime | None,
    now: datetime,
) -> MeteringRule:
    stored = pricing.to_json()
    scope_id = next((value for value in scope.values() if value is not None), EVERYONE)
    version, last_began = _versions(metric, scope_id)
    return MeteringRule(
        environment_id=metric.environment_id,
        metric=metric,
        **scope,
        version=version + 1,
        cost_type=stored["cost_type"],
        definition=stored,
        effective_from=_beginning(effective_from, last_began, now),
        config_version=Environment.objects.values_list("config_version", flat=True).get(
            id=metric.environment_id
        ),
        created_at=now,
    )


def _versions(metric: BillableMetric, scope_id: UUID) -> tuple[int, datetime | None]:
    """The latest version number, and when the last version began that began at once."""
    found = MeteringRule.objects.filter(
        environment_id=metric.environment_id, metric=metric, scope_id=scope_id
    ).aggregate(version=Max("version"), began=Max("effective_from", filter=Q(effective_from=F("created_at"))))
    return found["version"] or 0, found["began"]


def _beginning(wanted: datetime | None, last_began: datetime | None, now: datetime) -> datetime:
    if wanted is not None and wanted > now:
        return wanted
    if wanted is not None and wanted < now - PAST_TOLERATED:
        raise EffectiveFromPast(
            f"{instant_text(wanted)} is in the past.",
            errors=(FieldError("effective_from", "in-the-past", "Must be now or later."),),
        )
    # A version made after another by a process whose clock is behind must still take over from it.
    return last_began if last_began is not None and now < last_began < now + _CLOCK_SKEW else now


def _audit(caller: Caller, metric: BillableMetric, rule: MeteringRule, now: datetime) -> None:
    audit_record(
        caller=caller,
        action="metering_rule.created",
        object_type="metering_rule",
        object_id=rule.public_id,
        customer_id=rule.customer_id,
        changes={
            "metric": [None, metric.key],
            "version": [None, rule.version],
            "definition": [None, rule.definition],
            "effective_from": [None, instant_text(rule.effective_from)],
        },
        now=now,
    )
