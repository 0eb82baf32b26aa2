"""Billable metrics, found by key."""

from __future__ import annotations

from django.db.models import QuerySet

from metering.errors import MetricNotFound, MetricUnknown
from metering.models import BillableMetric


def metrics_list() -> QuerySet[BillableMetric]:
    return BillableMetric.objects.all()


def metric_get(*, key: str, lock: bool = False) -> BillableMetric:
    """The metric a path names; with `lock` for whoever changes it in the present transaction."""
    rows = BillableMetric.objects.select_for_update(no_key=True) if lock else metrics_list()
    metric = rows.filter(key=key).first()
    if metric is None:
        raise MetricNotFound(f"There is no metric `{key[:64]}`.")
    return metric


def metric_named(*, key: str) -> BillableMetric:
    """The metric a body names."""
    metric = BillableMetric.objects.filter(key=key).first()
    if metric is None:
        raise MetricUnknown(f"There is no metric `{key[:64]}`.")
    return metric
