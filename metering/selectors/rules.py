"""Metering rules with what follows from their neighbours: until when each holds, and its status."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Greatest

from metering.errors import MeteringRuleNotFound
from metering.models import MeteringRule

SCHEDULED, ACTIVE, SUPERSEDED = "scheduled", "active", "superseded"


def rules_list(*, now: datetime) -> QuerySet[MeteringRule]:
    """Every version of every rule, with `effective_until` (null: none follows yet) and `status` at `now`."""
    followers = MeteringRule.objects.filter(
        Q(effective_from__gt=OuterRef("effective_from"))
        | Q(effective_from=OuterRef("effective_from"), version__gt=OuterRef("version")),
        environment_id=OuterRef("environment_id"),
        metric_id=OuterRef("metric_id"),
        scope_id=OuterRef("scope_id"),
    ).order_by("effective_from")
    return (
        MeteringRule.objects.select_related("metric", "customer")
        .annotate(effective_until=Subquery(followers.values("effective_from")[:1]))
        .annotate(
            status=Case(
                # Also what was replaced before it ever began.
                When(effective_until__lte=Greatest(Value(now), F("effective_from")), then=Value(SUPERSEDED)),
                When(effective_from__gt=now, then=Value(SCHEDULED)),
                default=Value(ACTIVE),
                output_field=CharField(),
            )
        )
    )


def rule_get(*, rule_id: UUID, now: datetime) -> MeteringRule:
    rule = rules_list(now=now).filter(id=rule_id).first()
    if rule is None:
        raise MeteringRuleNotFound
    return rule
