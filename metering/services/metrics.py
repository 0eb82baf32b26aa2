"""Defining what is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.services.audit import audit_record
from customers.services.checks import text_refusal
from customers.services.environments import config_bump
from metering.errors import MetricExists
from metering.models import Aggregation, BillableMetric, MetricStatus
from metering.selectors.metrics import metric_get

_KEY: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NAME_MAX: Final = 200
_DESCRIPTION_MAX: Final = 1000
_PROPERTY_MAX: Final = 255

#: Field to [before, after].
Changes = dict[str, list[Any]]


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
    _check(metric)
    # First: it locks the environment's row, so nobody else can take the key between the look and the insert.
    config_bump(environment_id=caller.environment_id)
    _refuse_existing(key)
    metric.save(force_insert=True)
    changes = {field: [None, getattr(metric, field)] for field in ("key", "name", "aggregation")}
    _audit(caller, "metric.created", metric, changes, now)
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
    """Change a metric's labels or status; None leaves as it is. What changes nothing leaves no trace."""
    metric = metric_get(key=key, lock=True)
    wanted = {"name": name, "description": description, "status": status}
    changes = {
        field: [getattr(metric, field), value]
        for field, value in wanted.items()
        if value is not None and value != getattr(metric, field)
    }
    if changes:
        _change(metric, changes, now)
        config_bump(environment_id=caller.environment_id)
        _audit(caller, "metric.updated", metric, changes, now)
    return metric


def _change(metric: BillableMetric, changes: Changes, now: datetime) -> None:
    for field, (_, value) in changes.items():
        setattr(metric, field, value)
    metric.updated_at = now
    _check(metric)
    metric.save(update_fields=[*changes, "updated_at"])


def _refuse_existing(key: str) -> None:
    existing = BillableMetric.objects.filter(key=key).first()
    if existing is not None:
        raise MetricExists(f"The metric `{key}` exists already.", extra={"existing_id": existing.public_id})


def _audit(caller: Caller, action: str, metric: BillableMetric, changes: Changes, now: datetime) -> None:
    audit_record(
        caller=caller,
        action=action,
        object_type="metric",
        object_id=metric.public_id,
        changes=changes,
        now=now,
    )


def _check(metric: BillableMetric) -> None:
    errors = [FieldError(field, "invalid", message) for field, message in _refusals(metric) if message]
    if errors:
        raise ValidationFailed(errors=errors)


def _refusals(metric: BillableMetric) -> Iterator[tuple[str, str | None]]:
    if not _KEY.fullmatch(metric.key):
        yield "key", "Must be 1 to 64 of a-z, 0-9, _, . and -, beginning with a letter."
    yield "name", text_refusal(metric.name, _NAME_MAX)
    yield "description", text_refusal(metric.description or "-", _DESCRIPTION_MAX)
    yield "aggregation", _one_of(metric.aggregation, Aggregation.values)
    yield "status", _one_of(metric.status, MetricStatus.values)
    yield "aggregation_property", _property_refusal(metric)
    yield "percentile", _percentile_refusal(metric)


def _one_of(value: str, values: list[str]) -> str | None:
    return None if value in values else f"Must be one of {', '.join(values)}."


def _property_refusal(metric: BillableMetric) -> str | None:
    if metric.aggregation != Aggregation.UNIQUE_COUNT:
        return None if metric.aggregation_property is None else "Belongs to the aggregation unique_count."
    return text_refusal(metric.aggregation_property, _PROPERTY_MAX)


def _percentile_refusal(metric: BillableMetric) -> str | None:
    if metric.aggregation != Aggregation.PERCENTILE:
        return None if metric.percentile is None else "Belongs to the aggregation percentile."
    return None if metric.percentile is not None and 0 <= metric.percentile <= 100 else "Must be 0 to 100."
