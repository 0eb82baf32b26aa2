"""Defining what is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.services.audit import audit_record
from customers.services.environments import config_bump
from metering.errors import MetricExists
from metering.models import Aggregation, BillableMetric, MetricStatus
from metering.selectors.metrics import metric_get

_KEY: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


@transaction.atomic
def metric_create(
    *,
    caller: Caller,
    key: str,
    name: str,
    description: str = "",
    aggregation: str = Aggregation.SUM,
    aggregation_property: str | None = None,
    percentile: Decimal | None = None,
    now: datetime,
) -> BillableMetric:
    """A new metric, active at once. Its key and how it aggregates never change."""
    metric = BillableMetric(
        environment_id=caller.environment_id,
        key=key,
        name=name,
        description=description,
        aggregation=aggregation,
        aggregation_property=aggregation_property,
        percentile=percentile,
        created_at=now,
        updated_at=now,
    )
    errors = list(_wrong_with(metric))
    if errors:
        raise ValidationFailed(errors=errors)
    # First: it locks the environment's row, so nobody else can take the key between the look and the insert.
    config_bump(environment_id=caller.environment_id)
    _refuse_existing(key)
    metric.save(force_insert=True)
    given = {"key": key, "name": name, "aggregation": aggregation}
    _audit(caller=caller, action="metric.created", metric=metric, changes=given, now=now)
    return metric


@transaction.atomic
def metric_update(
    *,
    caller: Caller,
    key: str,
    name: str | None = None,
    description: str | None = None,
    status: str | None = None,
    now: datetime,
) -> BillableMetric:
    """Change a metric's labels or its status; None leaves as it is. What changes nothing leaves no trace."""
    config_bump(environment_id=caller.environment_id)
    metric = metric_get(key=key)
    wanted = {"name": name, "description": description, "status": status}
    before = {field: getattr(metric, field) for field in wanted}
    changed = {field: value for field, value in wanted.items() if value not in (None, before[field])}
    for field, value in changed.items():
        setattr(metric, field, value)
    errors = list(_wrong_with(metric))
    if errors:
        raise ValidationFailed(errors=errors)
    if changed:
        metric.updated_at = now
        metric.save(update_fields=[*changed, "updated_at"])
        changes = {field: [before[field], value] for field, value in changed.items()}
        audit_record(
            caller=caller,
            action="metric.updated",
            object_type="metric",
            object_id=metric.public_id,
            changes=changes,
            now=now,
        )
    return metric
